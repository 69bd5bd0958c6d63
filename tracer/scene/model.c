/* See model.h. */
#include "tracer/scene/model.h"

#include <stdlib.h>
#include <string.h>

#include "tracer/scene/limits.h"

static const uint32_t WHITE = 0xFFFFFFFFu;

mr_material mr_material_default(void)
{
    return (mr_material){.base_color = {0.8f, 0.8f, 0.8f}, .base_texture = MR_NONE, .roughness = 0.5f, .surface_texture = MR_NONE,
                         .normal_texture = MR_NONE, .emission_texture = MR_NONE, .ior = 1.5f, .clearcoat_roughness = 0.03f,
                         .normal_scale = 1, .first_light = MR_NONE};
}

/* Grows an array to at least `need` elements, doubling. */
static int grow(void **array, uint32_t *room, size_t need, size_t size_bytes)
{
    size_t want = *room ? *room : 64;
    if (need <= *room) return MR_OK;
    while (want < need) want *= 2;
    void *bigger = realloc(*array, want * size_bytes);
    if (!bigger) return MR_FAILED;
    *array = bigger;
    *room = (uint32_t)want;
    return MR_OK;
}

int mr_model_reserve(mr_model *model, size_t vertices, size_t triangles, const char *name, mr_error *err)
{
    const size_t most = MR_SCENE_MAX_TRIANGLES;
    if (vertices > most * 3 - model->vertex_count || triangles > most - model->triangle_count)
        return mr_fail(err, MR_BAD_INPUT, "%s: found more triangles or vertices than fit, expected at most %zu triangles", name, most);
    if (grow((void **)&model->vertices, &model->vertex_room, model->vertex_count + vertices, sizeof(mr_vertex)) ||
        grow((void **)&model->triangles, &model->triangle_room, model->triangle_count + triangles, sizeof(mr_triangle)))
        return mr_fail(err, MR_FAILED, "%s: no memory for %zu triangles", name, triangles);
    return MR_OK;
}

uint32_t mr_model_vertex(mr_model *model, vec3 p, vec3 n, double u, double v)
{
    mr_vertex *vertex = &model->vertices[model->vertex_count];
    *vertex = (mr_vertex){.uv = {(float)u, (float)v}, .color = WHITE};
    v3_store(vertex->p, p);
    v3_store(vertex->n, n);
    return model->vertex_count++;
}

void mr_model_triangle(mr_model *model, uint32_t a, uint32_t b, uint32_t c)
{
    model->triangles[model->triangle_count++] = (mr_triangle){{a, b, c}, MR_NONE};
}

static int check_vertex(const mr_model *model, uint32_t i, const char *name, mr_error *err)
{
    const mr_vertex *v = &model->vertices[i];
    for (size_t a = 0; a < 3; a++) {
        if (!(fabsf(v->p[a]) <= MR_MAX_COORDINATE))
            return mr_fail(err, MR_BAD_INPUT, "%s: vertex %u: found the position (%g, %g, %g), expected finite numbers up to %g", name, i,
                           (double)v->p[0], (double)v->p[1], (double)v->p[2], (double)MR_MAX_COORDINATE);
    }
    return MR_OK;
}

/* Normals and texture coordinates that make no sense are dropped, not refused: exporters write such things and the shape is still good. */
static void mend_vertex(mr_vertex *v)
{
    vec3 n = v3_unit(v3_fromf(v->n));
    if (!(v3_dot(n, n) > 0.5)) n = v3(0, 0, 0);
    v3_store(v->n, n);
    for (size_t a = 0; a < 3; a++) v->p[a] += 0.0f; /* -0 becomes 0: equal positions have equal bytes */
    for (size_t a = 0; a < 2; a++)
        if (!(fabsf(v->uv[a]) <= MR_MAX_UV)) v->uv[a] = 0;
}

static void add_to_bounds(mr_model *model, const float p[3])
{
    for (size_t a = 0; a < 3; a++) {
        model->lo[a] = fminf(model->lo[a], p[a]);
        model->hi[a] = fmaxf(model->hi[a], p[a]);
    }
}

static int check_triangles(const mr_model *model, const char *name, mr_error *err)
{
    for (uint32_t i = 0; i < model->triangle_count; i++)
        for (size_t k = 0; k < 3; k++)
            if (model->triangles[i].v[k] >= model->vertex_count)
                return mr_fail(err, MR_BAD_INPUT, "%s: triangle %u: found vertex %u, expected 0..%u", name, i, model->triangles[i].v[k],
                               model->vertex_count ? model->vertex_count - 1 : 0);
    return MR_OK;
}

