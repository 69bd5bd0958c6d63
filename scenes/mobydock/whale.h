/* The whale as functions of position: +x towards the nose, +y up, +z to starboard; metres; mirror symmetric in z but
 * for the turn of its flukes. The picture's camera stands to port, at -z, so that the whale faces left. */
#ifndef MOBY_WHALE_H
#define MOBY_WHALE_H

#include "scenes/mobydock/mesh.h"

#define SEA_Y (-2.70) /* the still water line */
#define DECK_Y 2.70   /* the flat back under the containers */

/* The box that holds the whole whale with room to spare. */
extern const v3 WHALE_LO, WHALE_HI;

/* A place on the skin with its own axes: forward, up, out. */
typedef struct frame {
    v3 origin, forward, up, out;
} frame;

/* Must be called once before anything else here; single-threaded. The rest is pure and safe from any thread. */
void whale_init(void);
frame whale_eye(void);               /* of the side z > 0 */
double whale_field(v3 p);            /* signed distance, nearly: negative inside */
v3 whale_gradient(v3 p);             /* of whale_field; nearly unit */
v3 whale_project(v3 p, double step); /* to the surface by Newton's method, at most `step` metres an iteration */
rgb whale_color(v3 p);
double whale_edge_length(v3 p);      /* how long a triangle's edge may be at p */

#endif
