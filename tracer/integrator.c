#include "tracer/integrator.h"

#include "tracer/integrator_batch.h"

/* Pairs of random dimensions: the camera's, then PAIRS_A_BOUNCE for each bounce. */
enum { PAIR_FILTER, PAIR_LENS, PAIR_BOUNCES };
enum { PAIR_CHOICE /* light, lobe */, PAIR_LIGHT, PAIR_DIRECTION, PAIR_ROULETTE, PAIRS_A_BOUNCE };

static inline mr_sample2 draw(const batch *b, uint32_t bounce, uint32_t pair)
{
    return mr_sample_reversed(b->pixel_key, b->sample, PAIR_BOUNCES + bounce * PAIRS_A_BOUNCE + pair);
}

/* Beer-Lambert along a stretch of the bodies that paths are in (MR_NONE: nothing absorbs). */
static vec3 transmittance(const mr_pack *pack, vu medium, vf metres)
{
    vf a[4];
    vm wet = mask(medium != MR_NONE);
    load_rows4(pack->materials, sel_u(wet, medium, all_u(0)), MATERIAL_WORDS, WORD_OF(mr_material, absorption), a);
    return v3_sel(wet, v3(mr_exp(-a[0] * metres), mr_exp(-a[1] * metres), mr_exp(-a[2] * metres)), v3_all(1.0f));
}

/* ---- camera rays ---- */

static void start_batch(mr_integrator *in, uint32_t first, uint32_t count)
{
    uint32_t numbers[MR_LANES];
    for (uint32_t k = 0; k < MR_LANES; k++) numbers[k] = first + k;
    vf id[4];
    vm live;
    vu path = load_indices(numbers, count, &live);
    load_rows4(in->ids, path, 4, 0, id);
    vu x = bits_of(id[0]), y = bits_of(id[1]), sample = mr_reverse_bits(bits_of(id[2])), key = mr_pixel_key(x, y, in->seed);
    mr_sample2 filter = mr_sample_reversed(key, sample, PAIR_FILTER), lens = filter;
    if (in->camera.lens_radius > 0) lens = mr_sample_reversed(key, sample, PAIR_LENS);
    vec3 o, d;
    mr_camera_ray(&in->camera, x, y, filter, lens, &o, &d);
    const vf one = all_f(1.0f), none = all_f(0.0f);
    (void)append_rays(in->rays[0], first, live, o, d, all_f(INFINITY));
    append_words(in->ray_path[0], first, live, path);
    scatter_rows4(in->ids, path, (const vf[4]){id[0], id[1], float_of(sample), float_of(key)});
    scatter_rows8(in->paths, path, (const vf[8]){one, one, one, none, o.x, o.y, o.z, float_of(all_u(MR_NONE))});
    scatter_rows4(in->radiance, path, (const vf[4]){none, none, none, none});
}

static void start_paths(mr_integrator *in, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += MR_LANES) start_batch(in, i, lanes_left(count - i));
}

/* ---- sorting ---- */

enum { CLASS_MISS, CLASS_FIRST, PREFETCH = 16, CLASSES = CLASS_FIRST + 3 * MR_MATERIAL_CLASSES };
_Static_assert(CLASSES <= 256, "hit_class has 8 bits");

/* Which hits are shaded together: first by what the material needs, then those in instances and those on spheres apart. */
static uint32_t class_of(const mr_integrator *in, const mr_hit *hit)
{
    if (hit->triangle == MR_NONE) return CLASS_MISS;
    const mr_pack *pack = in->pack;
    uint32_t material = pack->instances[hit->instance].material, where = hit->triangle == MR_SPHERE ? 2 : hit->instance != 0;
    if (material == MR_NONE) material = pack->triangles[hit->triangle].material;
    return (uint32_t)CLASS_FIRST + in->material_class[material] + (uint32_t)MR_MATERIAL_CLASSES * where;
}

static void prefetch_triangle(const mr_integrator *in, const mr_hit *hit)
{
    if (hit->triangle < MR_SPHERE) __builtin_prefetch(&in->pack->triangles[hit->triangle]);
}

/* Puts the numbers of a pass's n rays in order; returns how many of them missed. */
static uint32_t sort_hits(mr_integrator *in, uint32_t n)
{
    uint32_t start[CLASSES + 1] = {0};
    for (uint32_t i = 0; i < n; i++) {
        if (i + PREFETCH < n) prefetch_triangle(in, &in->hits[i + PREFETCH]);
        uint32_t c = class_of(in, &in->hits[i]);
        in->hit_class[i] = (uint8_t)c;
        start[c + 1]++;
    }
    for (uint32_t c = 0; c < CLASSES; c++) start[c + 1] += start[c];
    uint32_t misses = start[CLASS_FIRST];
    for (uint32_t i = 0; i < n; i++) in->order[start[in->hit_class[i]]++] = i;
    return misses;
}

