/* The kernels: bit for bit what the unculled reference says (every leaf, nothing culled), on every instruction set of this machine and for
 * every batch size; no gaps in closed surfaces; no harm from odd rays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/bvh_scene.h"
#include "tracer/kernel.h"

enum { BATCH = 500 }; /* no multiple of 64; every kernel meets the reference on them, under an emulator, too */

typedef struct answers {
    mr_hit hits[BATCH];
    uint8_t blocked[BATCH];
} answers;

static void ask(const mr_kernel *k, const void *bvh, const mr_pack *pack, const mr_ray *rays, uint32_t n, uint32_t step, answers *out)
{
    void *scratch = aligned_alloc(64, (k->scratch_bytes + 63) / 64 * 64);
    assert_non_null(scratch);
    memset(scratch, 0xA5, k->scratch_bytes);
    memset(out, 0xEE, sizeof *out);
    for (uint32_t i = 0; i < n; i += step) {
        uint32_t m = n - i < step ? n - i : step;
        k->intersect(bvh, pack, rays + i, m, out->hits + i, scratch);
        k->occluded(bvh, pack, rays + i, m, out->blocked + i, scratch);
    }
    free(scratch);
}

static void assert_same_hit(const mr_hit *is, const mr_hit *want, const mr_ray *r, const char *kernel)
{
    if (!memcmp(is, want, sizeof *is)) return;
    print_error("%s: org %a %a %a dir %a %a %a tmin %a tmax %a\n found t %a triangle %u instance %u, expected t %a triangle %u instance %u\n",
                kernel, r->org[0], r->org[1], r->org[2], r->dir[0], r->dir[1], r->dir[2], r->tmin, r->tmax, is->t, is->triangle,
                is->instance, want->t, want->triangle, want->instance);
    fail();
}

/* Traces n rays in every way and compares with the reference. Returns how many hit. */
static uint32_t compare_with(const scene *s, const mr_pack *pack, const mr_ray *rays, uint32_t n)
{
    static answers want, is;
    static const uint32_t steps[] = { BATCH, 64, 7, 1 };
    uint32_t hits = 0;
    int blocked;
    for (uint32_t i = 0; i < n; i++) {
        want.hits[i] = reference_trace(s->bytes, pack, &rays[i], 0, &blocked);
        hits += want.hits[i].triangle != MR_NONE;
        (void)reference_trace(s->bytes, pack, &rays[i], 1, &blocked);
        want.blocked[i] = (uint8_t)blocked;
    }
    for (unsigned k = 0; mr_kernel_at(k); k++)
        for (unsigned j = 0; j < 4; j++) {
            ask(mr_kernel_at(k), s->bytes, pack, rays, n, steps[j], &is);
            for (uint32_t i = 0; i < n; i++) assert_same_hit(&is.hits[i], &want.hits[i], &rays[i], mr_kernel_at(k)->name);
            assert_memory_equal(is.blocked, want.blocked, n);
        }
    return hits;
}

static uint32_t compare(const scene *s, const mr_ray *rays, uint32_t n)
{
    return compare_with(s, NULL, rays, n);
}

static void compare_nasty(const scene *s, float extent, int rounds)
{
    static mr_ray rays[BATCH];
    uint32_t hits = 0;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < BATCH; i++) rays[i] = nasty_ray(s, extent);
        hits += compare(s, rays, BATCH);
    }
    assert_true(hits > 100);
}

static void soup(uint32_t count, float extent, float size, float stretch, int quality, int rounds)
{
    scene s = { 0 };
    random_state = count;
    scene_soup(&s, count, extent, size, stretch);
    s.bvh = mr_bvh_new(quality, 1);
    assert_int_equal(scene_finish(&s, 0, s.triangle_count), MR_OK);
    compare_nasty(&s, extent, rounds);
    scene_free(&s);
}

static void soups_agree_with_the_reference(void **state)
{
    (void)state;
    soup(1, 1, 1, 1, MR_BVH_HIGH, 1);
    soup(9, 1, 1, 1, MR_BVH_MEDIUM, 1);
    soup(500, 1, 0.2f, 1, MR_BVH_MEDIUM, 4);
    soup(500, 1, 0.5f, 1, MR_BVH_HIGH, 4);
}

static void slivers_agree_with_the_reference(void **state)
{
    (void)state;
    soup(400, 1, 1e-4f, 1e4f, MR_BVH_HIGH, 4);
    soup(401, 1, 1e-2f, 100, MR_BVH_HIGH, 4);
    soup(402, 1, 0.01f, 50, MR_BVH_MEDIUM, 4);
}

