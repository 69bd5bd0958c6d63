/* Scenes and rays for the tests of the BVH and the kernels, and the reference: every leaf and instance of a section, none culled,
 * by the very rule of tracer/kernel_hit.h. */
#ifndef TEST_BVH_SCENE_H
#define TEST_BVH_SCENE_H

#define MR_KERNEL_scalar
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/bvh.h"
#include "tracer/bvh_format.h"
#include "tracer/kernel_hit.h"

/* Ownership: everything is malloc'd, scene_free frees it. */
typedef struct scene {
    mr_vertex *vertices;
    mr_triangle *triangles;
    uint32_t vertex_count, triangle_count, instance_count;
    mr_instance *instances; /* 0: the world */
    float (*mesh_bounds)[6];
    mr_bvh *bvh;
    const uint8_t *bytes;
    size_t size;
    float bounds[6];
    const mr_material *materials; /* NULL: nothing has holes; otherwise material 1 has them */
} scene;

static uint64_t random_state = 1;

static inline uint32_t random_bits(void) /* splitmix64 */
{
    uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (uint32_t)(z >> 32);
}

static inline float random_in(float lo, float hi)
{
    return lo + (hi - lo) * (float)(random_bits() >> 8) * 0x1p-24f;
}

/* Room for one more element; doubles at powers of two. */
static inline void *scene_room(void *array, uint32_t count, size_t size)
{
    if (count & (count - 1)) return array;
    array = realloc(array, (count ? 2 * (size_t)count : 1) * size);
    if (!array) abort();
    return array;
}

static inline uint32_t scene_vertex(scene *s, float x, float y, float z)
{
    s->vertices = scene_room(s->vertices, s->vertex_count, sizeof *s->vertices);
    s->vertices[s->vertex_count] = (mr_vertex){ .p = { x, y, z } };
    return s->vertex_count++;
}

static inline void scene_triangle(scene *s, uint32_t a, uint32_t b, uint32_t c)
{
    s->triangles = scene_room(s->triangles, s->triangle_count, sizeof *s->triangles);
    s->triangles[s->triangle_count++] = (mr_triangle){ { a, b, c }, 0 };
}

/* Triangles about random points: `size` of an edge, in a cube of half side `extent`. stretch > 1 makes slivers. */
static inline void scene_soup(scene *s, uint32_t count, float extent, float size, float stretch)
{
    for (uint32_t i = 0; i < count; i++) {
        float c[3], e[3];
        for (int a = 0; a < 3; a++) {
            c[a] = random_in(-extent, extent);
            e[a] = random_in(-1, 1) * size * stretch;
        }
        uint32_t v = scene_vertex(s, c[0], c[1], c[2]);
        scene_vertex(s, c[0] + e[0], c[1] + e[1], c[2] + e[2]);
        scene_vertex(s, c[0] + random_in(-size, size), c[1] + random_in(-size, size), c[2] + random_in(-size, size));
        scene_triangle(s, v, v + 1, v + 2);
    }
}

/* A closed star-shaped surface about the origin: n x 2n quads, radius 1 with bumps. Returns the first triangle. */
static inline uint32_t scene_blob(scene *s, uint32_t n, float bump)
{
    uint32_t first = s->triangle_count, base = s->vertex_count, m = 2 * n;
    for (uint32_t i = 0; i <= n; i++)
        for (uint32_t j = 0; j < m; j++) {
            double th = M_PI * i / n, ph = 2 * M_PI * j / m, r = 1 + bump * sin(5 * th) * sin(3 * ph);
            if (i == 0 || i == n) r = 1;
            scene_vertex(s, (float)(r * sin(th) * cos(ph)), (float)(r * cos(th)), (float)(r * sin(th) * sin(ph)));
        }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < m; j++) {
            uint32_t k = (j + 1) % m, a = base + i * m + j, b = base + i * m + k, c = base + (i + 1) * m + j, d = base + (i + 1) * m + k;
            if (i == 0) a = b = base; /* one vertex a pole */
            if (i == n - 1) c = d = base + n * m;
            if (a != b) scene_triangle(s, a, b, d);
            if (c != d) scene_triangle(s, a, d, c);
        }
    return first;
}

/* A flat grid in the plane y = height: exact coordinates, coplanar triangles. */
static inline void scene_floor(scene *s, uint32_t n, float side, float height)
{
    uint32_t base = s->vertex_count;
    for (uint32_t i = 0; i <= n; i++)
        for (uint32_t j = 0; j <= n; j++) scene_vertex(s, side * (float)i / (float)n - side / 2, height, side * (float)j / (float)n - side / 2);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            uint32_t a = base + i * (n + 1) + j;
            scene_triangle(s, a, a + 1, a + n + 2);
            scene_triangle(s, a, a + n + 2, a + n + 1);
        }
}