/* ---- shading ---- */

/* Light that the surface itself gives, weighted against having been sampled from the last point. */
static void add_emission(mr_integrator *in, const batch *b, const mr_surface *s, uint32_t bounce)
{
    vm shines = mask(v3_max(s->emission) > 0.0f);
    if (!any(shines)) return;
    vf pdf = mr_light_hit_pdf(&in->lights, in->pack, b->from, &b->ends, s->p, s->ng);
    vec3 light = v3_scale(v3_mul(b->throughput, s->emission), weight_against(b->bsdf_pdf, pdf));
    add_light(in, b->path, shines, light, bounce);
}

/* Next-event estimation: queues shadow rays to points of lights, from number n on. Returns their new number. */
static uint32_t cast_shadows(mr_integrator *in, const batch *b, const mr_surface *s, const mr_bsdf *bsdf, vf pick, uint32_t bounce, uint32_t n)
{
    vm cast = b->live & ~s->lobes.smooth;
    if (!in->pack->light_count || !any(cast)) return n;
    mr_light_sample light;
    cast = mr_light_sample_at(&in->texels, s->p, pick, draw(b, bounce, PAIR_LIGHT), cast, &light);
    if (!any(cast)) return n;
    vf bsdf_pdf;
    vec3 f = mr_bsdf_eval(bsdf, light.wi, &bsdf_pdf);
    vec3 arrives = v3_mul(v3_mul(b->throughput, f), v3_scale(light.radiance, mr_mis_weight_over_density(light.pdf, bsdf_pdf)));
    vm beyond = mask(v3_dot(light.wi, s->ng) <= 0.0f);
    cast &= mask(v3_max(arrives) > 0.0f);
    append_shadows(in->shadows, n, cast, arrives, b->path);
    vu medium = sel_u(beyond, all_u(MR_NONE), b->medium);
    append_words(in->shadow_medium, n, cast, medium);
    in->wet |= lane_bits(cast & mask(medium != MR_NONE));
    return append_rays(in->shadow_rays, n, cast, mr_surface_origin(s, beyond), light.wi, light.distance * 0.9999f - s->offset);
}

/* Russian roulette: the lanes that stay, their throughput raised. */
static vm roulette(const mr_integrator *in, batch *b, uint32_t bounce)
{
    if (bounce < in->pack->settings->roulette_after) return all_lanes();
    vf stay = min_f(v3_max(b->throughput), all_f(0.95f));
    vm stays = mask(draw(b, bounce, PAIR_ROULETTE).u < stay);
    b->throughput = v3_scale(b->throughput, 1.0f / stay);
    return stays;
}

/* Materials where they absorb, otherwise MR_NONE. */
static vu absorbing(const mr_pack *pack, vu material)
{
    vf a[4];
    load_rows4(pack->materials, material, MATERIAL_WORDS, WORD_OF(mr_material, absorption), a);
    return sel_u(mask(a[0] > 0.0f) | mask(a[1] > 0.0f) | mask(a[2] > 0.0f), material, all_u(MR_NONE));
}

/* Chooses next directions; queues their rays in `to` from number n on and returns the new number. */
static uint32_t scatter(mr_integrator *in, batch *b, const mr_surface *s, const mr_bsdf *bsdf, vf lobe, uint32_t bounce, uint32_t to, uint32_t n)
{
    mr_scatter next;
    mr_sample2 direction = {.u = lobe, .v = lobe};
    if (any(~s->lobes.smooth)) direction = draw(b, bounce, PAIR_DIRECTION);
    vm on = b->live & mr_bsdf_sample(bsdf, lobe, direction, &next);
    b->throughput = v3_mul(b->throughput, next.weight);
    on &= v3_is_finite(b->throughput) & mask(v3_max(b->throughput) > 0.0f) & roulette(in, b, bounce);
    if (!any(on)) return n;
    /* Shadow rays cross such a body unbent, so behind it light is found both ways: the density of the last real choice stays. */
    vm seen_through = next.transmitted & flagged(s->flags, MR_MATERIAL_TRANSPARENT_SHADOW) & mask(b->bsdf_pdf > 0.0f);
    b->bsdf_pdf = sel(seen_through, b->bsdf_pdf, sel(next.ideal, all_f(0.0f), next.pdf));
    b->from = v3_sel(seen_through, b->from, s->p);
    if (any(next.transmitted)) {
        vu entered = sel_u(s->front, absorbing(in->pack, s->material), all_u(MR_NONE));
        b->medium = sel_u(next.transmitted, entered, b->medium);
    }
    scatter_rows8(in->paths, b->path, (const vf[8]){b->throughput.x, b->throughput.y, b->throughput.z, b->bsdf_pdf, b->from.x, b->from.y,
                                                        b->from.z, float_of(b->medium)});
    append_words(in->ray_path[to], n, on, b->path);
    return append_rays(in->rays[to], n, on, mr_surface_origin(s, next.transmitted), next.wi, all_f(INFINITY));
}

