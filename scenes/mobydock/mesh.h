/* A growing triangle mesh with position, normal and colour at each vertex, and the PLY file it ends in. */
#ifndef MOBY_MESH_H
#define MOBY_MESH_H

#include <stdint.h>

#include "scenes/mobydock/vec.h"

typedef struct rgb {
    uint8_t r, g, b; /* sRGB */
} rgb;

typedef struct vertex {
    v3 p, n; /* n: unit normal */
    rgb c;
} vertex;

typedef struct triangle {
    int v[3]; /* anticlockwise seen from outside */
} triangle;

/* Zero-initialised is empty. Owns both arrays; free with mesh_free. Running out of memory ends the program. */
typedef struct mesh {
    vertex *v;
    triangle *t;
    int vertices, triangles;
    int vertex_room, triangle_room;
} mesh;

int mesh_vertex(mesh *m, v3 p, v3 n, rgb c); /* returns its index */
void mesh_triangle(mesh *m, int a, int b, int c);
/* A convex polygon of n corners, anticlockwise from outside, with its own flat normal; a degenerate one is left out. */
void mesh_polygon(mesh *m, const v3 *p, int n, rgb c);
void mesh_quad(mesh *m, v3 a, v3 b, v3 c, v3 d, rgb color);
/* Numbers vertices and triangles anew, neighbours near one another; the surface stays what it is. Returns 0, or 1 without memory. */
int mesh_order(mesh *m);
/* Writes DIR/NAME as binary little-endian PLY, prints its counts; returns 0, or 1 after a message on stderr. */
int mesh_write(const mesh *m, const char *dir, const char *name);
void mesh_free(mesh *m);

rgb rgb_hex(unsigned hex); /* 0xrrggbb */
rgb rgb_grey(int level);   /* 0..255 */
rgb rgb_mix(rgb a, rgb b, double t);

#endif