/* Inverse of a 3x4 affine matrix, in double. */
static inline void invert(const float m[12], float out[12])
{
    double r[9], det = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            int a = (j + 1) % 3, b = (j + 2) % 3, c = (i + 1) % 3, d = (i + 2) % 3;
            r[3 * i + j] = (double)m[4 * a + c] * m[4 * b + d] - (double)m[4 * a + d] * m[4 * b + c];
        }
    for (int j = 0; j < 3; j++) det += m[j] * r[3 * j];
    for (int i = 0; i < 3; i++) {
        double t = 0;
        for (int j = 0; j < 3; j++) {
            out[4 * i + j] = (float)(r[3 * i + j] / det);
            t -= r[3 * i + j] / det * m[4 * j + 3];
        }
        out[4 * i + 3] = (float)t;
    }
}

static inline uint32_t scene_instance(scene *s, uint32_t kind, const float to_world[12], uint32_t root, const float *bounds, uint32_t flags)
{
    if (!s->instance_count) {
        s->instances = calloc(64, sizeof *s->instances);
        s->mesh_bounds = calloc(64, sizeof *s->mesh_bounds);
        s->instance_count = 1;
        for (int i = 0; i < 3; i++) s->instances[0].to_world[5 * i] = s->instances[0].to_object[5 * i] = 1;
        s->instances[0].material = MR_NONE;
    }
    mr_instance *i = &s->instances[s->instance_count];
    memcpy(i->to_world, to_world, sizeof i->to_world);
    invert(to_world, i->to_object);
    i->kind = kind;
    i->flags = flags;
    i->bvh_root = root;
    i->material = i->light = MR_NONE;
    if (bounds) memcpy(s->mesh_bounds[s->instance_count], bounds, sizeof *s->mesh_bounds);
    return s->instance_count++;
}

/* A random affine map: rotation-like, scaled by 0.2 to 3 along each axis, mirrored now and then. */
static inline void random_matrix(float m[12], float reach)
{
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) m[4 * i + j] = random_in(-0.7f, 0.7f);
        m[5 * i] += (random_bits() & 1 ? 1.0f : -1.0f) * random_in(1.6f, 3);
        m[4 * i + 3] = random_in(-reach, reach);
    }
}

/* The world's triangles: first .. first + count - 1. 0 when it worked. */
static inline int scene_finish(scene *s, uint32_t first, uint32_t count)
{
    mr_error err;
    int status = mr_bvh_finish(s->bvh, s->vertices, s->triangles, first, count, s->instances, s->instance_count,
                               (const float(*)[6])s->mesh_bounds, s->bounds, &err);
    s->bytes = mr_bvh_bytes(s->bvh, &s->size);
    return status;
}

static inline void scene_free(scene *s)
{
    mr_bvh_free(s->bvh);
    free(s->vertices);
    free(s->triangles);
    free(s->instances);
    free(s->mesh_bounds);
    memset(s, 0, sizeof *s);
}

static inline mr_pack scene_pack(const scene *s)
{
    mr_pack p = { .bvh = s->bytes, .bvh_bytes = s->size, .triangles = s->triangles, .triangle_count = s->triangle_count,
                  .vertices = s->vertices, .vertex_count = s->vertex_count, .instances = s->instances, .instance_count = s->instance_count };
    return p;
}

/* ---- scenes with everything in them ---- */

/* Gives half of the triangles material 1, and all vertices texture coordinates. */
static inline void scene_holes(scene *s)
{
    for (uint32_t i = 0; i < s->triangle_count; i++) s->triangles[i].material = random_bits() & 1;
    for (uint32_t i = 0; i < s->vertex_count; i++)
        for (int a = 0; a < 2; a++) s->vertices[i].uv[a] = random_in(-2, 2);
}

