/* Adaptive refinement by edge midpoints ("red-green" without the green's memory): an edge that is longer than its place
 * allows is cut in the middle, and a triangle with one, two or three cut edges becomes two, three or four. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "scenes/mobydock/mesher.h"
#include "scenes/mobydock/parallel.h"

/* An open-addressing table from an edge to its middle's vertex. */
typedef struct edge {
    uint64_t key; /* lesser vertex << 32 | greater vertex; 0 is empty (an edge from 0 to 0 does not exist) */
    int middle;
    int a, b;
} edge;

typedef struct edge_table {
    edge *slot;
    size_t mask;
    int *used; /* slots in order of first use */
    int count;
} edge_table;

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (p) return p;
    fputs("mobydock-model: out of memory\n", stderr);
    exit(1);
}

static size_t find(const edge_table *t, int a, int b)
{
    uint64_t lesser = (uint64_t)(a < b ? a : b), greater = (uint64_t)(a < b ? b : a), key = lesser << 32 | greater;
    size_t i = (key * 0x9E3779B97F4A7C15u >> 20) & t->mask;
    while (t->slot[i].key && t->slot[i].key != key) i = (i + 1) & t->mask;
    if (!t->slot[i].key) t->slot[i] = (edge){key, -1, (int)lesser, (int)greater};
    return i;
}

static void open_table(edge_table *t, const mesh *m)
{
    size_t size = 1024;
    while (size < (size_t)m->triangles * 4) size *= 2; /* 1.5 edges a triangle: at most 38 % full */
    *t = (edge_table){
        .slot = allocate(size, sizeof *t->slot), .mask = size - 1, .used = allocate((size_t)m->triangles * 3 + 1, sizeof *t->used)};
    for (int i = 0; i < m->triangles; i++)
        for (int k = 0; k < 3; k++) {
            size_t s = find(t, m->t[i].v[k], m->t[i].v[(k + 1) % 3]);
            if (t->slot[s].middle == -1) t->slot[s].middle = -2, t->used[t->count++] = (int)s;
        }
}

typedef struct pass {
    mesh *m;
    edge_table table;
    const refinement *rule;
    int first_new;
} pass;

static void judge(void *context, int item)
{
    pass *p = context;
    edge *e = &p->table.slot[p->table.used[item]];
    v3 a = p->m->v[e->a].p, b = p->m->v[e->b].p, middle = mul(add(a, b), 0.5);
    /* 1.4: an edge that was halved lies between 0.7 and 1.4 of what was asked for */
    e->middle = length(sub(a, b)) > 1.4 * p->rule->edge_length(middle) ? -3 : -2;
}

static void place(void *context, int item)
{
    pass *p = context;
    vertex *v = &p->m->v[p->first_new + item];
    v->p = p->rule->place(v->p, length(v->n) * 0.25);
}

/* Adds a vertex for each marked edge; until it is placed its normal holds the edge's vector, for the reach. */
static void add_middles(pass *p)
{
    p->first_new = p->m->vertices;
    for (int i = 0; i < p->table.count; i++) {
        edge *e = &p->table.slot[p->table.used[i]];
        if (e->middle != -3) continue;
        vertex a = p->m->v[e->a], b = p->m->v[e->b];
        e->middle = mesh_vertex(p->m, mul(add(a.p, b.p), 0.5), sub(b.p, a.p), rgb_mix(a.c, b.c, 0.5));
    }
    if (p->rule->place) parallel_for(p->m->vertices - p->first_new, place, p);
}

static double gap(const mesh *m, int a, int b)
{
    return length(sub(m->v[a].p, m->v[b].p));
}

/* Replaces triangle i, whose edges (v[k], v[k+1]) are cut at middle[k] or not (-1). */
static void split(mesh *m, int i, const int middle[3])
{
    int cuts = (middle[0] >= 0) + (middle[1] >= 0) + (middle[2] >= 0), k = 0;
    if (cuts == 0) return;
    if (cuts == 1)
        while (middle[k] < 0) k++;
    if (cuts == 2)
        while (middle[(k + 2) % 3] >= 0) k++; /* edges k and k+1 are cut, k+2 is whole */
    int a = m->t[i].v[k], b = m->t[i].v[(k + 1) % 3], c = m->t[i].v[(k + 2) % 3];
    int ab = middle[k], bc = middle[(k + 1) % 3], ca = middle[(k + 2) % 3];
    if (cuts == 1) {
        m->t[i] = (triangle){{a, ab, c}};
        mesh_triangle(m, ab, b, c);
    } else if (cuts == 2) {
        int diagonal = gap(m, a, bc) < gap(m, ab, c);
        m->t[i] = (triangle){{ab, b, bc}};
        mesh_triangle(m, a, ab, diagonal ? bc : c);
        if (diagonal)
            mesh_triangle(m, a, bc, c);
        else
            mesh_triangle(m, ab, bc, c);
    } else {
        m->t[i] = (triangle){{ab, bc, ca}};
        mesh_triangle(m, a, ab, ca);
        mesh_triangle(m, ab, b, bc);
        mesh_triangle(m, ca, bc, c);
    }
}

static void split_all(pass *p, int triangles)
{
    for (int i = 0; i < triangles; i++) {
        int middle[3];
        const int *v = p->m->t[i].v;
        for (int k = 0; k < 3; k++) middle[k] = p->table.slot[find(&p->table, v[k], v[(k + 1) % 3])].middle;
        split(p->m, i, middle);
    }
}

void mesh_refine(mesh *m, const refinement *r)
{
    for (int i = 0; i < r->passes; i++) {
        pass p = {.m = m, .rule = r};
        open_table(&p.table, m);
        parallel_for(p.table.count, judge, &p);
        add_middles(&p);
        split_all(&p, m->triangles);
        free(p.table.slot);
        free(p.table.used);
    }
}

typedef struct finish_context {
    mesh *m;
    void (*finish)(vertex *v);
} finish_context;

static void finish_one(void *context, int item)
{
    finish_context *f = context;
    f->finish(&f->m->v[item]);
}

void mesh_finish(mesh *m, void (*finish)(vertex *v))
{
    parallel_for(m->vertices, finish_one, &(finish_context){m, finish});
}
