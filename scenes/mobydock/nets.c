/* Surface nets (Gibson 1998, "Constrained elastic surface nets"): one vertex in every cell that the surface passes, at the
 * mean of its edges' crossings, and one quadrilateral around every grid edge that crosses.
 *
 * The grid is sampled in blocks of BLOCK cells a side. A block whose centre is farther from the surface than its corners
 * can be, with a margin because the field is only nearly a distance, keeps the centre's sign throughout. */
#include <stdio.h>
#include <stdlib.h>

#include "scenes/mobydock/mesher.h"
#include "scenes/mobydock/parallel.h"

enum { BLOCK = 8 };

typedef struct grid {
    double (*field)(v3);
    v3 lo;
    double cell;
    int n[3], blocks[3]; /* samples and blocks along each axis */
    size_t stride[3];
    float *value; /* one a sample */
    int *vertex;  /* of the cell whose least corner is this sample, or -1 */
} grid;

static size_t at(const grid *g, int x, int y, int z)
{
    return (size_t)x * g->stride[0] + (size_t)y * g->stride[1] + (size_t)z * g->stride[2];
}

static v3 position(const grid *g, double x, double y, double z)
{
    return madd(g->lo, V(x, y, z), g->cell);
}

static void sample_block(void *context, int item)
{
    grid *g = context;
    int x0 = item % g->blocks[0] * BLOCK, y0 = item / g->blocks[0] % g->blocks[1] * BLOCK,
        z0 = item / g->blocks[0] / g->blocks[1] * BLOCK;
    double half = BLOCK / 2.0, middle = g->field(position(g, x0 + half, y0 + half, z0 + half));
    int far = fabs(middle) > 1.8 * 0.87 * (BLOCK + 2) * g->cell; /* 0.87: half a cube's diagonal */
    for (int z = z0; z < z0 + BLOCK && z < g->n[2]; z++)
        for (int y = y0; y < y0 + BLOCK && y < g->n[1]; y++)
            for (int x = x0; x < x0 + BLOCK && x < g->n[0]; x++)
                g->value[at(g, x, y, z)] = (float)(far ? middle : g->field(position(g, x, y, z)));
}

/* The mean crossing of the cell's twelve edges, in cells from its least corner; returns 0 where nothing crosses. */
static int crossing(const grid *g, size_t cell, v3 *mean)
{
    float v[8];
    v3 sum = V(0, 0, 0);
    int count = 0;
    for (int c = 0; c < 8; c++)
        v[c] = g->value[cell + (c & 1 ? g->stride[0] : 0) + (c & 2 ? g->stride[1] : 0) + (c & 4 ? g->stride[2] : 0)];
    for (int a = 0; a < 8; a++)
        for (int bit = 1; bit < 8; bit <<= 1) {
            int b = a | bit;
            if (b == a || (v[a] < 0) == (v[b] < 0)) continue;
            double t = (double)v[a] / ((double)v[a] - (double)v[b]);
            sum = add(sum, V((a & 1) + (bit == 1 ? t : 0), (a >> 1 & 1) + (bit == 2 ? t : 0), (a >> 2 & 1) + (bit == 4 ? t : 0)));
            count++;
        }
    if (count) *mean = mul(sum, 1.0 / count);
    return count;
}

static void place_vertices(grid *g, mesh *m)
{
    for (int z = 0; z < g->n[2] - 1; z++)
        for (int y = 0; y < g->n[1] - 1; y++)
            for (int x = 0; x < g->n[0] - 1; x++) {
                v3 c;
                size_t cell = at(g, x, y, z);
                g->vertex[cell] =
                    crossing(g, cell, &c) ? mesh_vertex(m, position(g, x + c.x, y + c.y, z + c.z), V(0, 1, 0), rgb_grey(255)) : -1;
            }
}

/* The quadrilateral about the grid edge from sample `o` along `axis`, cut along its shorter diagonal. */
static void face_edge(const grid *g, mesh *m, size_t o, int axis)
{
    if ((g->value[o] < 0) == (g->value[o + g->stride[axis]] < 0)) return;
    size_t u = g->stride[(axis + 1) % 3], w = g->stride[(axis + 2) % 3];
    int q[4] = {g->vertex[o - u - w], g->vertex[o - w], g->vertex[o], g->vertex[o - u]};
    if (g->value[o] >= 0) {
        int swap = q[1];
        q[1] = q[3], q[3] = swap;
    }
    int shift = length(sub(m->v[q[0]].p, m->v[q[2]].p)) > length(sub(m->v[q[1]].p, m->v[q[3]].p));
    mesh_triangle(m, q[shift], q[1 + shift], q[2 + shift]);
    mesh_triangle(m, q[shift], q[2 + shift], q[(3 + shift) % 4]);
}

static void place_faces(const grid *g, mesh *m)
{
    for (int z = 1; z < g->n[2] - 1; z++)
        for (int y = 1; y < g->n[1] - 1; y++)
            for (int x = 1; x < g->n[0] - 1; x++)
                for (int axis = 0; axis < 3; axis++) face_edge(g, m, at(g, x, y, z), axis);
}

static void grid_open(grid *g, v3 lo, v3 hi)
{
    double size[3] = {hi.x - lo.x, hi.y - lo.y, hi.z - lo.z};
    size_t total = 1;
    for (int a = 0; a < 3; a++) {
        g->blocks[a] = (int)ceil(size[a] / g->cell / BLOCK);
        g->n[a] = g->blocks[a] * BLOCK;
        g->stride[a] = total;
        total *= (size_t)g->n[a];
    }
    g->value = calloc(total, sizeof *g->value);
    g->vertex = calloc(total, sizeof *g->vertex);
    if (g->value && g->vertex) return;
    fputs("mobydock-model: out of memory\n", stderr);
    exit(1);
}

void mesh_surface(mesh *m, double (*field)(v3), v3 lo, v3 hi, double cell)
{
    grid g = {.field = field, .lo = lo, .cell = cell};
    grid_open(&g, lo, hi);
    parallel_for(g.blocks[0] * g.blocks[1] * g.blocks[2], sample_block, &g);
    place_vertices(&g, m);
    place_faces(&g, m);
    free(g.value);
    free(g.vertex);
}