static void scales_agree_with_the_reference(void **state)
{
    (void)state;
    soup(300, 1e6f, 1e5f, 2, MR_BVH_HIGH, 2);
    soup(301, 1e-6f, 1e-6f, 2, MR_BVH_HIGH, 2);
    soup(302, 1e-3f, 100, 20, MR_BVH_HIGH, 2);
    soup(303, 1e10f, 1e9f, 2, MR_BVH_MEDIUM, 1);
}

static void flat_things_agree_with_the_reference(void **state)
{
    (void)state;
    scene s = { 0 };
    random_state = 5;
    for (int i = 0; i < 3; i++) scene_floor(&s, 6, 4, i == 2 ? 0.5f : 0); /* two floors coincide */
    scene_blob(&s, 6, 0);
    s.bvh = mr_bvh_new(MR_BVH_HIGH, 1);
    assert_int_equal(scene_finish(&s, 0, s.triangle_count), MR_OK);
    compare_nasty(&s, 2, 6);
    scene_free(&s);
}

static void instances_agree_with_the_reference(void **state)
{
    (void)state;
    for (int quality = 0; quality < 2; quality++) {
        scene s = { 0 };
        random_state = 77;
        scene_instanced(&s, quality);
        compare_nasty(&s, 12, 5);
        scene_free(&s);
    }
}

/* Triangles of both kinds in leaves together, instances that give their mesh another material, textures of either format and wrap. */
static void holes_agree_with_the_reference(void **state)
{
    (void)state;
    static mr_ray rays[BATCH];
    static float texels[2][8 * 8 * 4] __attribute__((aligned(16))); /* floats; bytes */
    random_state = 99;
    for (int i = 0; i < 8 * 8 * 4; i++) texels[0][i] = random_in(0, 1);
    for (int i = 0; i < 8 * 8 * 4; i++) ((uint8_t *)texels[1])[i] = (uint8_t)random_bits();
    const mr_texture textures[2] = { { 0, 8, 8, MR_TEXEL_FLOAT, MR_WRAP_CLAMP }, { sizeof texels[0], 8, 8, MR_TEXEL_SRGB8, MR_WRAP_REPEAT } };
    for (uint32_t i = 0; i < 2; i++) {
        const mr_material materials[2] = { { .base_texture = i }, { .base_texture = i, .alpha_cutoff = 0.6f } };
        uint32_t through, solid;
        scene s = { .materials = materials };
        scene_instanced(&s, (int)i);
        mr_pack pack = scene_pack(&s);
        pack.materials = materials;
        pack.material_count = pack.texture_count = 2;
        pack.textures = textures;
        pack.texels = (const uint8_t *)texels;
        for (int round = 0; round < 3; round++) {
            for (int k = 0; k < BATCH; k++) rays[k] = nasty_ray(&s, 12);
            through = compare_with(&s, &pack, rays, BATCH);
            solid = compare(&s, rays, BATCH);
            assert_true(through > 100 && solid > through + 20);
        }
        scene_free(&s);
    }
}

static void coherent_rays_agree_with_the_reference(void **state)
{
    (void)state;
    static mr_ray rays[BATCH];
    scene s = { 0 };
    random_state = 9;
    scene_instanced(&s, MR_BVH_HIGH);
    for (int turn = 0; turn < 12; turn++) {
        float eye[3] = { random_in(-20, 20), random_in(-20, 20), random_in(-20, 20) };
        for (int i = 0; i < BATCH; i++) {
            rays[i] = (mr_ray){ { eye[0], eye[1], eye[2] }, 0, { 0, 0, 0 }, turn & 1 ? INFINITY : 30 };
            for (int a = 0; a < 3; a++) rays[i].dir[a] = -eye[a] + (float)(a == turn % 3 ? i % 32 : i / 32) * 0.4f;
        }
        (void)compare(&s, rays, BATCH);
    }
    scene_free(&s);
}

/* Runs of 64 rays that go one way each, every other one past everything: beams that begin far apart, and such as find nothing at all. */
static void beams_agree_with_the_reference(void **state)
{
    (void)state;
    static mr_ray rays[BATCH];
    scene s = { 0 };
    random_state = 21;
    scene_instanced(&s, MR_BVH_HIGH);
    for (int turn = 0; turn < 8; turn++) {
        float aim[3] = { 0 };
        for (int i = 0; i < BATCH; i++) {
            for (int a = 0; i % 64 == 0 && a < 3; a++) aim[a] = random_in(-10, 10);
            float away = i / 64 % 2 ? -1.0f : 1.0f;
            rays[i] = (mr_ray){ { 60, 1, 2 }, 0, { 0, 0, 0 }, 1000 };
            for (int a = 0; a < 3; a++) rays[i].dir[a] = away * (aim[a] - rays[i].org[a] + random_in(-1, 1));
        }
        (void)compare(&s, rays, BATCH);
    }
    scene_free(&s);
}

