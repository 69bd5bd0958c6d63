/* The order of a mesh's vertices and triangles in its file: breadth first over the surface, each vertex's neighbours as they lie around it, triangles by their
 * first vertex. Neighbours in space are then neighbours in the file, and what is predicted from the value before is small (tracer/scene/squeeze.h). */
#include <stdlib.h>

#include "scenes/mobydock/mesh.h"

/* Of a triangle at a vertex: the corners behind it, counter-clockwise. */
typedef struct wedge {
    int next, last;
} wedge;

typedef struct order {
    const mesh *m;
    int *first;   /* of each vertex's wedges, one more at the end */
    wedge *wedge; /* three for each triangle */
    int *number;  /* of each vertex in the new order; -1: not yet */
    int *queue;   /* the new order: old numbers */
    int queued;
} order;

static void collect(order *o)
{
    const mesh *m = o->m;
    for (int i = 0; i < m->triangles; i++)
        for (int k = 0; k < 3; k++) o->first[m->t[i].v[k] + 1]++;
    for (int i = 0; i < m->vertices; i++) o->first[i + 1] += o->first[i];
    for (int i = m->triangles - 1; i >= 0; i--)
        for (int k = 0; k < 3; k++) {
            const int *v = m->t[i].v;
            int used = o->number[v[k]]++; /* counts here, before it numbers */
            o->wedge[o->first[v[k]] + used] = (wedge){v[(k + 1) % 3], v[(k + 2) % 3]};
        }
    for (int i = 0; i < m->vertices; i++) o->number[i] = -1;
}

static void visit(order *o, int v)
{
    if (o->number[v] >= 0) return;
    o->number[v] = o->queued;
    o->queue[o->queued++] = v;
}

static const wedge *wedge_after(const order *o, int v, int neighbour)
{
    for (int i = o->first[v]; i < o->first[v + 1]; i++)
        if (o->wedge[i].next == neighbour) return &o->wedge[i];
    return NULL;
}

/* Where the ring around v begins: at the edge of the surface, or at a neighbour that has its number. */
static int ring_start(const order *o, int v)
{
    int start = o->wedge[o->first[v]].next;
    for (int i = o->first[v]; i < o->first[v + 1]; i++) {
        int begins = 1;
        for (int k = o->first[v]; k < o->first[v + 1]; k++) begins &= o->wedge[k].last != o->wedge[i].next;
        if (begins) return o->wedge[i].next;
    }
    for (int i = o->first[v + 1] - 1; i >= o->first[v]; i--)
        if (o->number[o->wedge[i].next] >= 0) start = o->wedge[i].next;
    return start;
}

static void visit_ring(order *o, int v)
{
    int valence = o->first[v + 1] - o->first[v];
    if (!valence) return;
    int neighbour = ring_start(o, v);
    for (int i = 0; i <= valence; i++) {
        visit(o, neighbour);
        const wedge *w = wedge_after(o, v, neighbour);
        if (!w) return;
        neighbour = w->last;
    }
}

static int by_corners(const void *a, const void *b)
{
    const int *v = ((const triangle *)a)->v, *w = ((const triangle *)b)->v;
    for (int k = 0; k < 3; k++)
        if (v[k] != w[k]) return v[k] < w[k] ? -1 : 1;
    return 0;
}

/* New numbers for all corners, the least first; the turn keeps the side that the triangle faces. */
static void renumber(const order *o, mesh *m, vertex *moved)
{
    for (int i = 0; i < m->vertices; i++) moved[i] = m->v[o->queue[i]];
    for (int i = 0; i < m->vertices; i++) m->v[i] = moved[i];
    for (int i = 0; i < m->triangles; i++) {
        const int *v = m->t[i].v, w[3] = {o->number[v[0]], o->number[v[1]], o->number[v[2]]};
        int least = w[0] < w[1] ? (w[0] < w[2] ? 0 : 2) : (w[1] < w[2] ? 1 : 2);
        m->t[i] = (triangle){{w[least], w[(least + 1) % 3], w[(least + 2) % 3]}};
    }
    qsort(m->t, (size_t)m->triangles, sizeof *m->t, by_corners);
}

int mesh_order(mesh *m)
{
    size_t vertices = (size_t)m->vertices + 1;
    order o = {.m = m, .first = calloc(vertices + 1, sizeof *o.first), .wedge = calloc((size_t)m->triangles * 3 + 1, sizeof *o.wedge),
               .number = calloc(vertices, sizeof *o.number), .queue = calloc(vertices, sizeof *o.queue)};
    vertex *moved = calloc(vertices, sizeof *moved);
    int bad = !o.first || !o.wedge || !o.number || !o.queue || !moved;
    if (!bad) {
        collect(&o);
        for (int v = 0, at = 0; v < m->vertices; v++)
            for (visit(&o, v); at < o.queued; at++) visit_ring(&o, o.queue[at]);
        renumber(&o, m, moved);
    }
    free(o.first);
    free(o.wedge);
    free(o.number);
    free(o.queue);
    free(moved);
    return bad;
}
