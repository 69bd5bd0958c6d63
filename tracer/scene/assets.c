/* Reads everything that a description names: meshes, textures, surroundings. Each is a job of its own; threads take jobs by number and each writes into
 * its own slot, so the result does not depend on how many threads there are, and neither does the message: the first job that failed speaks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tracer/scene/atmosphere.h"
#include "tracer/scene/build.h"
#include "tracer/scene/environment.h"
#include "tracer/scene/limits.h"

typedef struct job_list {
    mr_build *build;
    uint32_t count;
    int *status;
    mr_error *errors;
} job_list;

static const mr_desc_light *surroundings_of(const mr_description *desc)
{
    for (uint32_t i = 0; i < desc->light_count; i++)
        if (desc->lights[i].kind != MR_DESC_SUN) return &desc->lights[i];
    return NULL;
}

/* ---- surroundings ---- */

static int load_constant(const mr_desc_light *light, mr_image *image, mr_error *err)
{
    int status = mr_image_new_float(image, 4, 2, MR_WRAP_REPEAT, err);
    for (size_t i = 0; i < 8 && !status; i++) {
        float *texel = (float *)image->texels + 4 * i;
        for (size_t c = 0; c < 3; c++) texel[c] = (float)light->radiance[c];
        texel[3] = 1;
    }
    return status;
}

static int load_sky(mr_build *build, const mr_desc_light *light, mr_image *image, mr_error *err)
{
    mr_sky sky = {.sun = light->direction, .turbidity = light->turbidity, .intensity = 1};
    memcpy(sky.ground, light->ground, sizeof sky.ground);
    double level = hypot(light->direction.x, light->direction.z);
    if (level > 1e-9) mr_environment_turn(light->direction.x / level, -light->direction.z / level, build->environment.to_local);
    return mr_sky_bake(&sky, image, err);
}

static int load_map(mr_build *build, const mr_desc_light *light, mr_image *image, mr_error *err)
{
    int status = mr_image_load(image, light->path, 1, MR_WRAP_REPEAT, err);
    mr_environment_turn(sin(-light->rotate_deg * MR_RAD_PER_DEG), cos(-light->rotate_deg * MR_RAD_PER_DEG), build->environment.to_local);
    return status ? status : mr_environment_to_float(image, err);
}

static int load_surroundings(mr_build *build, mr_error *err)
{
    const mr_desc_light *light = surroundings_of(build->desc);
    mr_image *image = &build->surroundings;
    if (!light) return MR_OK;
    mr_environment_turn(0, 1, build->environment.to_local);
    for (size_t c = 0; c < 3; c++) build->environment.scale[c] = (float)light->intensity;
    int status = light->kind == MR_DESC_CONSTANT ? load_constant(light, image, err)
                 : light->kind == MR_DESC_SKY    ? load_sky(build, light, image, err)
                                                 : load_map(build, light, image, err);
    if (status) return status;
    mr_environment_tables tables = {0};
    int exponent = 0;
    status = mr_environment_tables_of(image, &tables, err);
    if (!status) status = mr_environment_to_half(image, &exponent, err);
    for (size_t c = 0; c < 3; c++) build->environment.scale[c] = ldexpf(build->environment.scale[c], exponent);
    build->env_table = tables.table;
    build->env_table_count = tables.count;
    build->env_power = ldexp(tables.power, -exponent);
    build->environment.columns = tables.columns;
    build->environment.rows = tables.rows;
    return status;
}

/* ---- meshes and textures ---- */

static int load_triangles(const mr_desc_mesh *mesh, mr_model *model, mr_error *err)
{
    int status = mr_model_reserve(model, mesh->vertex_count, mesh->triangle_count, mesh->name, err);
    for (uint32_t i = 0; i < mesh->vertex_count && !status; i++)
        (void)mr_model_vertex(model, v3_from(mesh->positions[i]), mesh->normals ? v3_from(mesh->normals[i]) : v3(0, 0, 0), mesh->uvs ? mesh->uvs[i][0] : 0,
                              mesh->uvs ? mesh->uvs[i][1] : 0);
    for (uint32_t i = 0; i < mesh->triangle_count && !status; i++) mr_model_triangle(model, mesh->indices[i][0], mesh->indices[i][1], mesh->indices[i][2]);
    return status;
}

static int load_mesh(const mr_build *build, const mr_desc_mesh *mesh, mr_model *model, mr_error *err)
{
    const double *n = mesh->numbers;
    vec3 quad[4];
    int status;
    for (size_t k = 0; k < 4; k++) quad[k] = v3_from(n + 3 * k);
    switch (mesh->kind) {
    case MR_DESC_SPHERE: return MR_OK;
    case MR_DESC_FILE:
        if (!mesh->loaded) return mr_model_import(model, mesh->path, build->options->import, err);
        *model = *mesh->loaded;
        *mesh->loaded = (mr_model){0};
        return MR_OK;
    case MR_DESC_BOX: status = mr_shape_box(model, quad[0], quad[1], err); break;
    case MR_DESC_QUAD: status = mr_shape_quad(model, quad, err); break;
    default: status = load_triangles(mesh, model, err); break;
    }
    return status ? status : mr_model_finish(model, mesh->name, err);
}

