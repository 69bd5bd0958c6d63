/* The two primitives that the whale is made of, as signed distances: negative inside, metres, exact to first order at the
 * surface and never larger than the truth by more than the shapes' eccentricity, which is all that blending and meshing need. */
#ifndef MOBY_SHAPES_H
#define MOBY_SHAPES_H

#include "scenes/mobydock/vec.h"

/* |x/rx|^p + |y/ry|^p + |z/rz|^p = 1: p = 2 is an ellipsoid, a larger p is boxier. */
typedef struct superellipsoid {
    v3 center, radius;
    double power;
} superellipsoid;

/* A tube about a cubic Bezier spine whose radius is a cubic Bernstein polynomial of the spine's parameter. Its section is
 * an ellipse, `flat` times as thick along the unit axis `n` as across; its far end is rounded off. */
typedef struct sweep {
    v3 spine[4];
    double radius[4];
    v3 n;
    double flat;
} sweep;

double superellipsoid_distance(v3 p, const superellipsoid *s);
double sweep_distance(v3 p, const sweep *s);
/* A cheap lower bound of sweep_distance: the distance to a sphere about the control points. */
double sweep_bound(v3 p, const sweep *s);

#endif
