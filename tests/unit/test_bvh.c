/* The BVH builder and the check of a section: trees are complete, bounded and the same for any number of threads; a damaged section is
 * refused or harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/bvh_scene.h"
#include "tracer/bvh_internal.h"
#include "tracer/kernel.h"

/* ---- walking a tree ---- */

typedef struct census {
    const scene *scene;
    uint32_t *seen; /* leaves that hold a triangle, by index */
    uint32_t instances;
    unsigned depth;
} census;

static int inside(const mr_bvh_node *node, int lane, const float lo[3], const float hi[3])
{
    for (int a = 0; a < 3; a++)
        if (lo[a] < node->row[2 * a][lane] || hi[a] > node->row[2 * a + 1][lane]) return 0;
    return 1;
}

static void count_leaf(census *c, const mr_bvh_leaf *leaf)
{
    const float *row = mr_bvh_leaf_rows(leaf);
    assert_in_range(leaf->count, 1, 8);
    for (uint32_t k = 0; k < leaf->count; k++) {
        uint32_t t = leaf->triangle[k];
        assert_true(t < c->scene->triangle_count);
        assert_true(k == 0 || leaf->triangle[k - 1] < t);
        c->seen[t]++;
        for (uint32_t v = 0; v < 3; v++)
            for (uint32_t a = 0; a < 3; a++) assert_true(row[(3 * v + a) * leaf->count + k] == c->scene->vertices[c->scene->triangles[t].v[v]].p[a]);
    }
}

/* Counts what a tree holds; boxes must lie in their parents' boxes. */
static void take_census(census *c, uint32_t ref, unsigned depth, const float lo[3], const float hi[3])
{
    const mr_bvh_node *node = (const void *)(c->scene->bytes + mr_ref_offset(ref));
    if (depth > c->depth) c->depth = depth;
    for (int i = 0; i < 8; i++) {
        float l[3], h[3];
        uint32_t child = node->child[i];
        if (child == MR_REF_EMPTY) continue;
        for (int a = 0; a < 3; a++) {
            l[a] = node->row[2 * a][i];
            h[a] = node->row[2 * a + 1][i];
            assert_true(l[a] <= h[a] && l[a] >= lo[a] && h[a] <= hi[a]);
        }
        const void *at = c->scene->bytes + mr_ref_offset(child);
        if ((child & MR_REF_KIND) == MR_REF_NODE) {
            take_census(c, child, depth + 1, l, h);
        } else if ((child & MR_REF_KIND) == MR_REF_LEAF) {
            assert_true(inside(node, i, ((const mr_bvh_leaf *)at)->lo, ((const mr_bvh_leaf *)at)->hi));
            count_leaf(c, at);
        } else {
            assert_int_equal(child & MR_REF_KIND, MR_REF_INSTANCE);
            c->instances++;
        }
    }
}

static census census_of(const scene *s)
{
    census c = { .scene = s, .seen = calloc(s->triangle_count + 1, sizeof *c.seen) };
    const float lo[3] = { -INFINITY, -INFINITY, -INFINITY }, hi[3] = { INFINITY, INFINITY, INFINITY };
    take_census(&c, 0, 1, lo, hi);
    return c;
}

/* ---- the builder ---- */

static void every_triangle_is_in_a_leaf(void **state)
{
    (void)state;
    for (int quality = 0; quality < 2; quality++) {
        scene s = { 0 };
        random_state = 1;
        scene_soup(&s, 2000, 1, 0.002f, 100); /* needles: what spatial splits are for */
        s.bvh = mr_bvh_new(quality, 1);
        assert_int_equal(scene_finish(&s, 0, s.triangle_count), MR_OK);
        census c = census_of(&s);
        uint32_t more = 0;
        for (uint32_t i = 0; i < s.triangle_count; i++) {
            assert_true(c.seen[i] >= 1);
            more += c.seen[i] > 1;
        }
        assert_true(quality ? more > 0 : more == 0); /* spatial splits cut some */
        assert_true(c.depth <= MR_BVH_MAX_DEPTH);
        mr_pack p = scene_pack(&s);
        mr_error err;
        assert_int_equal(mr_bvh_check(&p, "soup", &err), MR_OK);
        free(c.seen);
        scene_free(&s);
    }
}