static void shade_misses(mr_integrator *in, uint32_t half, const uint32_t *order, uint32_t count, uint32_t bounce)
{
    batch b;
    load_batch(in, half, order, count, &b);
    vec3 light = v3_mul(b.throughput, mr_light_miss(&in->lights, &in->texels, b.ends.d, b.bsdf_pdf));
    add_light(in, b.path, all_lanes(), light, bounce);
}

/* What a pass's shading brings forth: rays of the paths that go on, and shadow rays. */
typedef struct queues {
    uint32_t on, shadows;
} queues;

static void shade_hits(mr_integrator *in, uint32_t half, const uint32_t *order, uint32_t count, uint32_t bounce, queues *out)
{
    batch b;
    mr_surface s;
    mr_bsdf bsdf;
    load_batch(in, half, order, count, &b);
    vec3 wo = v3_neg(b.ends.d);
    mr_surface_at(&in->texels, &b.ends, &s);
    if (any(mask(b.medium != MR_NONE))) b.throughput = v3_mul(b.throughput, transmittance(in->pack, b.medium, b.ends.t));
    add_emission(in, &b, &s, bounce);
    if (bounce >= in->pack->settings->max_bounces) return;
    mr_bsdf_init(&bsdf, &s.lobes, s.ng, s.ns, wo, s.front);
    mr_sample2 choice = draw(&b, bounce, PAIR_CHOICE);
    out->shadows = cast_shadows(in, &b, &s, &bsdf, choice.u, bounce, out->shadows);
    out->on = scatter(in, &b, &s, &bsdf, choice.v, bounce, half ^ 1, out->on);
}

/* Vertices from this number on do not stay in the second-level cache. */
enum { MANY_VERTICES = 16384 };

/* What the next batch will read: the corners of its triangles. */
static void prefetch_corners(const mr_integrator *in, const uint32_t *order, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++) {
        uint32_t triangle = in->hits[order[k]].triangle;
        if (triangle >= MR_SPHERE) continue;
        for (int v = 0; v < 3; v++) {
            const char *vertex = (const char *)&in->pack->vertices[in->pack->triangles[triangle].v[v]];
            __builtin_prefetch(vertex);
            __builtin_prefetch(vertex + sizeof(mr_vertex) - 1); /* it may lie across two lines */
        }
    }
}

/* Shades the hits and misses of a pass: n rays of a half. */
static queues shade(mr_integrator *in, uint32_t half, uint32_t n, uint32_t bounce)
{
    queues out = {0, 0};
    in->wet = 0;
    uint32_t misses = sort_hits(in, n), ahead = in->pack->vertex_count < MANY_VERTICES ? n : (uint32_t)MR_LANES;
    for (uint32_t i = 0; i < misses; i += MR_LANES)
        shade_misses(in, half, in->order + i, lanes_left(misses - i), bounce);
    for (uint32_t i = misses; i < n; i += MR_LANES) {
        if (i + ahead < n) prefetch_corners(in, in->order + i + ahead, lanes_left(n - i - ahead));
        shade_hits(in, half, in->order + i, lanes_left(n - i), bounce, &out);
    }
    return out;
}

/* ---- shadow rays ---- */

/* What shadow rays that start in an absorbing body still carry when they have left it through a surface that lets shadow rays pass: moves
 * their starts there. wet: `count` numbers of wet rays with a hit. blocked[i] is set for the i-th wet ray when that is opaque. */
