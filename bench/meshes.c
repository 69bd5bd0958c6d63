#include "bench/meshes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/vec.h"

uint32_t bench_hash(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7FEB352Du;
    x = (x ^ x >> 15) * 0x846CA68Bu;
    return x ^ x >> 16;
}

float bench_unit(uint32_t x)
{
    return (float)(bench_hash(x) >> 8) * 0x1p-24f;
}

/* ---- noise ---- */
static float lattice(int32_t x, int32_t y, int32_t z, uint32_t octave)
{
    return bench_unit(bench_hash(bench_hash((uint32_t)x + 0x9E3779B9u * octave) + (uint32_t)y) + (uint32_t)z);
}

static float smooth(float t)
{
    return t * t * (3.0f - 2.0f * t);
}

static float mix(float a, float b, float t)
{
    return a + (b - a) * t;
}

/* Value noise, 0..1: random numbers on the integer lattice, smoothed between them. */
static float noise(vec3 p, uint32_t octave)
{
    float fx = floorf(p.x), fy = floorf(p.y), fz = floorf(p.z);
    int32_t x = (int32_t)fx, y = (int32_t)fy, z = (int32_t)fz;
    float u = smooth(p.x - fx), v = smooth(p.y - fy), w = smooth(p.z - fz), plane[2];
    for (int32_t k = 0; k < 2; k++)
        plane[k] = mix(mix(lattice(x, y, z + k, octave), lattice(x + 1, y, z + k, octave), u),
                       mix(lattice(x, y + 1, z + k, octave), lattice(x + 1, y + 1, z + k, octave), u), v);
    return mix(plane[0], plane[1], w);
}

/* Octaves of halving height and doubling frequency; 0..2. */
static float fractal(vec3 p, uint32_t octaves)
{
    float sum = 0, height = 1;
    for (uint32_t i = 0; i < octaves; i++, height *= 0.5f, p = v3_scale(p, 2.0f)) sum += height * noise(p, i);
    return sum;
}

/* ---- arrays ---- */
static int reserve(bench_mesh *mesh, uint64_t vertices, uint64_t triangles, mr_error *err)
{
    if (3 * vertices > UINT32_MAX || 3 * triangles > UINT32_MAX)
        return mr_fail(err, MR_USAGE, "%s: found %llu triangles, expected less than %u", mesh->name, (unsigned long long)triangles,
                       UINT32_MAX / 3);
    mesh->positions = malloc(vertices * 3 * sizeof *mesh->positions);
    mesh->indices = malloc(triangles * 3 * sizeof *mesh->indices);
    return mesh->positions && mesh->indices ? MR_OK : mr_fail(err, MR_FAILED, "%s: out of memory", mesh->name);
}

static void add_vertex(bench_mesh *mesh, vec3 p)
{
    memcpy(mesh->positions + (size_t)3 * mesh->vertex_count++, (const float[3]){p.x, p.y, p.z}, 3 * sizeof(float));
}

static void add_triangle(bench_mesh *mesh, uint32_t a, uint32_t b, uint32_t c)
{
    memcpy(mesh->indices + (size_t)3 * mesh->triangle_count++, (const uint32_t[3]){a, b, c}, 3 * sizeof(uint32_t));
}

/* A grid of side x side quads over the unit square, each point moved by place(). */
static void add_grid(bench_mesh *mesh, uint32_t side, vec3 (*place)(float u, float v, int face), int face)
{
    uint32_t first = mesh->vertex_count, row = side + 1;
    for (uint32_t y = 0; y <= side; y++)
        for (uint32_t x = 0; x <= side; x++) add_vertex(mesh, place((float)x / (float)side, (float)y / (float)side, face));
    for (uint32_t y = 0; y < side; y++)
        for (uint32_t x = 0; x < side; x++) {
            uint32_t a = first + y * row + x;
            add_triangle(mesh, a, a + row, a + 1);
            add_triangle(mesh, a + 1, a + row, a + row + 1);
        }
}

static uint32_t whole_root(uint32_t n)
{
    uint32_t root = (uint32_t)sqrt((double)n);
    return root ? root : 1;
}

/* ---- the meshes ---- */
static vec3 terrain_point(float u, float v, int face)
{
    (void)face;
    return v3(100.0f * (u - 0.5f), 12.0f * fractal(v3(6.0f * u, 6.0f * v, 0.5f), 9), 100.0f * (v - 0.5f));
}

static int terrain(bench_mesh *mesh, uint32_t triangles, mr_error *err)
{
    uint32_t side = whole_root(triangles / 2);
    int status = reserve(mesh, (uint64_t)(side + 1) * (side + 1), (uint64_t)side * side * 2, err);
    if (status == MR_OK) add_grid(mesh, side, terrain_point, 0);
    return status;
}

