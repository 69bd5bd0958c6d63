/* Moves the references of a part to the sides of a split, in their order. See bvh2.c for where to. */
#include "tracer/bvh_internal.h"

static inline void half_add(mr_bvh2_half *s, box b, uint32_t prim)
{
    f4 middle = box_middle(b);
    if (s->refs) ref_set(&s->refs[s->count], b, prim);
    s->count++;
    s->bounds = box_union(s->bounds, b);
    s->middles = box_union(s->middles, (box){ middle, middle });
}

/* By the bins of an object split. Both sides' boxes are known from the bins. */
void mr_bvh2_move_object(const mr_bvh2_split *split, const mr_bvh2_grid *grid, const mr_bvh2_ref *from, uint32_t count, mr_bvh2_halves *to)
{
    const float origin = grid->origin[split->axis], scale = grid->scale[split->axis], end = (float)(split->bin + 1);
    mr_bvh2_ref *out[2] = { to->of[0].refs, to->of[1].refs };
    box middles[2] = { to->of[0].middles, to->of[1].middles };
    for (uint32_t i = 0; i < count; i++) {
        f4 lo = f4_load(from[i].lo), hi = f4_load(from[i].hi), middle = f4_clear3(lo) + f4_clear3(hi);
        int right = !((middle[split->axis] - origin) * scale < end);
        middles[right] = box_union(middles[right], (box){ middle, middle });
        mr_bvh2_ref *at = out[right];
        f4_store(at->lo, lo);
        f4_store(at->hi, hi);
        out[right] = at + 1;
    }
    for (int k = 0; k < 2; k++) {
        to->of[k].count += (uint32_t)(out[k] - to->of[k].refs);
        to->of[k].refs = out[k];
        to->of[k].middles = middles[k];
        to->of[k].bounds = k ? split->right : split->left;
    }
}

/* In two halves of equal number, as they come. */
void mr_bvh2_move_halves(const mr_bvh2_ref *from, uint32_t count, mr_bvh2_halves *to)
{
    for (uint32_t i = 0; i < count; i++) half_add(&to->of[i >= count / 2], ref_box(from + i), from[i].prim);
}

/* A reference on both sides of the plane: cut it, or give all of it to one side where that is cheaper ("unsplitting"), judged by the sides as
 * they were found, so that no reference's fate depends on another's. */
static void move_straddler(const mr_bvh_source *source, const mr_bvh2_split *s, const mr_bvh2_ref *ref, mr_bvh2_halves *to)
{
    box l, r, whole = ref_box(ref);
    mr_bvh2_cut(source, ref, s->axis, s->plane, &l, &r);
    float nl = (float)s->nl, nr = (float)s->nr;
    float left = box_area(box_union(s->left, whole)) * nl + box_area(s->right) * (nr - 1);
    float right = box_area(s->left) * (nl - 1) + box_area(box_union(s->right, whole)) * nr;
    if (!box_is_proper(r) || (left < s->cost && left <= right)) {
        half_add(&to->of[0], whole, ref->prim);
    } else if (!box_is_proper(l) || right < s->cost) {
        half_add(&to->of[1], whole, ref->prim);
    } else {
        half_add(&to->of[0], l, ref->prim);
        half_add(&to->of[1], r, ref->prim);
    }
}

/* By the bins of a spatial split. At most nl and nr land on the sides: what the bins do not call a straddler is none. */
void mr_bvh2_move_spatial(const mr_bvh_source *source, const mr_bvh2_split *split, const mr_bvh2_grid *grid, const mr_bvh2_ref *from,
                         uint32_t count, mr_bvh2_halves *to)
{
    const int a = split->axis;
    for (uint32_t i = 0; i < count; i++) {
        const mr_bvh2_ref *ref = from + i;
        box b = ref_box(ref);
        if (bins_of(b.hi, grid)[a] < (float)(split->bin + 1) || ref->hi[a] <= split->plane) half_add(&to->of[0], b, ref->prim);
        else if (bins_of(b.lo, grid)[a] >= (float)(split->bin + 1) || ref->lo[a] >= split->plane) half_add(&to->of[1], b, ref->prim);
        else move_straddler(source, split, ref, to);
    }
}