/* From a point inside, every direction hits: also exactly through vertices and along edges. */
static void closed_surfaces_have_no_gaps(void **state)
{
    (void)state;
    static mr_ray rays[BATCH];
    static answers is;
    scene s = { 0 };
    mr_kernel const *k;
    mr_error err;
    random_state = 3;
    scene_blob(&s, 24, 0.1f);
    s.bvh = mr_bvh_new(MR_BVH_HIGH, 1);
    assert_int_equal(scene_finish(&s, 0, s.triangle_count), MR_OK);
    assert_int_equal(mr_kernel_pick(&k, NULL, &err), MR_OK);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < BATCH; i++) {
            float p[3];
            point_on_triangle(&s, p);
            rays[i] = (mr_ray){ .tmin = 0, .tmax = INFINITY };
            for (int a = 0; a < 3; a++) {
                rays[i].org[a] = round & 1 ? random_in(-0.3f, 0.3f) : 0;
                rays[i].dir[a] = p[a] - rays[i].org[a];
            }
        }
        ask(k, s.bytes, NULL, rays, BATCH, BATCH, &is);
        for (int i = 0; i < BATCH; i++) {
            assert_int_not_equal(is.hits[i].triangle, MR_NONE);
            assert_true(fabsf(is.hits[i].t - 1) < 1e-3f);
            assert_int_equal(is.blocked[i], 1);
        }
    }
    scene_free(&s);
}

/* Against arithmetic of its own, in double: Möller and Trumbore 1997. Near edges the two may differ, so those are left out. */
static int double_hit(const scene *s, uint32_t i, const mr_ray *r, double *t, double *inside)
{
    double e[3], f[3], p[3], q[3], n[3], det = 0, u = 0, v = 0, w = 0;
    for (int a = 0; a < 3; a++) {
        const uint32_t *c = s->triangles[i].v;
        e[a] = (double)s->vertices[c[1]].p[a] - s->vertices[c[0]].p[a];
        f[a] = (double)s->vertices[c[2]].p[a] - s->vertices[c[0]].p[a];
        p[a] = (double)r->org[a] - s->vertices[c[0]].p[a];
    }
    for (int a = 0; a < 3; a++) {
        int b = (a + 1) % 3, c = (a + 2) % 3;
        q[a] = r->dir[b] * f[c] - r->dir[c] * f[b];
        n[a] = p[b] * e[c] - p[c] * e[b];
    }
    for (int a = 0; a < 3; a++) {
        det += e[a] * q[a];
        u += p[a] * q[a];
        v += r->dir[a] * n[a];
        w += f[a] * n[a];
    }
    u /= det;
    v /= det;
    *t = w / det;
    *inside = fmin(fmin(u, v), 1 - u - v);
    return *inside >= 0 && *t >= (double)r->tmin && *t <= (double)r->tmax;
}

/* Blades, a hundred times as long as wide, which spatial splits cut in the high tree and not in the medium one: a leaf that has another part of a blade may
 * not claim a hit and pull it to itself. */
static void split_blades_are_hit_where_whole_ones_are(void **state)
{
    (void)state;
    static mr_ray rays[BATCH];
    static answers is[2];
    uint32_t hits = 0, apart = 0;
    const mr_kernel *k;
    scene s[2] = { { 0 }, { 0 } };
    assert_int_equal(mr_kernel_pick(&k, NULL, NULL), MR_OK);
    for (int quality = 0; quality < 2; quality++) {
        random_state = 21;
        scene_soup(&s[quality], 40000, 0.3f, 0.0005f, 100);
        for (uint32_t i = 0; i < s[quality].triangle_count; i++) { /* the tip first: the edges from it are the two long ones */
            uint32_t *v = s[quality].triangles[i].v, base = v[0];
            v[0] = v[1];
            v[1] = v[2];
            v[2] = base;
        }
        s[quality].bvh = mr_bvh_new(quality, 2);
        assert_int_equal(scene_finish(&s[quality], 0, s[quality].triangle_count), MR_OK);
    }
    assert_true(s[1].size > s[0].size + s[0].size / 50); /* there are split ones */
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < BATCH; i++) {
            rays[i] = (mr_ray){ .tmax = INFINITY };
            for (int a = 0; a < 3; a++) rays[i].org[a] = random_in(-5, 5), rays[i].dir[a] = random_in(-0.3f, 0.3f) - rays[i].org[a];
        }
        for (int quality = 0; quality < 2; quality++) ask(k, s[quality].bytes, NULL, rays, BATCH, BATCH, &is[quality]);
        for (int i = 0; i < BATCH; i++) {
            const mr_hit *whole = &is[0].hits[i], *split = &is[1].hits[i];
            hits += whole->triangle != MR_NONE;
            apart += whole->triangle != split->triangle || !(whole->triangle == MR_NONE || fabsf(whole->t - split->t) <= 1e-4f * whole->t);
        }
    }
    print_message("%u of %u apart\n", apart, hits);
    assert_true(hits > 1000);
    assert_int_equal(apart, 0);
    for (int quality = 0; quality < 2; quality++) scene_free(&s[quality]);
}

