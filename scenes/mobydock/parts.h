/* The parts of the scene that are not the whale itself. Each appends to a mesh in its own frame, metres. */
#ifndef MOBY_PARTS_H
#define MOBY_PARTS_H

#include "scenes/mobydock/mesh.h"

void make_eyes(mesh *m);                    /* both, in the world's frame */
void make_container(mesh *m);               /* a 20-foot container, in its own frame: see container.c */
void make_marks(mesh *m, int index);        /* lettering of container `index`, in the container's frame */
void make_sea(mesh *m);                     /* the water's surface, world */
void make_gull(mesh *m);                    /* a gull on its feet, in its own frame */
void make_foam(mesh *m);                    /* along the water line, world */

#endif