/* A soup in the world, two meshes in 12 instances, spheres, one of them without a shadow. */
static inline void scene_instanced(scene *s, int quality)
{
    float bounds[2][6], m[12];
    uint32_t root[2], at[4];
    mr_error err;
    s->bvh = mr_bvh_new(quality, 1);
    at[0] = scene_blob(s, 8, 0.2f);
    at[1] = s->triangle_count;
    scene_soup(s, 40, 1, 0.4f, 1);
    at[2] = s->triangle_count;
    scene_soup(s, 300, 10, 1, 2);
    scene_floor(s, 4, 30, -2);
    at[3] = s->triangle_count;
    if (s->materials) scene_holes(s);
    for (int i = 0; i < 2; i++) {
        mr_bvh_set_holes(s->bvh, s->materials, s->materials && i == 1);
        mr_bvh_add_mesh(s->bvh, s->vertices, s->triangles, at[i], at[i + 1] - at[i], &root[i], bounds[i], &err);
    }
    for (int i = 0; i < 12; i++) {
        random_matrix(m, 10);
        scene_instance(s, MR_INSTANCE_MESH, m, root[i & 1], bounds[i & 1], i == 5 ? MR_INSTANCE_NO_SHADOW : 0);
        if (s->materials && i >= 9) s->instances[s->instance_count - 1].material = i & 1; /* instead of the triangles' own */
    }
    for (int i = 0; i < 8; i++) {
        random_matrix(m, 10);
        scene_instance(s, MR_INSTANCE_SPHERE, m, 0, NULL, i == 3 ? MR_INSTANCE_NO_SHADOW : 0);
    }
    mr_bvh_set_holes(s->bvh, s->materials, 0);
    (void)scene_finish(s, at[2], at[3] - at[2]);
}

/* ---- rays ---- */

static inline float nasty_float(void)
{
    static const float list[] = { 0, -0.0f, 1, -1, 1e-20f, -1e-20f, 1e-38f, 1e-45f, 0x1p-12f, 1e6f, -1e6f, 1 };
    return list[random_bits() % (sizeof list / sizeof *list)];
}

static inline void point_on_triangle(const scene *s, float p[3])
{
    const mr_triangle *t = &s->triangles[random_bits() % s->triangle_count];
    float u = random_in(0, 1), v = random_in(0, 1 - u);
    switch (random_bits() % 3) {
    case 0: u = 0; break;         /* on an edge */
    case 1: u = v = 0; break;     /* a vertex */
    default: break;
    }
    for (int a = 0; a < 3; a++) {
        float o = s->vertices[t->v[0]].p[a];
        p[a] = o + u * (s->vertices[t->v[1]].p[a] - o) + v * (s->vertices[t->v[2]].p[a] - o);
    }
}

/* A ray that looks for trouble: at vertices and edges, in planes, along axes, from far away, from surfaces, with odd limits. */
static inline mr_ray nasty_ray(const scene *s, float extent)
{
    mr_ray r = { .tmin = 0, .tmax = INFINITY };
    float p[3], q[3];
    point_on_triangle(s, p);
    point_on_triangle(s, q);
    for (int a = 0; a < 3; a++) r.org[a] = random_in(-2 * extent, 2 * extent);
    for (int a = 0; a < 3; a++) r.dir[a] = random_in(-1, 1);
    switch (random_bits() % 8) {
    case 0: for (int a = 0; a < 3; a++) r.dir[a] = p[a] - r.org[a]; break;
    case 1: for (int a = 0; a < 3; a++) { r.org[a] = q[a]; r.dir[a] = p[a] - q[a]; } break;
    case 2: for (int a = 0; a < 3; a++) { r.dir[a] = 0; r.org[a] = p[a]; } r.dir[random_bits() % 3] = random_bits() & 1 ? 1 : -1; r.org[random_bits() % 3] -= 3 * extent; break;
    case 3: for (int a = 0; a < 3; a++) r.dir[a] = nasty_float(); break;
    case 4: for (int a = 0; a < 3; a++) { r.org[a] *= 1e5f; r.dir[a] = p[a] - r.org[a]; } break;
    case 5: for (int a = 0; a < 3; a++) r.dir[a] *= 1e-6f; break;
    case 6: { /* in the plane of a triangle, nearly */
        const mr_triangle *t = &s->triangles[random_bits() % s->triangle_count];
        const float *v0 = s->vertices[t->v[0]].p, *v1 = s->vertices[t->v[1]].p, *v2 = s->vertices[t->v[2]].p;
        float w = random_in(-1, 1);
        for (int a = 0; a < 3; a++) {
            r.dir[a] = (v1[a] - v0[a]) + w * (v2[a] - v0[a]);
            r.org[a] = v2[a] - 3 * r.dir[a];
        }
        break;
    }
    default: break;
    }
    if (random_bits() % 8 == 0) r.tmin = random_in(0, 1);
    if (random_bits() % 4 == 0) r.tmax = random_in(0, 2);
    return r;
}

/* ---- the reference ---- */

typedef struct reference {
    const uint8_t *base;
    const mr_pack *pack; /* NULL: no holes */
    const mr_ray *ray;
    int any, blocked;
    mr_hit hit;
} reference;

static inline void reference_take(reference *f, float t, uint32_t instance, uint32_t triangle)
{
    int first = f->hit.triangle == MR_NONE, less = instance != f->hit.instance ? instance < f->hit.instance : triangle < f->hit.triangle;
    f->blocked = 1;
    if (first || t < f->hit.t || (t == f->hit.t && less)) f->hit = (mr_hit){ t, triangle, instance, 0 };
}

