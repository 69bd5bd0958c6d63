/* From a field to a mesh: a coarse closed surface first, then triangles split where they are worth it. */
#ifndef MOBY_MESHER_H
#define MOBY_MESHER_H

#include "scenes/mobydock/mesh.h"

/* Surface nets of field = 0 in the box, with cells of edge `cell` metres. Vertices lie near the surface, normals and colours
 * are unset. The field must be close to a signed distance. Every edge of the result has two triangles. */
void mesh_surface(mesh *m, double (*field)(v3), v3 lo, v3 hi, double cell);

/* What a mesh is refined to. Both functions must be pure: they are called from several threads. */
typedef struct refinement {
    double (*edge_length)(v3 p);       /* how long an edge may be at p */
    v3 (*place)(v3 p, double reach);   /* moves a new vertex on to the surface, which is within `reach` of it; or NULL */
    int passes;                        /* each halves the edges that are too long */
} refinement;

/* Splits edges (1, 2 or 3 of a triangle) at their middles until they obey edge_length or the passes are over. The mesh stays
 * conforming: both neighbours of an edge decide alike. New vertices have the mean colour and normal of their edge. */
void mesh_refine(mesh *m, const refinement *r);

/* Sets each vertex's position, normal and colour by the given function, in parallel. */
void mesh_finish(mesh *m, void (*finish)(vertex *v));

#endif
