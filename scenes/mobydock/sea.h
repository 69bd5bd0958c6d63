/* The sea as a function of place: x and z of the still water, metres. */
#ifndef MOBY_SEA_H
#define MOBY_SEA_H

#include "scenes/mobydock/vec.h"

/* Where scene.json's camera stands: the sea's mesh is finest towards it. */
#define VIEW_X 23.0
#define VIEW_Z (-30.5)

void sea_init(void);              /* once, before the rest; single-threaded, after whale_init */
v3 sea_point(double x, double z); /* where the water that rests at (x, z) is now */
v3 sea_normal(double x, double z);
double hull_distance(double x, double z); /* metres from the whale's skin at the water line, nearly; large far away */

#endif