static void degenerate_and_infinite_triangles_are_left_out(void **state)
{
    (void)state;
    scene s = { 0 };
    scene_soup(&s, 6, 1, 1, 1);
    s.vertices[0].p[0] = NAN;
    s.vertices[4].p[1] = INFINITY;
    s.vertices[8].p[2] = 1e13f;
    memcpy(s.vertices[9].p, s.vertices[10].p, 12);
    s.bvh = mr_bvh_new(MR_BVH_HIGH, 1);
    assert_int_equal(scene_finish(&s, 0, s.triangle_count), MR_OK);
    census c = census_of(&s);
    const uint32_t want[6] = { 0, 0, 0, 0, 1, 1 };
    for (int i = 0; i < 6; i++) assert_int_equal(c.seen[i] > 0, want[i]);
    for (int a = 0; a < 6; a++) assert_true(fabsf(s.bounds[a]) <= 3);
    free(c.seen);
    scene_free(&s);
}

/* Nested triangles, each half the size of the one before, and thousands in one place: what drives a heuristic into depth. */
static void scene_nest(scene *s)
{
    for (int i = 0; i < 6000; i++) {
        float x = i < 3000 ? ldexpf(1, 39 - i % 150) : 1;
        uint32_t v = scene_vertex(s, x, 0, 0);
        scene_vertex(s, x, x * 1e-3f, 0);
        scene_vertex(s, x, 0, x * 1e-3f);
        scene_triangle(s, v, v + 1, v + 2);
    }
}

static int depth_below(const mr_bvh2 *tree, mr_bvh2_at at)
{
    if (at.node == MR_BVH2_SINGLE) return 0;
    int l = depth_below(tree, bvh2_left(tree, at)), r = depth_below(tree, bvh2_right(tree, at));
    return 1 + (l > r ? l : r);
}

