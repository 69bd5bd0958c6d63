/* Where to split a set of references: the surface area heuristic over bins (Wald 2007, "On fast Construction of SAH-based Bounding
 * Volume Hierarchies"), and spatial splits, which cut triangles in two (Stich, Friedrich, Dietrich 2009, "Spatial Splits in Bounding
 * Volume Hierarchies"). Everything here is a pure function of the references; all three axes are binned in one pass. */
#include "tracer/bvh_internal.h"

enum { BINS_FEW = 16, BINS_MANY_FROM = 1024 };

/* A range must be wider than this part of what it is away from the origin: below, planes would fall together. */
#define LEAST_WIDTH 1e-6f

/* ---- bins ---- */

/* Fewer bins where finding the best boundary would take longer than filling them. */
static int bins_for(uint32_t count)
{
    return count < BINS_MANY_FROM ? BINS_FEW : MR_BVH2_BINS;
}

mr_bvh2_grid mr_bvh2_object_grid(box middles, uint32_t count)
{
    mr_bvh2_grid grid = { .origin = f4_clear3(middles.lo), .bins = bins_for(count) };
    for (int a = 0; a < 3; a++) {
        float width = middles.hi[a] - middles.lo[a], scale = (float)grid.bins * 0.9999f / width;
        grid.scale[a] = width > 0 && scale < INFINITY ? scale : 0;
    }
    return grid;
}

mr_bvh2_grid mr_bvh2_spatial_grid(box bounds, uint32_t count)
{
    mr_bvh2_grid grid = { .origin = f4_clear3(bounds.lo), .bins = bins_for(count) };
    for (int a = 0; a < 3; a++) {
        float width = bounds.hi[a] - bounds.lo[a];
        if (!(width > LEAST_WIDTH * (fabsf(bounds.lo[a]) + width))) continue;
        grid.scale[a] = (float)grid.bins / width;
        grid.step[a] = width / (float)grid.bins;
    }
    return grid;
}

void mr_bvh2_bins_clear(mr_bvh2_bins *bins, const mr_bvh2_grid *grid)
{
    for (int a = 0; a < 3; a++)
        for (int i = 0; i < grid->bins; i++) {
            bins->box[a][i] = box_empty();
            bins->in[a][i] = bins->out[a][i] = 0;
        }
}

void mr_bvh2_bins_merge(mr_bvh2_bins *bins, const mr_bvh2_bins *more, const mr_bvh2_grid *grid)
{
    for (int a = 0; a < 3; a++)
        for (int i = 0; i < grid->bins; i++) {
            bins->box[a][i] = box_union(bins->box[a][i], more->box[a][i]);
            bins->in[a][i] += more->in[a][i];
            bins->out[a][i] += more->out[a][i];
        }
}

static inline void to_ints(int32_t out[4], f4 bin)
{
    i4 i = __builtin_convertvector(bin, i4);
    memcpy(out, &i, sizeof i);
}

void mr_bvh2_object_bins(mr_bvh2_bins *bins, const mr_bvh2_grid *grid, const mr_bvh2_ref *refs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int32_t at[4];
        box b = ref_box(refs + i);
        to_ints(at, bins_of(b.lo + b.hi, grid));
        for (int a = 0; a < 3; a++) {
            box *bin = &bins->box[a][at[a]];
            *bin = box_union(*bin, b);
            bins->in[a][at[a]]++;
        }
    }
}

/* ---- the parts of a triangle ---- */

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

/* A triangle's corners in ascending order along an axis, and how the other coordinates run along its edges. */
typedef struct slices {
    f4 corner[3];
    float at[3];              /* the corners on the axis */
    f4 longest, first, second; /* slopes of the edges 0-2, 0-1, 1-2 */
} slices;

static slices slice(const f4 v[3], int axis)
{
    slices s;
    float p[3] = { v[0][axis], v[1][axis], v[2][axis] };
    int lo = p[1] < p[0], hi = !lo;
    lo = p[2] < p[lo] ? 2 : lo;
    hi = lo == 2 ? (p[0] > p[1] ? 0 : 1) : (p[2] >= p[hi] ? 2 : hi);
    const int order[3] = { lo, 3 - lo - hi, hi };
    for (int i = 0; i < 3; i++) {
        s.corner[i] = v[order[i]];
        s.at[i] = p[order[i]];
    }
    s.longest = (s.corner[2] - s.corner[0]) * f4_set(1 / (s.at[2] - s.at[0]));
    s.first = (s.corner[1] - s.corner[0]) * f4_set(1 / (s.at[1] - s.at[0])); /* not used where the edge has no length */
    s.second = (s.corner[2] - s.corner[1]) * f4_set(1 / (s.at[2] - s.at[1]));
    return s;
}