static void leave_medium(mr_integrator *in, const uint32_t *wet, uint32_t count)
{
    vm live;
    mr_ends ends;
    mr_surface s;
    vf light[4];
    mr_lane_array ray = {.u = load_indices(wet, count, &live)}, shadow = {.u = gather_u(in->wet_shadow, ray.u)};
    load_ends(in->wet_rays, in->wet_hits, ray.u, &ends);
    mr_surface_at(&in->texels, &ends, &s);
    vf through = 1.0f - mr_fresnel_dielectric(-v3_dot(s.ns, ends.d), s.lobes.ior);
    vec3 left = v3_scale(transmittance(in->pack, gather_u(in->shadow_medium, shadow.u), ends.t), through);
    load_rows4(in->shadows, shadow.u, 4, 0, light);
    vm leaves = flagged(s.flags, MR_MATERIAL_TRANSPARENT_SHADOW);
    scatter_rows4(in->shadows, shadow.u, (const vf[4]){light[0] * left.x, light[1] * left.y, light[2] * left.z, light[3]});
    for (uint32_t k = 0; k < count; k++) {
        in->shadow_rays[shadow.au[k]].tmin = in->wet_hits[wet[k]].t;
        in->blocked[wet[k]] = !(lane_bits(leaves) >> k & 1);
    }
}

/* Attenuates the shadow rays that start in an absorbing body; returns the number of rays left (compacted in place). */
static uint32_t surface_shadows(mr_integrator *in, uint32_t n, mr_ray_counts *counts)
{
    uint32_t wet = 0, hits = 0, kept = 0;
    if (!in->wet) return n;
    for (uint32_t i = 0; i < n; i++) {
        if (in->shadow_medium[i] == MR_NONE) continue;
        in->wet_rays[wet] = in->shadow_rays[i];
        in->wet_shadow[wet++] = i;
    }
    in->kernel->intersect(in->pack->bvh, in->pack, in->wet_rays, wet, in->wet_hits, in->kernel_scratch);
    counts->rays += wet;
    for (uint32_t i = 0; i < wet; i++) {
        in->blocked[i] = 0;
        if (in->wet_hits[i].triangle != MR_NONE) in->order[hits++] = i;
    }
    for (uint32_t i = 0; i < hits; i += MR_LANES) leave_medium(in, in->order + i, lanes_left(hits - i));
    for (uint32_t i = 0, w = 0; i < n; i++) {
        if (w < wet && in->wet_shadow[w] == i && in->blocked[w++]) continue;
        in->shadow_rays[kept] = in->shadow_rays[i];
        in->shadows[kept++] = in->shadows[i];
    }
    return kept;
}

/* Adds the light of the shadow rays that reach theirs. */
static void gather_light(mr_integrator *in, uint32_t n, uint32_t bounce, mr_ray_counts *counts)
{
    n = surface_shadows(in, n, counts);
    in->kernel->occluded(in->pack->bvh, in->pack, in->shadow_rays, n, in->blocked, in->kernel_scratch);
    counts->rays += n;
    uint32_t lit = 0;
    for (uint32_t i = 0; i < n; i++) {
        in->order[lit] = i;
        lit += !in->blocked[i];
    }
    for (uint32_t i = 0; i < lit; i += MR_LANES) {
        vf shadow[4];
        vm live;
        load_rows4(in->shadows, load_indices(in->order + i, lanes_left(lit - i), &live), 4, 0, shadow);
        add_light(in, bits_of(shadow[3]), all_lanes(), v3(shadow[0], shadow[1], shadow[2]), bounce);
    }
}

#define BUILD_NAME(kernel) mr_integrate_##kernel
#if defined(MR_KERNEL_avx2)
#define BUILD BUILD_NAME(avx2)
#elif defined(MR_KERNEL_avx512)
#define BUILD BUILD_NAME(avx512)
#elif defined(MR_KERNEL_sse)
#define BUILD BUILD_NAME(sse)
#elif defined(MR_KERNEL_neon)
#define BUILD BUILD_NAME(neon)
#else
#define BUILD BUILD_NAME(scalar)
#endif

mr_integrate_fn BUILD;
void BUILD(mr_integrator *in, uint32_t count, mr_ray_counts *counts)
{
    start_paths(in, count);
    counts->paths += count;
    queues next = {.on = count};
    for (uint32_t bounce = 0, half = 0; next.on; bounce++, half ^= 1) {
        in->kernel->intersect(in->pack->bvh, in->pack, in->rays[half], next.on, in->hits, in->kernel_scratch);
        counts->rays += next.on;
        next = shade(in, half, next.on, bounce);
        if (next.shadows) gather_light(in, next.shadows, bounce, counts);
    }
}