static void the_binary_tree_keeps_to_its_depth(void **state)
{
    (void)state;
    enum { N = 3000 };
    for (int limit = 32; limit <= 96; limit += 32) {
        scene s = { 0 };
        scene_nest(&s);
        mr_bvh_source source = { .vertices = s.vertices, .triangles = s.triangles };
        mr_bvh2 tree = { .room = mr_bvh2_room(N, MR_BVH_HIGH), .count = N, .bounds = box_empty(), .middles = box_empty() };
        mr_bvh2_ref *spare = malloc(tree.room * sizeof *spare);
        tree.refs = malloc(tree.room * sizeof *tree.refs);
        tree.nodes = malloc(tree.room * sizeof *tree.nodes);
        for (uint32_t i = 0; i < N; i++) {
            const float *p = s.vertices[s.triangles[i].v[0]].p;
            box b = { { p[0], 0, 0, 0 }, { p[0], p[0] * 1e-3f, p[0] * 1e-3f, 0 } };
            ref_set(&tree.refs[i], b, i);
            tree.bounds = box_union(tree.bounds, b);
            tree.middles = box_union(tree.middles, (box){ box_middle(b), box_middle(b) });
        }
        assert_int_equal(mr_bvh2_build(&tree, &source, spare, NULL, limit), 0);
        int depth = depth_below(&tree, tree.root);
        assert_true(depth <= limit);
        if (limit == 32) assert_true(depth > 20); /* or this test would not test much */
        free(spare);
        free(tree.refs);
        free(tree.nodes);
        scene_free(&s);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (int quality = 0; quality < 2; quality++) {
        scene s = { 0 };
        scene_nest(&s);
        s.bvh = mr_bvh_new(quality, 1);
        assert_int_equal(scene_finish(&s, 0, s.triangle_count), MR_OK);
        census c = census_of(&s);
        assert_true(c.depth <= MR_BVH_MAX_DEPTH);
        for (uint32_t i = 0; i < s.triangle_count; i++) assert_true(c.seen[i] >= 1);
        free(c.seen);
        scene_free(&s);
    }
}

static void build_with(scene *s, int quality, int threads)
{
    random_state = 4;
    scene_soup(s, 40000, 1, 0.04f, 2); /* enough for jobs, and for the crew to split the root together */
    s->bvh = mr_bvh_new(quality, threads);
    assert_int_equal(scene_finish(s, 0, s->triangle_count), MR_OK);
}

static void threads_change_no_byte(void **state)
{
    (void)state;
    for (int quality = 0; quality < 2; quality++) {
        scene one = { 0 }, more = { 0 };
        build_with(&one, quality, 1);
        for (int threads = 2; threads < 5; threads += 2) {
            build_with(&more, quality, threads);
            assert_int_equal(one.size, more.size);
            assert_memory_equal(one.bytes, more.bytes, one.size);
            scene_free(&more);
        }
        scene_free(&one);
    }
}

/* The same triangles as a soup and with indices give the same bytes. */
static void a_soup_is_a_mesh(void **state)
{
    (void)state;
    scene s = { 0 };
    float bounds[6];
    mr_error err = { "" };
    build_with(&s, MR_BVH_HIGH, 2);
    float *corners = malloc((size_t)s.triangle_count * 9 * sizeof *corners);
    for (uint32_t i = 0; i < s.triangle_count * 3; i++) memcpy(corners + (size_t)i * 3, s.vertices[s.triangles[i / 3].v[i % 3]].p, 12);
    mr_bvh *soup = mr_bvh_new(MR_BVH_HIGH, 2);
    assert_int_equal(mr_bvh_finish_soup(soup, corners, s.triangle_count, bounds, &err), MR_OK);
    size_t size;
    const void *bytes = mr_bvh_bytes(soup, &size);
    assert_int_equal(size, s.size);
    assert_memory_equal(bytes, s.bytes, size);
    assert_memory_equal(bounds, s.bounds, sizeof bounds);
    assert_int_equal(mr_bvh_finish_soup(soup, corners, s.triangle_count, bounds, &err), MR_FAILED);
    mr_bvh_free(soup);
    free(corners);
    scene_free(&s);
}

static void instances_stand_in_the_top_level_tree(void **state)
{
    (void)state;
    scene s = { 0 };
    mr_error err;
    random_state = 6;
    scene_instanced(&s, MR_BVH_HIGH);
    census c = census_of(&s);
    assert_int_equal(c.instances, s.instance_count - 1);
    mr_pack p = scene_pack(&s);
    assert_int_equal(mr_bvh_check(&p, "instances", &err), MR_OK);
    free(c.seen);
    scene_free(&s);
}

static void a_mesh_without_surface_is_no_instance(void **state)
{
    (void)state;
    scene s = { 0 };
    uint32_t root;
    float bounds[6];
    const float m[12] = { 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0 };
    mr_error err;
    s.bvh = mr_bvh_new(MR_BVH_HIGH, 1);
    assert_int_equal(mr_bvh_add_mesh(s.bvh, NULL, NULL, 0, 0, &root, bounds, &err), MR_OK);
    scene_instance(&s, MR_INSTANCE_MESH, m, root, bounds, 0);
    assert_int_equal(scene_finish(&s, 0, 0), MR_OK);
    census c = census_of(&s);
    assert_int_equal(c.instances, 0);
    free(c.seen);
    scene_free(&s);
}

/* ---- the check ---- */

/* A copy of the section, aligned, that a test may damage. */
static mr_pack damaged_pack(const scene *s, uint8_t **copy)
{
    mr_pack p = scene_pack(s);
    *copy = aligned_alloc(64, (s->size + 63) / 64 * 64);
    memcpy(*copy, s->bytes, s->size);
    p.bvh = *copy;
    return p;
}

static void small_scene(scene *s)
{
    float bounds[6], m[12];
    uint32_t root, first;
    mr_error err;
    random_state = 21;
    s->bvh = mr_bvh_new(MR_BVH_HIGH, 1);
    scene_soup(s, 20, 1, 0.4f, 1);
    first = s->triangle_count;
    scene_soup(s, 30, 5, 1, 1);
    assert_int_equal(mr_bvh_add_mesh(s->bvh, s->vertices, s->triangles, 0, first, &root, bounds, &err), MR_OK);
    for (int i = 0; i < 3; i++) {
        random_matrix(m, 4);
        scene_instance(s, MR_INSTANCE_MESH, m, root, bounds, 0);
    }
    scene_instance(s, MR_INSTANCE_SPHERE, m, 0, NULL, 0);
    assert_int_equal(scene_finish(s, first, s->triangle_count - first), MR_OK);
}

static void trace_with(const mr_kernel *k, const scene *s, const uint8_t *bvh)
{
    enum { N = 48, SCRATCH_MAX = 1 << 19 };
    static char scratch[SCRATCH_MAX] __attribute__((aligned(64)));
    mr_ray rays[N];
    mr_hit hits[N];
    uint8_t blocked[N];
    uint64_t state = random_state;
    assert_true(k->scratch_bytes <= SCRATCH_MAX);
    random_state = 22;
    for (int i = 0; i < N; i++) rays[i] = nasty_ray(s, 5);
    random_state = state;
    k->intersect(bvh, NULL, rays, N, hits, scratch);
    k->occluded(bvh, NULL, rays, N, blocked, scratch);
    for (int i = 0; i < N; i++) {
        assert_true(hits[i].triangle < s->triangle_count || hits[i].triangle == MR_NONE || hits[i].triangle == MR_SPHERE);
        assert_true(hits[i].instance < s->instance_count);
    }
}

/* By one kernel after the other. */
static void trace_some(const scene *s, const uint8_t *bvh)
{
    static unsigned turn;
    const mr_kernel *k = mr_kernel_at(turn++);
    if (!k) k = mr_kernel_at(turn = 0);
    trace_with(k, s, bvh);
}

static void a_damaged_section_is_refused_or_harmless(void **state)
{
    (void)state;
    static const uint8_t flips[] = { 0x01, 0xA0 };
    scene s = { 0 };
    uint8_t *bytes;
    mr_error err = { "" };
    uint32_t refused = 0, accepted = 0;
    small_scene(&s);
    mr_pack p = damaged_pack(&s, &bytes);
    assert_int_equal(mr_bvh_check(&p, "copy", &err), MR_OK);
    for (size_t i = 0; i < s.size; i++)
        for (unsigned f = 0; f < sizeof flips; f++) {
            bytes[i] ^= flips[f];
            if (mr_bvh_check(&p, "copy", &err) == MR_OK) {
                if (accepted++ % 4 == 0) trace_some(&s, bytes);
            } else {
                refused++;
                assert_non_null(strstr(err.text, "copy"));
            }
            bytes[i] ^= flips[f];
        }
    assert_true(refused > 100 && accepted > 100);
    free(bytes);
    scene_free(&s);
}

static void a_section_of_noise_is_refused_or_harmless(void **state)
{
    (void)state;
    scene s = { 0 };
    uint8_t *bytes;
    mr_error err;
    small_scene(&s);
    mr_pack p = damaged_pack(&s, &bytes);
    for (int round = 0; round < 3000; round++) {
        memcpy(bytes, s.bytes, s.size);
        for (uint32_t n = 1 + random_bits() % 8; n; n--) {
            size_t at = random_bits() % (s.size / 4) * 4, from = random_bits() % (s.size / 4) * 4;
            memcpy(bytes + at, random_bits() & 1 ? bytes + from : (const uint8_t *)&random_state, 4);
        }
        if (mr_bvh_check(&p, "noise", &err) == MR_OK) trace_some(&s, bytes);
    }
    free(bytes);
    scene_free(&s);
}

static void refused(const scene *s, mr_pack *p, uint8_t *bytes, size_t at, uint32_t value, const char *because)
{
    mr_error err = { "" };
    uint32_t old;
    memcpy(&old, bytes + at, 4);
    memcpy(bytes + at, &value, 4);
    assert_int_equal(mr_bvh_check(p, "bad", &err), MR_BAD_INPUT);
    if (!strstr(err.text, because)) fail_msg("\"%s\" does not say \"%s\"", err.text, because);
    memcpy(bytes + at, &old, 4);
    assert_int_equal(mr_bvh_check(p, "good again", &err), MR_OK);
    (void)s;
}

static void the_check_names_what_is_wrong(void **state)
{
    (void)state;
    scene s = { 0 };
    uint8_t *bytes;
    small_scene(&s);
    mr_pack p = damaged_pack(&s, &bytes);
    const mr_bvh_node *root = (const mr_bvh_node *)(void *)bytes;
    size_t child = offsetof(mr_bvh_node, child), leaf = 0, instance = 0;
    for (int i = 0; i < 8; i++) {
        if ((root->child[i] & MR_REF_KIND) == MR_REF_LEAF && root->child[i] != MR_REF_EMPTY) leaf = mr_ref_offset(root->child[i]);
        if ((root->child[i] & MR_REF_KIND) == MR_REF_INSTANCE) instance = mr_ref_offset(root->child[i]);
    }
    assert_true(leaf && instance);
    refused(&s, &p, bytes, child, 0, "before its parent");
    refused(&s, &p, bytes, child, MR_REF_EXIT | 64, "no known kind");
    refused(&s, &p, bytes, child, MR_REF_EMPTY | 1, "no known kind");
    refused(&s, &p, bytes, child, 0x1FFFFFFF, "beyond the end");
    refused(&s, &p, bytes, child, (uint32_t)(s.size / MR_BVH_UNIT - 1), "beyond the end");
    refused(&s, &p, bytes, child, (root->child[0] & MR_REF_OFFSET) + 1, "multiple of 64 bytes");
    refused(&s, &p, bytes, leaf + offsetof(mr_bvh_leaf, count), 0, "not 1 to 8");
    refused(&s, &p, bytes, leaf + offsetof(mr_bvh_leaf, count), 9, "not 1 to 8");
    refused(&s, &p, bytes, child, root->child[1], "reached twice");
    refused(&s, &p, bytes, leaf + offsetof(mr_bvh_leaf, triangle), s.triangle_count, "triangle that does not exist");
    refused(&s, &p, bytes, instance + offsetof(mr_bvh_instance, instance), s.instance_count, "instance that does not exist");
    refused(&s, &p, bytes, instance + offsetof(mr_bvh_instance, instance), 0, "instance that does not exist");
    refused(&s, &p, bytes, instance + offsetof(mr_bvh_instance, root), 1, "differs");
    refused(&s, &p, bytes, instance, 0x7F800000, "differs");
    free(bytes);
    scene_free(&s);
}

static void a_cut_section_is_refused(void **state)
{
    (void)state;
    scene s = { 0 };
    mr_error err;
    small_scene(&s);
    mr_pack p = scene_pack(&s);
    /* The last block may end with up to 48 bytes that nothing needs. */
    for (p.bvh_bytes = 0; p.bvh_bytes < s.size - MR_BVH_TAIL - 48; p.bvh_bytes += 8) assert_int_equal(mr_bvh_check(&p, "cut", &err), MR_BAD_INPUT);
    scene_free(&s);
}

/* A chain of nodes, each the only child of the one before. */
static void chain(uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        mr_bvh_node *n = (mr_bvh_node *)(void *)(bytes + (size_t)i * sizeof *n);
        memset(n, 0, sizeof *n);
        for (int k = 0; k < 8; k++) n->child[k] = MR_REF_EMPTY;
        if (i + 1 < length) n->child[3] = (i + 1) * (uint32_t)(sizeof *n / MR_BVH_UNIT);
    }
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    size_t size = (MR_BVH_MAX_DEPTH + 1) * sizeof(mr_bvh_node);
    uint8_t *bytes = aligned_alloc(64, size);
    mr_pack p = { .bvh = bytes, .bvh_bytes = size };
    mr_error err;
    chain(bytes, MR_BVH_MAX_DEPTH);
    assert_int_equal(mr_bvh_check(&p, "chain", &err), MR_OK);
    chain(bytes, MR_BVH_MAX_DEPTH + 1);
    assert_int_equal(mr_bvh_check(&p, "chain", &err), MR_BAD_INPUT);
    assert_non_null(strstr(err.text, "too long"));
    free(bytes);
}