static void hits_are_where_geometry_says(void **state)
{
    (void)state;
    static mr_ray rays[BATCH];
    static answers is;
    scene s = { 0 };
    const mr_kernel *k;
    mr_error err;
    int counted = 0;
    random_state = 11;
    scene_soup(&s, 300, 1, 0.5f, 1);
    s.bvh = mr_bvh_new(MR_BVH_HIGH, 1);
    assert_int_equal(scene_finish(&s, 0, s.triangle_count), MR_OK);
    assert_int_equal(mr_kernel_pick(&k, NULL, &err), MR_OK);
    for (int i = 0; i < BATCH; i++) {
        rays[i] = (mr_ray){ .tmin = 0.001f, .tmax = 100 };
        for (int a = 0; a < 3; a++) rays[i].org[a] = random_in(-2, 2), rays[i].dir[a] = random_in(-1, 1);
    }
    ask(k, s.bytes, NULL, rays, BATCH, BATCH, &is);
    for (int i = 0; i < BATCH; i++) {
        double best = INFINITY, t, inside;
        uint32_t triangle = MR_NONE;
        int doubtful = 0;
        for (uint32_t j = 0; j < s.triangle_count; j++) {
            int hit = double_hit(&s, j, &rays[i], &t, &inside);
            if (fabs(inside) < 1e-4) doubtful = 1;
            if (hit && t < best) best = t, triangle = j;
        }
        if (doubtful) continue;
        counted++;
        assert_int_equal(is.hits[i].triangle, triangle);
        assert_int_equal(is.blocked[i], triangle != MR_NONE);
        if (triangle != MR_NONE) assert_true(fabs(is.hits[i].t - best) < 1e-4 * best);
        else assert_true(is.hits[i].t == rays[i].tmax);
    }
    assert_true(counted > BATCH / 2);
    scene_free(&s);
}

/* A stretched, mirrored sphere: the hit lies on it, and t counts in |dir|. */
static void spheres_are_hit_on_their_surface(void **state)
{
    (void)state;
    static answers is;
    scene s = { 0 };
    const mr_kernel *k;
    mr_error err;
    const float m[12] = { -2, 0, 0, 10, 0, 3, 0, -1, 0, 0, 0.5f, 4 };
    mr_ray rays[3] = { { { 10, -1, -16 }, 0, { 0, 0, 2 }, 100 }, { { 10, -1, 4 }, 0, { 5, 0, 0 }, 100 }, { { 10, 5, -16 }, 0, { 0, 0, 1 }, 100 } };
    scene_instance(&s, MR_INSTANCE_SPHERE, m, 0, NULL, 0);
    s.bvh = mr_bvh_new(MR_BVH_MEDIUM, 1);
    assert_int_equal(scene_finish(&s, 0, 0), MR_OK);
    assert_int_equal(mr_kernel_pick(&k, NULL, &err), MR_OK);
    ask(k, s.bytes, NULL, rays, 3, 3, &is);
    assert_true(fabsf(is.hits[0].t - 9.75f) < 1e-4f); /* from outside */
    assert_true(fabsf(is.hits[1].t - 0.4f) < 1e-5f);  /* from inside */
    assert_int_equal(is.hits[0].triangle, MR_SPHERE);
    assert_int_equal(is.hits[0].instance, 1);
    assert_int_equal(is.hits[2].triangle, MR_NONE); /* past its pole at y = 2 */
    assert_int_equal(is.blocked[0], 1);
    assert_int_equal(is.blocked[2], 0);
    scene_free(&s);
}

