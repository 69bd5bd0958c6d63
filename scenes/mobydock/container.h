/* The 20-foot container's frame: metres; x along its length, doors at +x; y up, 0 at the underside; z across; the origin
 * in the middle of the underside. Outer measures of ISO 668, series 1CC. */
#ifndef MOBY_CONTAINER_H
#define MOBY_CONTAINER_H

#include "scenes/mobydock/mesh.h"

#define BOX_LENGTH 6.058
#define BOX_HEIGHT 2.591
#define BOX_WIDTH 2.438
#define BOX_GAP 0.030    /* a twist lock's plate between two containers */
#define DOOR_FACE 0.058  /* how far the doors' raised panels lie inside the outer measure */

/* A corrugated wall: a frame and a trapezoid profile that runs along it. */
typedef struct wall {
    v3 origin, along, up, in; /* lower left corner seen from outside; unit vectors; in points into the container */
    double length, height, depth;
    int pitches;
} wall;

enum { WALL_LEFT, WALL_RIGHT, WALL_END, WALL_COUNT }; /* WALL_LEFT faces +z, WALL_RIGHT -z, WALL_END the end without doors */
extern const wall CONTAINER_WALL[WALL_COUNT];

double wall_inset(const wall *w, double s);                     /* depth of the profile at s metres along */
double wall_break(const wall *w, double s);                     /* the profile's next corner after s */
v3 wall_point(const wall *w, double s, double y, double lift);  /* on the steel, `lift` metres proud of it */

#endif