/* The deepest and fullest trees that the check lets pass, in a mesh in the world: every box is hit, and the stacks must hold it. */
static uint32_t full_tree(uint8_t *bytes, uint32_t at, uint32_t *end, unsigned depth)
{
    mr_bvh_node *n = (mr_bvh_node *)(void *)(bytes + (size_t)at * MR_BVH_UNIT);
    for (int k = 0; k < 8; k++) {
        for (int r = 0; r < 6; r++) n->row[r][k] = r & 1 ? 1e9f : -1e9f;
        n->child[k] = MR_REF_EMPTY;
    }
    for (int k = 0; k < 8; k++) {
        if (k < 7 || depth == 1) {
            mr_bvh_leaf *leaf = (mr_bvh_leaf *)(void *)(bytes + (size_t)*end * MR_BVH_UNIT);
            memset(leaf, 0, mr_bvh_leaf_bytes(1));
            leaf->count = 1;
            n->child[k] = *end | MR_REF_LEAF;
            *end += mr_bvh_leaf_bytes(1) / MR_BVH_UNIT;
            continue;
        }
        *end = (*end + 3) / 4 * 4; /* nodes stand at multiples of 64 bytes */
        n->child[k] = *end;
        *end += sizeof *n / MR_BVH_UNIT;
        (void)full_tree(bytes, n->child[k], end, depth - 1);
    }
    return at;
}