static void shadows_pass_what_casts_none(void **state)
{
    (void)state;
    static answers is;
    scene s = { 0 };
    const mr_kernel *k;
    mr_error err;
    const float m[12] = { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0 };
    mr_ray ray = { { 0, 0, -5 }, 0, { 0, 0, 1 }, 100 };
    scene_instance(&s, MR_INSTANCE_SPHERE, m, 0, NULL, MR_INSTANCE_NO_SHADOW);
    s.bvh = mr_bvh_new(MR_BVH_MEDIUM, 1);
    assert_int_equal(scene_finish(&s, 0, 0), MR_OK);
    assert_int_equal(mr_kernel_pick(&k, NULL, &err), MR_OK);
    ask(k, s.bytes, NULL, &ray, 1, 1, &is);
    assert_int_equal(is.hits[0].instance, 1);
    assert_int_equal(is.blocked[0], 0);
    scene_free(&s);
}

/* NaN, infinity and zeros anywhere: nothing is hit, nothing hangs, and the neighbours in the batch do not notice. */
static void odd_rays_hit_nothing(void **state)
{
    (void)state;
    static const float odd[] = { NAN, INFINITY, -INFINITY, 1e30f };
    static mr_ray rays[BATCH];
    scene s = { 0 };
    random_state = 13;
    scene_instanced(&s, MR_BVH_HIGH);
    for (int i = 0; i < BATCH; i++) {
        rays[i] = (mr_ray){ { 15, 0.01f * (float)i, 3 }, 0, { -1, 0.001f * (float)i, 0.1f }, 100 };
        float *field = (float *)&rays[i] + i / 10 % 8;
        if (i % 10 == 0) *field = odd[i / 80 % 4];
        if (i % 10 == 5) memset(rays[i].dir, 0, sizeof rays[i].dir);
    }
    (void)compare(&s, rays, BATCH);
    for (int i = 0; i < BATCH; i++) {
        int blocked, nan = 0;
        for (int f = 0; f < 8; f++) nan |= isnan(((float *)&rays[i])[f]);
        if (!nan && i % 10 != 5) continue;
        assert_int_equal(reference_trace(s.bytes, NULL, &rays[i], 0, &blocked).triangle, MR_NONE);
    }
    scene_free(&s);
}

static void an_empty_scene_is_missed(void **state)
{
    (void)state;
    static mr_ray rays[BATCH];
    scene s = { 0 };
    s.bvh = mr_bvh_new(MR_BVH_HIGH, 2);
    assert_int_equal(scene_finish(&s, 0, 0), MR_OK);
    for (int i = 0; i < BATCH; i++) rays[i] = (mr_ray){ { 0, 0, 0 }, 0, { 1, 0, 0 }, INFINITY };
    assert_int_equal(compare(&s, rays, BATCH), 0);
    assert_int_equal(compare(&s, rays, 0), 0);
    scene_free(&s);
}

static void kernels_are_picked_by_name(void **state)
{
    (void)state;
    const mr_kernel *k = NULL, *last = NULL;
    mr_error err = { "" };
    assert_string_equal(mr_kernel_at(0)->name, "scalar");
    for (unsigned i = 0; mr_kernel_at(i); i++) {
        last = mr_kernel_at(i);
        assert_int_equal(mr_kernel_pick(&k, last->name, &err), MR_OK);
        assert_ptr_equal(k, last);
    }
    assert_int_equal(mr_kernel_pick(&k, NULL, &err), MR_OK);
    assert_ptr_equal(k, last);
    assert_int_equal(mr_kernel_pick(&k, "abacus", &err), MR_USAGE);
    assert_non_null(strstr(err.text, "scalar"));
    assert_ptr_equal(k, last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soups_agree_with_the_reference),   cmocka_unit_test(slivers_agree_with_the_reference),
        cmocka_unit_test(scales_agree_with_the_reference),  cmocka_unit_test(flat_things_agree_with_the_reference),
        cmocka_unit_test(instances_agree_with_the_reference), cmocka_unit_test(coherent_rays_agree_with_the_reference),
        cmocka_unit_test(beams_agree_with_the_reference),   cmocka_unit_test(holes_agree_with_the_reference),
        cmocka_unit_test(closed_surfaces_have_no_gaps),     cmocka_unit_test(hits_are_where_geometry_says),
        cmocka_unit_test(split_blades_are_hit_where_whole_ones_are),
        cmocka_unit_test(spheres_are_hit_on_their_surface), cmocka_unit_test(shadows_pass_what_casts_none),
        cmocka_unit_test(odd_rays_hit_nothing),             cmocka_unit_test(an_empty_scene_is_missed),
        cmocka_unit_test(kernels_are_picked_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