/* The face's square on the cube, drawn onto the sphere, displaced outwards. */
static vec3 blob_point(float u, float v, int face)
{
    float a = 2.0f * u - 1.0f, b = 2.0f * v - 1.0f, sign = face & 1 ? -1.0f : 1.0f;
    vec3 p = face < 2 ? v3(sign, a * sign, b) : face < 4 ? v3(b, sign, a * sign) : v3(a * sign, b, sign);
    p = v3_unit(p);
    return v3_scale(p, 1.0f + 0.35f * fractal(v3_add(v3_scale(p, 2.5f), v3_all(8.0f)), 7));
}

static int blob(bench_mesh *mesh, uint32_t triangles, mr_error *err)
{
    uint32_t side = whole_root(triangles / 12);
    int status = reserve(mesh, 6 * (uint64_t)(side + 1) * (side + 1), 12 * (uint64_t)side * side, err);
    for (int face = 0; status == MR_OK && face < 6; face++) add_grid(mesh, side, blob_point, face);
    return status;
}

static vec3 random_in_cube(uint32_t seed)
{
    return v3(2.0f * bench_unit(seed) - 1.0f, 2.0f * bench_unit(seed + 1) - 1.0f, 2.0f * bench_unit(seed + 2) - 1.0f);
}

/* Uniform in the unit ball, by rejection. */
static vec3 random_in_ball(uint32_t seed)
{
    vec3 p;
    do p = random_in_cube(seed = bench_hash(seed + 0x51ED27u));
    while (v3_dot(p, p) > 1.0f || v3_dot(p, p) < 1e-4f);
    return p;
}

/* A blade: a strip of three triangles, tapering to a point, a hundred times longer than wide. */
static void add_blade(bench_mesh *mesh, vec3 root, uint32_t seed)
{
    vec3 along = v3_unit(random_in_ball(seed)), across = v3_unit(v3_cross(along, random_in_ball(seed + 7)));
    float length = 0.02f + 0.05f * bench_unit(seed + 11), half = 0.005f * length;
    vec3 bend = v3_scale(random_in_ball(seed + 13), 0.2f * length);
    vec3 middle = v3_add(v3_mad(along, 0.5f * length, root), v3_scale(bend, 0.5f)), tip = v3_add(v3_mad(along, length, root), bend);
    uint32_t first = mesh->vertex_count;
    add_vertex(mesh, v3_mad(across, -half, root));
    add_vertex(mesh, v3_mad(across, half, root));
    add_vertex(mesh, v3_mad(across, -0.7f * half, middle));
    add_vertex(mesh, v3_mad(across, 0.7f * half, middle));
    add_vertex(mesh, tip);
    add_triangle(mesh, first, first + 1, first + 2);
    add_triangle(mesh, first + 1, first + 3, first + 2);
    add_triangle(mesh, first + 2, first + 3, first + 4);
}

static int foliage(bench_mesh *mesh, uint32_t triangles, mr_error *err)
{
    enum { TUFT = 64 };
    uint32_t blades = triangles / 3 ? triangles / 3 : 1;
    int status = reserve(mesh, (uint64_t)blades * 5, (uint64_t)blades * 3, err);
    for (uint32_t i = 0; status == MR_OK && i < blades; i++) {
        vec3 tuft = random_in_ball(bench_hash(i / TUFT)), offset = v3_scale(random_in_ball(bench_hash(~i)), 0.02f);
        add_blade(mesh, v3_add(tuft, offset), bench_hash(i + 0xF011A6Eu));
    }
    return status;
}

int bench_mesh_generate(bench_mesh *out, const char *kind, uint32_t triangles, mr_error *err)
{
    static const struct {
        const char *name;
        int (*make)(bench_mesh *mesh, uint32_t triangles, mr_error *err);
    } kinds[] = {{"terrain", terrain}, {"foliage", foliage}, {"blob", blob}};
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "%s", kind);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kind, kinds[i].name)) {
            int status = kinds[i].make(out, triangles, err);
            if (status != MR_OK) bench_mesh_free(out);
            return status;
        }
    return mr_fail(err, MR_USAGE, "mesh: found %s, expected terrain, foliage or blob", kind);
}

float *bench_mesh_corners(const bench_mesh *mesh)
{
    float *corners = malloc((size_t)mesh->triangle_count * 9 * sizeof *corners + 64); /* Embree may read beyond the last */
    for (size_t i = 0; corners && i < (size_t)mesh->triangle_count * 3; i++)
        memcpy(corners + 3 * i, mesh->positions + (size_t)3 * mesh->indices[i], 3 * sizeof *corners);
    return corners;
}

void bench_mesh_free(bench_mesh *mesh)
{
    free(mesh->positions);
    free(mesh->indices);
    memset(mesh, 0, sizeof *mesh);
}
