/* The growing mesh and its PLY file: 27 bytes a vertex, 13 a triangle, which every reader of PLY knows. */
#include "scenes/mobydock/mesh.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *array, int *room, int need, size_t size)
{
    if (need <= *room) return array;
    if (need > INT_MAX / 4) abort(); /* our own bug: no table here comes near a thousandth of it */
    *room = need * 2 + 1024;
    array = realloc(array, (size_t)*room * size);
    if (array) return array;
    fputs("mobydock-model: out of memory\n", stderr);
    exit(1);
}

int mesh_vertex(mesh *m, v3 p, v3 n, rgb c)
{
    m->v = grow(m->v, &m->vertex_room, m->vertices + 1, sizeof *m->v);
    m->v[m->vertices] = (vertex){p, n, c};
    return m->vertices++;
}

void mesh_triangle(mesh *m, int a, int b, int c)
{
    m->t = grow(m->t, &m->triangle_room, m->triangles + 1, sizeof *m->t);
    m->t[m->triangles++] = (triangle){{a, b, c}};
}

/* Newell's normal: sound for any convex polygon, even one with a corner on a straight edge. */
static v3 newell(const v3 *p, int n)
{
    v3 sum = V(0, 0, 0);
    for (int i = 1; i + 1 < n; i++) sum = add(sum, cross(sub(p[i], p[0]), sub(p[i + 1], p[0])));
    return sum;
}

void mesh_polygon(mesh *m, const v3 *p, int n, rgb c)
{
    v3 normal = newell(p, n);
    if (n < 3 || length(normal) < 1e-10) return;
    int base = m->vertices;
    for (int i = 0; i < n; i++) (void)mesh_vertex(m, p[i], unit(normal), c);
    for (int i = 1; i + 1 < n; i++)
        if (length(cross(sub(p[i], p[0]), sub(p[i + 1], p[0]))) > 1e-10) mesh_triangle(m, base, base + i, base + i + 1);
}

void mesh_quad(mesh *m, v3 a, v3 b, v3 c, v3 d, rgb color)
{
    mesh_polygon(m, (v3[]){a, b, c, d}, 4, color);
}

static uint8_t *put_u32(uint8_t *out, uint32_t x)
{
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(x >> (8 * i));
    return out + 4;
}

static uint8_t *put_float(uint8_t *out, double x)
{
    float f = (float)x;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return put_u32(out, bits);
}

static uint8_t *put_v3(uint8_t *out, v3 a)
{
    return put_float(put_float(put_float(out, a.x), a.y), a.z);
}

/* On a grid of a tenth of a millimetre, normals on one of half a milliradian: far below what a pixel shows, the same from every libm, and what
 * `mobyray scene squeeze` makes small. */
static v3 snapped(v3 a, double steps)
{
    return (v3){floor(a.x * steps + 0.5) / steps, floor(a.y * steps + 0.5) / steps, floor(a.z * steps + 0.5) / steps};
}

static void write_body(const mesh *m, FILE *file)
{
    for (int i = 0; i < m->vertices; i++) {
        const vertex *v = &m->v[i];
        uint8_t b[27], *end = put_v3(put_v3(b, snapped(v->p, 8192)), snapped(v->n, 2048));
        end[0] = v->c.r, end[1] = v->c.g, end[2] = v->c.b;
        fwrite(b, 1, sizeof b, file);
    }
    for (int i = 0; i < m->triangles; i++) {
        uint8_t b[13] = {3}, *at = b + 1;
        for (int k = 0; k < 3; k++) at = put_u32(at, (uint32_t)m->t[i].v[k]);
        fwrite(b, 1, sizeof b, file);
    }
}

int mesh_write(const mesh *m, const char *dir, const char *name)
{
    static const char *HEADER =
        "ply\nformat binary_little_endian 1.0\nelement vertex %d\nproperty float x\nproperty float y\n"
        "property float z\nproperty float nx\nproperty float ny\nproperty float nz\nproperty uchar red\n"
        "property uchar green\nproperty uchar blue\nelement face %d\nproperty list uchar int vertex_indices\nend_header\n";
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = n > 0 && (size_t)n < sizeof path ? fopen(path, "wb") : NULL;
    if (!file) return perror(name), 1;
    fprintf(file, HEADER, m->vertices, m->triangles);
    write_body(m, file);
    int bad = ferror(file);
    if (fclose(file) || bad) return perror(path), 1;
    printf("%-18s %7d vertices %7d triangles\n", name, m->vertices, m->triangles);
    return 0;
}

void mesh_free(mesh *m)
{
    free(m->v);
    free(m->t);
    *m = (mesh){0};
}

rgb rgb_hex(unsigned hex)
{
    return (rgb){(uint8_t)(hex >> 16 & 255), (uint8_t)(hex >> 8 & 255), (uint8_t)(hex & 255)};
}

rgb rgb_grey(int level)
{
    return (rgb){(uint8_t)level, (uint8_t)level, (uint8_t)level};
}

static uint8_t mix_byte(int a, int b, double t)
{
    return (uint8_t)(clamp(mix(a, b, t), 0, 255) + 0.5);
}

rgb rgb_mix(rgb a, rgb b, double t)
{
    return (rgb){mix_byte(a.r, b.r, t), mix_byte(a.g, b.g, t), mix_byte(a.b, b.b, t)};
}