static int load_texture(const mr_desc_texture *texture, mr_image *image, mr_error *err)
{
    int srgb = texture->srgb == MR_NONE ? !texture->is_data : texture->srgb == 1;
    return mr_image_load(image, texture->path, srgb, texture->wrap, err);
}

/* Puts the place in the scene.json before a message that names the asset's own file; a bare model file needs none. */
static int with_place(const mr_build *build, int status, const char *kind, const char *name, mr_error *err)
{
    mr_error inner = *err;
    if (!status || status == MR_FAILED || !name[0]) return status;
    return mr_fail(err, status, "%s: %s.%.100s: %s", build->desc->file, kind, name, inner.text);
}

/* Job 0 is the surroundings, then come meshes, then textures. */
static int run_job(mr_build *build, uint32_t job, mr_error *err)
{
    const mr_description *desc = build->desc;
    if (job == 0) return with_place(build, load_surroundings(build, err), "lights", "environment", err);
    if (--job < desc->mesh_count) return with_place(build, load_mesh(build, &desc->meshes[job], &build->models[job], err), "meshes", desc->meshes[job].name, err);
    job -= desc->mesh_count;
    return with_place(build, load_texture(&desc->textures[job], &build->images[job], err), "textures", desc->textures[job].name, err);
}

static void run_piece(void *context, uint32_t piece)
{
    job_list *jobs = context;
    jobs->status[piece] = run_job(jobs->build, piece, &jobs->errors[piece]);
}

static int first_failure(const job_list *jobs, mr_error *err)
{
    for (uint32_t i = 0; i < jobs->count; i++)
        if (jobs->status[i]) {
            if (err) *err = jobs->errors[i];
            return jobs->status[i];
        }
    return MR_OK;
}

static int gather_images(mr_build *build)
{
    size_t total = build->desc->texture_count + (size_t)(build->surroundings.texels ? 1 : 0);
    for (uint32_t i = 0; i < build->desc->mesh_count; i++) total += build->models[i].image_count;
    if (total > MR_SCENE_MAX_TEXTURES * 4) return mr_fail(build->err, MR_BAD_INPUT, "%s: found %zu textures, expected at most %d", build->desc->file, total, MR_SCENE_MAX_TEXTURES * 4);
    mr_image *all = realloc(build->images, (total + 1) * sizeof *all);
    if (!all) return mr_fail(build->err, MR_FAILED, "no memory for %zu textures", total);
    build->images = all;
    for (uint32_t m = 0; m < build->desc->mesh_count; m++) {
        mr_model *model = &build->models[m];
        for (uint32_t k = 0; k < model->material_count; k++) {
            uint32_t *fields[] = {&model->materials[k].base_texture, &model->materials[k].surface_texture, &model->materials[k].normal_texture,
                                  &model->materials[k].emission_texture};
            for (size_t f = 0; f < 4; f++)
                if (*fields[f] != MR_NONE) *fields[f] += build->image_count;
        }
        for (uint32_t k = 0; k < model->image_count; k++) all[build->image_count++] = model->images[k];
        model->image_count = 0;
    }
    if (build->surroundings.texels) {
        build->environment.texture = build->image_count;
        build->has_environment = true;
        all[build->image_count++] = build->surroundings;
        build->surroundings = (mr_image){0};
    }
    return MR_OK;
}

int mr_build_assets(mr_build *build)
{
    const mr_description *desc = build->desc;
    job_list jobs = {.build = build, .count = 1 + desc->mesh_count + desc->texture_count};
    build->models = calloc(desc->mesh_count + 1, sizeof *build->models);
    build->images = calloc(desc->texture_count + 1, sizeof *build->images);
    build->image_count = build->images ? desc->texture_count : 0;
    jobs.status = calloc(jobs.count, sizeof *jobs.status);
    jobs.errors = calloc(jobs.count, sizeof *jobs.errors);
    int status = MR_FAILED;
    if (build->models && build->images && jobs.status && jobs.errors) {
        mr_crew_run(build->crew, run_piece, &jobs, jobs.count);
        status = first_failure(&jobs, build->err);
        if (!status) status = gather_images(build);
    } else {
        (void)mr_fail(build->err, MR_FAILED, "no memory for %u assets", jobs.count);
    }
    free(jobs.status);
    free(jobs.errors);
    return status;
}