static void the_deepest_trees_fit_the_stacks(void **state)
{
    (void)state;
    size_t size = 2 * MR_BVH_MAX_DEPTH * (sizeof(mr_bvh_node) + 8 * mr_bvh_leaf_bytes(8));
    uint8_t *bytes = aligned_alloc(64, size);
    mr_instance instances[2] = { 0 };
    scene s = { .instances = instances, .instance_count = 2 };
    mr_error err = { "" };
    memset(bytes, 0, size);
    uint32_t end = sizeof(mr_bvh_node) / MR_BVH_UNIT;
    (void)full_tree(bytes, 0, &end, MR_BVH_MAX_DEPTH);
    mr_bvh_node *last = (mr_bvh_node *)(void *)bytes; /* the deepest node's deepest child becomes the instance */
    while ((last->child[7] & MR_REF_KIND) == MR_REF_NODE) last = (mr_bvh_node *)(void *)(bytes + mr_ref_offset(last->child[7]));
    for (int i = 0; i < 3; i++) instances[1].to_object[5 * i] = 1;
    instances[1].bvh_root = (end + 3) / 4 * 4 + 8; /* the instance takes more than the leaf in whose place it stands */
    end = instances[1].bvh_root + sizeof(mr_bvh_node) / MR_BVH_UNIT;
    (void)full_tree(bytes, instances[1].bvh_root, &end, MR_BVH_MAX_DEPTH);
    mr_bvh_instance *record = (mr_bvh_instance *)(void *)(bytes + mr_ref_offset(last->child[7]));
    memset(record, 0, sizeof *record);
    memcpy(record->to_object, instances[1].to_object, sizeof record->to_object);
    for (int a = 0; a < 3; a++) record->lo[a] = -1e9f, record->hi[a] = 1e9f;
    record->instance = 1;
    record->root = instances[1].bvh_root;
    last->child[7] = (last->child[7] & MR_REF_OFFSET) | MR_REF_INSTANCE;
    end += MR_BVH_TAIL / MR_BVH_UNIT;
    assert_true((size_t)end * MR_BVH_UNIT <= size);
    mr_pack p = { .bvh = bytes, .bvh_bytes = (size_t)end * MR_BVH_UNIT, .triangle_count = 1, .instances = instances, .instance_count = 2 };
    if (mr_bvh_check(&p, "deep", &err)) fail_msg("%s", err.text);
    s.vertices = calloc(3, sizeof *s.vertices);
    s.triangles = calloc(1, sizeof *s.triangles);
    s.triangle_count = 1;
    for (unsigned k = 0; mr_kernel_at(k); k++) trace_with(mr_kernel_at(k), &s, bytes);
    free(s.vertices);
    free(s.triangles);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_triangle_is_in_a_leaf),
        cmocka_unit_test(degenerate_and_infinite_triangles_are_left_out),
        cmocka_unit_test(the_binary_tree_keeps_to_its_depth),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(threads_change_no_byte),
        cmocka_unit_test(a_soup_is_a_mesh),
        cmocka_unit_test(instances_stand_in_the_top_level_tree),
        cmocka_unit_test(a_mesh_without_surface_is_no_instance),
        cmocka_unit_test(a_damaged_section_is_refused_or_harmless),
        cmocka_unit_test(a_section_of_noise_is_refused_or_harmless),
        cmocka_unit_test(the_check_names_what_is_wrong),
        cmocka_unit_test(a_cut_section_is_refused),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
        cmocka_unit_test(the_deepest_trees_fit_the_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