static inline void reference_walk(reference *f, const ray_setup *r, uint32_t ref, uint32_t instance);

/* One ray made ready; 0 when it can hit nothing. */
static inline int reference_prepare(const mr_ray *ray, ray_setup *out)
{
    const mr_ray *const eight[8] = { ray, ray, ray, ray, ray, ray, ray, ray };
    ray_setup nobody, *const all[8] = { out, &nobody, &nobody, &nobody, &nobody, &nobody, &nobody, &nobody };
    return rays_prepare(eight, all) & 1;
}

/* One sphere at a time: what spheres_hit says of a lane. The discriminant is taken from the point
 * nearest to the centre (Haines, Günther, Akenine-Möller 2019, "Precision Improvements for Ray/Sphere Intersection"), the roots
 * without cancellation. */
INLINE int sphere_hit(const mr_bvh_instance *instance, const mr_ray *ray, float tmin, float tmax, float *t)
{
    f4 o = transform(instance->to_object, ray->org, 1), d = transform(instance->to_object, ray->dir, 0);
    float dd = (d[0] * d[0] + d[1] * d[1]) + d[2] * d[2], od = (o[0] * d[0] + o[1] * d[1]) + o[2] * d[2];
    float oo = (o[0] * o[0] + o[1] * o[1]) + o[2] * o[2];
    f4 l = o - f4_set(od / dd) * d;
    float gap = 1.0f - ((l[0] * l[0] + l[1] * l[1]) + l[2] * l[2]);
    if (!(gap >= 0) || !(dd > 0)) return 0;
    float root = sqrtf(dd * gap), q = od > 0 ? -od - root : root - od; /* both roots: q / dd and (oo - 1) / q */
    float a = q / dd, b = q != 0 ? (oo - 1.0f) / q : a;
    float first = a < b ? a : b, second = a < b ? b : a;
    *t = (first >= tmin ? first : second) + 0.0f; /* -0 becomes 0 */
    return *t >= tmin && *t <= tmax;
}

static inline void reference_instance(reference *f, const ray_setup *r, const mr_bvh_instance *record)
{
    ray_setup in;
    float tmin, tmax, t;
    if (f->any && record->flags & MR_INSTANCE_NO_SHADOW) return;
    if (!ray_cut(r, record, &tmin, &tmax)) return;
    if (record->kind == MR_INSTANCE_SPHERE) {
        if (sphere_hit(record, f->ray, tmin, tmax, &t)) reference_take(f, t, record->instance, MR_SPHERE);
        return;
    }
    mr_ray image = ray_image(f->ray, record, tmin, tmax);
    if (reference_prepare(&image, &in)) reference_walk(f, &in, record->root, record->instance);
}

static inline void reference_leaf(reference *f, const ray_setup *r, const mr_bvh_leaf *leaf, uint32_t instance)
{
    vf8 t;
    unsigned ask;
    candidates c = { .n = 0 };
    unsigned sure, lanes = leaf_quick(r, leaf, &sure, f->any);
    if (f->any && sure && leaf_blocks(r, leaf)) f->blocked = 1;
    for (unsigned m = lanes; m; m &= m - 1) candidates_add(&c, r, leaf, (uint32_t)__builtin_ctz(m));
    if (!c.n) return;
    for (unsigned m = candidates_accept(&c, &t, &ask); m; m &= m - 1) {
        int i = __builtin_ctz(m);
        if (f->pack && ask >> i & 1 && !candidate_is_solid(&c, (uint32_t)i, f->pack, instance)) continue;
        reference_take(f, t.v[i], instance, leaf->triangle[c.lane[i]]);
    }
}

static inline void reference_walk(reference *f, const ray_setup *r, uint32_t ref, uint32_t instance)
{
    const void *at = f->base + mr_ref_offset(ref);
    switch (ref & MR_REF_KIND) {
    case MR_REF_NODE:
        for (int i = 0; i < 8; i++) {
            uint32_t child = ((const mr_bvh_node *)at)->child[i];
            if (child != MR_REF_EMPTY) reference_walk(f, r, child, instance);
        }
        break;
    case MR_REF_LEAF: reference_leaf(f, r, at, instance); break;
    default: reference_instance(f, r, at); break;
    }
}

static inline mr_hit reference_trace(const void *bvh, const mr_pack *pack, const mr_ray *ray, int any, int *blocked)
{
    reference f = { .base = bvh, .pack = pack, .ray = ray, .any = any, .hit = { ray->tmax, MR_NONE, 0, 0 } };
    ray_setup r;
    if (reference_prepare(ray, &r)) reference_walk(&f, &r, 0, 0);
    *blocked = f.blocked;
    return f.hit;
}

#endif
