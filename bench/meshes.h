/* Meshes to measure with: generated here, the same on every machine (no libm but square roots, no FMA), or read from files.
 *
 * A mesh is named by a text: terrain:N, foliage:N or blob:N generate about N triangles, anything else is a file: .tri (see
 * bench_mesh_get) or what the scene compiler reads as a model (PLY, OBJ, glTF, ...). */
#ifndef BENCH_MESHES_H
#define BENCH_MESHES_H

#include <stdint.h>

#include "tracer/error.h"

/* Owns its arrays; bench_mesh_free gives them back. Files of others keep nothing but positions. */
typedef struct bench_mesh {
    char name[64];
    float *positions;  /* 3 a vertex */
    uint32_t *indices; /* 3 a triangle */
    uint32_t vertex_count, triangle_count;
} bench_mesh;

/* A fractal terrain: a square grid over value noise of nine octaves, the landscape that a BVH likes best.
 * Foliage: tufts of long thin blades of three triangles, turned any way, in a ball: boxes that overlap, the worst for a BVH.
 * A blob: a displaced sphere, six grids, like a scanned figure. */
int bench_mesh_generate(bench_mesh *out, const char *kind, uint32_t triangles, mr_error *err);

/* By the text above. .tri: "TRI1", uint32 n, n x 9 float32 (little-endian), the corners of each triangle. MR_BAD_INPUT, or
 * MR_FAILED without memory. */
int bench_mesh_get(bench_mesh *out, const char *text, mr_error *err);

/* The corners, 9 floats a triangle; free() them. NULL without memory. */
float *bench_mesh_corners(const bench_mesh *mesh);

/* Writes a binary PLY, under a temporary name first. */
int bench_mesh_save_ply(const bench_mesh *mesh, const char *path, mr_error *err);

void bench_mesh_free(bench_mesh *mesh);

/* A hash of 32 bits with every bit spread (Ettinger 2018, "hash prospector"), and a number 0 <= x < 1 of it. */
uint32_t bench_hash(uint32_t x);
float bench_unit(uint32_t x);

#endif
