/* A crew of threads for loops whose pieces are independent: the BVH builder, the pack's hash and its check, the scene compiler.
 *
 * Results must never depend on who ran which piece, so a piece writes to places of its own only; what is to be summed up is summed up
 * afterwards, in the pieces' order. */
#ifndef MR_CREW_H
#define MR_CREW_H

#include <stdint.h>

typedef struct mr_crew mr_crew;

/* Starts threads - 1 threads (the caller is one of the crew). A thread that cannot be started is done without. NULL is a crew as well:
 * the caller alone; that is what one gets for threads <= 1 or without memory. */
mr_crew *mr_crew_new(int threads);
void mr_crew_free(mr_crew *crew);

/* How many work at once, the caller included. */
int mr_crew_size(const mr_crew *crew);

/* Calls run(context, piece) once for each piece in 0 .. pieces - 1, in any order, and returns when all are done. One loop at a time:
 * neither from two threads nor from within a piece. */
void mr_crew_run(mr_crew *crew, void (*run)(void *context, uint32_t piece), void *context, uint32_t pieces);

#endif
