/* Loops over independent items on all processors. Items write only to their own places, so the result does not depend on
 * the number of threads or on their order. */
#ifndef MOBY_PARALLEL_H
#define MOBY_PARALLEL_H

typedef void parallel_fn(void *context, int item);

/* Calls fn(context, i) for every i in [0, items), from several threads; returns when all are done. */
void parallel_for(int items, parallel_fn *fn, void *context);

#endif