/* Where a plane meets the triangle. */
static box slice_at(const slices *s, float plane)
{
    f4 x = s->corner[0] + s->longest * f4_set(plane - s->at[0]), y;
    if (plane < s->at[1]) y = s->corner[0] + s->first * f4_set(plane - s->at[0]);
    else y = s->corner[2] + s->second * f4_set(plane - s->at[2]);
    return (box){ f4_min(x, y), f4_max(x, y) };
}

/* Chops a reference at the boundaries between bins first .. last (first < last). What a bin gets is the box of the triangle's part in it, but
 * for rounding: it is for choosing a split only. */
static void chop(box *bins, const mr_bvh2_grid *grid, const f4 v[3], box whole, int axis, int first, int last)
{
    slices s = slice(v, axis);
    box rest = box_empty();
    int k = 0;
    for (int j = first; j <= last; j++) {
        float plane = j == last ? INFINITY : grid->origin[axis] + (float)(j + 1) * grid->step[axis]; /* at the end: all that is left */
        box part = rest;
        for (; k < 3 && s.at[k] <= plane; k++) part = box_union(part, (box){ s.corner[k], s.corner[k] });
        rest = k > 0 && k < 3 ? slice_at(&s, plane) : box_empty();
        part = box_union(part, rest);
        part = box_common(part, whole);
        if (box_is_proper(part)) bins[j] = box_union(bins[j], part);
    }
}

void mr_bvh2_spatial_bins(mr_bvh2_bins *bins, const mr_bvh2_grid *grid, const mr_bvh_source *source, const mr_bvh2_ref *refs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int32_t first[4], last[4];
        box b = ref_box(refs + i);
        to_ints(first, bins_of(b.lo, grid));
        to_ints(last, bins_of(b.hi, grid));
        f4 v[3] = { { 0 } };
        if (first[0] != last[0] || first[1] != last[1] || first[2] != last[2])
            for (int k = 0; k < 3; k++) v[k] = f4_load3(source_vertex(source, refs[i].prim, k));
        for (int a = 0; a < 3; a++) {
            if (first[a] < last[a]) chop(bins->box[a], grid, v, b, a, first[a], last[a]);
            else bins->box[a][first[a]] = box_union(bins->box[a][first[a]], b);
            bins->in[a][first[a]]++;
            bins->out[a][last[a]]++;
        }
    }
}

/* ---- the best boundary ---- */

/* Finds the cheapest boundary between two bins of an axis; keeps `best` unless it is undercut. count: references before the split. */
static void sweep(const box *bins, const uint32_t *in, const uint32_t *out, int n, uint32_t count, int axis, mr_bvh2_split *best)
{
    box suffix[MR_BVH2_BINS], x = box_empty();
    float cost[MR_BVH2_BINS];
    uint32_t below[MR_BVH2_BINS] = { 0 }, m = 0, k = 0;
    for (int i = n - 1; i > 0; i--) {
        x = box_union(x, bins[i]);
        m += out[i];
        suffix[i] = x;
        below[i] = m;
        cost[i] = box_area(x) * (float)m;
    }
    x = box_empty();
    for (int i = 0; i < n - 1; i++) {
        x = box_union(x, bins[i]);
        k += in[i];
        m = below[i + 1];
        if (!k || !m || (k == count && m == count)) continue;
        float sum = box_area(x) * (float)k + cost[i + 1];
        if (!(sum < best->cost)) continue;
        *best = (mr_bvh2_split){ .cost = sum, .axis = axis, .bin = i, .nl = k, .nr = m, .left = x, .right = suffix[i + 1] };
    }
}

mr_bvh2_split mr_bvh2_object_split(const mr_bvh2_bins *bins, const mr_bvh2_grid *grid, uint32_t count)
{
    mr_bvh2_split best = { .cost = INFINITY, .axis = -1 };
    for (int a = 0; a < 3; a++)
        if (grid->scale[a] > 0) sweep(bins->box[a], bins->in[a], bins->in[a], grid->bins, count, a, &best);
    return best;
}

mr_bvh2_split mr_bvh2_spatial_split(const mr_bvh2_bins *bins, const mr_bvh2_grid *grid, uint32_t count, float to_beat)
{
    mr_bvh2_split best = { .cost = to_beat, .axis = -1 };
    for (int a = 0; a < 3; a++)
        if (grid->scale[a] > 0) sweep(bins->box[a], bins->in[a], bins->out[a], grid->bins, count, a, &best);
    if (best.axis >= 0) best.plane = grid->origin[best.axis] + (float)(best.bin + 1) * grid->step[best.axis];
    return best;
}
