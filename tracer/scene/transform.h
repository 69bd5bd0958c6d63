/* Affine maps, 3 rows of 4 (linear part and translation), in double. */
#ifndef MR_SCENE_TRANSFORM_H
#define MR_SCENE_TRANSFORM_H

#include <stdbool.h>

#include "tracer/scene/vec.h"

typedef struct mr_affine {
    double m[12];
} mr_affine;

mr_affine mr_affine_identity(void);
mr_affine mr_affine_scale(vec3 s);
mr_affine mr_affine_translate(vec3 t);

/* Rotation by x, then y, then z degrees about the fixed axes, anticlockwise seen from the axis' tip; multiples of 90 degrees are exact. */
mr_affine mr_affine_rotate_deg(vec3 degrees);

/* First b, then a. */
mr_affine mr_affine_mul(const mr_affine *a, const mr_affine *b);

/* False when a is singular or so nearly that a float inverse would be worthless; *out is then untouched. */
bool mr_affine_invert(mr_affine *out, const mr_affine *a);

double mr_affine_det(const mr_affine *a);
vec3 mr_affine_point(const mr_affine *a, vec3 p);
vec3 mr_affine_vector(const mr_affine *a, vec3 v);

/* A normal through the map whose inverse is given: not of unit length. */
vec3 mr_affine_normal(const mr_affine *inverse, vec3 n);

void mr_affine_store(float out[12], const mr_affine *a);

#endif