int mr_model_finish(mr_model *model, const char *name, mr_error *err)
{
    if (!model->triangle_count || !model->vertex_count) return mr_fail(err, MR_BAD_INPUT, "%s: found no triangle, expected at least one", name);
    int status = check_triangles(model, name, err);
    memcpy(model->lo, model->vertices[0].p, sizeof model->lo);
    memcpy(model->hi, model->vertices[0].p, sizeof model->hi);
    for (uint32_t i = 0; i < model->vertex_count && !status; i++) {
        status = check_vertex(model, i, name, err);
        mend_vertex(&model->vertices[i]);
        add_to_bounds(model, model->vertices[i].p);
    }
    return status;
}

/* FNV-1a over whole words, with a last mix so that the low bits are good. */
static uint32_t hash_words(const void *bytes, size_t words)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < words; i++) {
        uint32_t word;
        memcpy(&word, (const char *)bytes + 4 * i, 4);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return (uint32_t)(h ^ h >> 32);
}

/* Numbers the vertices so that those whose first `bytes` bytes are equal share the number of the first of them. ids: out, one a vertex. */
static int same_ids(const mr_model *model, size_t bytes, uint32_t *ids)
{
    size_t slots = 64;
    while (slots < (size_t)model->vertex_count * 2) slots *= 2;
    uint32_t *table = malloc(slots * sizeof *table);
    if (!table) return MR_FAILED;
    memset(table, 0xFF, slots * sizeof *table);
    for (uint32_t i = 0; i < model->vertex_count; i++) {
        size_t at = hash_words(&model->vertices[i], bytes / 4) & (slots - 1);
        while (table[at] != MR_NONE && memcmp(&model->vertices[table[at]], &model->vertices[i], bytes) != 0) at = (at + 1) & (slots - 1);
        if (table[at] == MR_NONE) table[at] = i;
        ids[i] = table[at];
    }
    free(table);
    return MR_OK;
}

/* Moves the vertices that stand for others to the front; ids: same_ids' answer, overwritten with the new indices. */
static void compact(mr_model *model, uint32_t *ids)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < model->vertex_count; i++) {
        if (ids[i] != i) {
            ids[i] = ids[ids[i]]; /* an earlier one, whose new index is known */
            continue;
        }
        model->vertices[kept] = model->vertices[i];
        ids[i] = kept++;
    }
    model->vertex_count = kept;
    for (uint32_t i = 0; i < model->triangle_count; i++)
        for (size_t k = 0; k < 3; k++) model->triangles[i].v[k] = ids[model->triangles[i].v[k]];
}

int mr_model_weld(mr_model *model, mr_error *err)
{
    uint32_t *ids = malloc((size_t)model->vertex_count * sizeof *ids + 1);
    if (!ids || same_ids(model, sizeof(mr_vertex), ids)) {
        free(ids);
        return mr_fail(err, MR_FAILED, "no memory to join %u vertices", model->vertex_count);
    }
    compact(model, ids);
    free(ids);
    return MR_OK;
}

static double corner_angle(vec3 at, vec3 b, vec3 c)
{
    double d = v3_dot(v3_unit(v3_sub(b, at)), v3_unit(v3_sub(c, at)));
    return acos(fmin(1, fmax(-1, d)));
}

static void add_face_normal(const mr_model *model, const mr_triangle *t, const uint32_t *ids, vec3 *sums)
{
    vec3 p[3];
    for (size_t k = 0; k < 3; k++) p[k] = v3_fromf(model->vertices[t->v[k]].p);
    vec3 n = v3_unit(v3_cross(v3_sub(p[1], p[0]), v3_sub(p[2], p[0])));
    for (size_t k = 0; k < 3; k++) {
        vec3 *sum = &sums[ids[t->v[k]]];
        *sum = v3_add(*sum, v3_scale(n, corner_angle(p[k], p[(k + 1) % 3], p[(k + 2) % 3])));
    }
}

int mr_model_smooth(mr_model *model, mr_error *err)
{
    uint32_t *ids = malloc((size_t)model->vertex_count * sizeof *ids + 1);
    vec3 *sums = calloc((size_t)model->vertex_count + 1, sizeof *sums);
    int status = !ids || !sums || same_ids(model, sizeof model->vertices->p, ids) ? MR_FAILED : MR_OK;
    if (status) (void)mr_fail(err, status, "no memory for the normals of %u vertices", model->vertex_count);
    for (uint32_t i = 0; i < model->triangle_count && !status; i++) add_face_normal(model, &model->triangles[i], ids, sums);
    for (uint32_t i = 0; i < model->vertex_count && !status; i++) v3_store(model->vertices[i].n, v3_unit(sums[ids[i]]));
    free(ids);
    free(sums);
    return status;
}

void mr_model_free(mr_model *model)
{
    for (uint32_t i = 0; i < model->image_count; i++) mr_image_free(&model->images[i]);
    free(model->images);
    free(model->materials);
    free(model->vertices);
    free(model->triangles);
    *model = (mr_model){0};
}
