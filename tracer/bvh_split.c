/* Where to split a set of references: the surface area heuristic over bins (Wald 2007, "On fast Construction of SAH-based Bounding
 * Volume Hierarchies"), and spatial splits, which cut triangles in two (Stich, Friedrich, Dietrich 2009, "Spatial Splits in Bounding
 * Volume Hierarchies"). Everything here is a pure function of the references in their order. */
#include "tracer/bvh_internal.h"

enum { BINS = MR_BVH2_BINS };

typedef struct sweep {
    box bins[BINS];
    uint32_t in[BINS], out[BINS]; /* references that begin, end in the bin; the same array's worth for object splits */
} sweep;

int mr_bvh2_bin(float x, float origin, float scale)
{
    int bin = (int)((x - origin) * scale);
    return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
}

static void sweep_clear(sweep *s)
{
    for (int i = 0; i < BINS; i++) {
        s->bins[i] = box_empty();
        s->in[i] = s->out[i] = 0;
    }
}

/* Finds the cheapest boundary between two bins; keeps `best` unless it is undercut. count: references before the split. */
static int sweep_find(const sweep *s, uint32_t count, float factor, mr_bvh2_split *best)
{
    box suffix[BINS], x = box_empty();
    float area[BINS];
    uint32_t below[BINS], n = 0;
    int found = 0;
    for (int i = BINS - 1; i > 0; i--) {
        x = box_union(x, s->bins[i]);
        n += s->out[i];
        suffix[i] = x;
        below[i] = n;
        area[i] = n ? box_area(x) : 0;
    }
    x = box_empty();
    n = 0;
    for (int i = 0; i < BINS - 1; i++) {
        x = box_union(x, s->bins[i]);
        n += s->in[i];
        uint32_t m = below[i + 1];
        if (!n || !m || (n == count && m == count)) continue;
        float cost = box_area(x) * (float)n + area[i + 1] * (float)m;
        if (!(cost < best->cost * factor)) continue;
        best->cost = cost;
        best->bin = i;
        best->left = x;
        best->right = suffix[i + 1];
        found = 1;
    }
    return found;
}

mr_bvh2_split mr_bvh2_object_split(const mr_bvh2_ref *refs, uint32_t count, box centroids)
{
    mr_bvh2_split best = { .cost = INFINITY, .axis = -1 };
    sweep s;
    for (int a = 0; a < 3; a++) {
        float origin = centroids.lo[a], width = centroids.hi[a] - origin;
        if (!(width > 0)) continue;
        float scale = (float)BINS * 0.9999f / width;
        if (!(scale < INFINITY)) continue;
        sweep_clear(&s);
        for (uint32_t i = 0; i < count; i++) {
            int j = mr_bvh2_bin(refs[i].lo[a] + refs[i].hi[a], origin, scale);
            s.bins[j] = box_union(s.bins[j], ref_box(refs + i));
            s.in[j]++;
        }
        for (int i = 0; i < BINS; i++) s.out[i] = s.in[i];
        if (!sweep_find(&s, count, 1.0f, &best)) continue;
        best.axis = a;
        best.origin = origin;
        best.scale = scale;
    }
    return best;
}

/* One edge of the triangle against the plane: the ends to their sides; a crossing to both, widened by the rounding of its computation
 * (under 7 units in the last place of the larger end). */
static void cut_edge(const float *from, const float *to, int axis, float plane, box *left, box *right)
{
    f4 x0 = f4_load3(from), x1 = f4_load3(to);
    float p0 = from[axis], p1 = to[axis];
    if (p0 <= plane) *left = box_union(*left, (box){ x0, x0 });
    if (p0 >= plane) *right = box_union(*right, (box){ x0, x0 });
    if (!((p0 < plane && plane < p1) || (p1 < plane && plane < p0))) return;
    float f = (plane - p0) / (p1 - p0);
    f = f < 0 ? 0 : f > 1 ? 1 : f;
    f4 x = x0 + (x1 - x0) * f4_set(f);
    f4 slack = f4_max(f4_abs(x0), f4_abs(x1)) * f4_set(8e-7f);
    box b = { x - slack, x + slack };
    *left = box_union(*left, b);
    *right = box_union(*right, b);
}

void mr_bvh2_cut(const mr_bvh_source *source, const mr_bvh2_ref *ref, int axis, float plane, box *left, box *right)
{
    box l = box_empty(), r = box_empty(), whole = ref_box(ref);
    const float *v[3];
    for (int i = 0; i < 3; i++) v[i] = source_vertex(source, ref->prim, i);
    for (int i = 0; i < 3; i++) cut_edge(v[i], v[i == 2 ? 0 : i + 1], axis, plane, &l, &r);
    l.hi[axis] = plane;
    r.lo[axis] = plane;
    *left = box_common(l, whole);
    *right = box_common(r, whole);
}

/* Chops a reference at every bin boundary that it crosses. */
static void chop(const mr_bvh_source *source, const mr_bvh2_ref *ref, int axis, float origin, float scale, float step, sweep *s)
{
    int first = mr_bvh2_bin(ref->lo[axis], origin, scale), last = mr_bvh2_bin(ref->hi[axis], origin, scale);
    mr_bvh2_ref rest = *ref;
    if (last < first) last = first;
    for (int j = first; j < last; j++) {
        box l, r;
        mr_bvh2_cut(source, &rest, axis, origin + (float)(j + 1) * step, &l, &r);
        s->bins[j] = box_union(s->bins[j], l);
        ref_set(&rest, r, rest.prim);
    }
    s->bins[last] = box_union(s->bins[last], ref_box(&rest));
    s->in[first]++;
    s->out[last]++;
}

mr_bvh2_split mr_bvh2_spatial_split(const mr_bvh_source *source, const mr_bvh2_ref *refs, uint32_t count, box bounds, float to_beat)
{
    mr_bvh2_split best = { .cost = to_beat, .axis = -1 };
    sweep s;
    for (int a = 0; a < 3; a++) {
        float origin = bounds.lo[a], width = bounds.hi[a] - origin, step = width / (float)BINS;
        if (!(width > 1e-6f * (fabsf(origin) + width))) continue;
        sweep_clear(&s);
        for (uint32_t i = 0; i < count; i++) chop(source, refs + i, a, origin, (float)BINS / width, step, &s);
        if (!sweep_find(&s, count, 0.999f, &best)) continue;
        best.axis = a;
        best.plane = origin + (float)(best.bin + 1) * step;
    }
    return best;
}
