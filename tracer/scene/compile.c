/* The compiler's frame: a SCENE's path to a checked pack. See tracer/scene.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tracer/pack_check.h"
#include "tracer/scene/build.h"

void mr_build_free(mr_build *build)
{
    for (uint32_t i = 0; build->models && i < build->desc->mesh_count; i++) mr_model_free(&build->models[i]);
    for (uint32_t i = 0; build->images && i < build->image_count; i++) mr_image_free(&build->images[i]);
    mr_image_free(&build->surroundings);
    free(build->models);
    free(build->images);
    free(build->vertices);
    free(build->triangles);
    free(build->instances);
    free(build->mesh_bounds);
    free(build->materials);
    free(build->first_material);
    free(build->use);
    free(build->first_user);
    free(build->next_user);
    free(build->lights);
    free(build->light_table);
    free(build->powers);
    free(build->env_table);
    mr_bvh_free(build->bvh);
    *build = (mr_build){0};
}

static int build_all(mr_build *build, void **bytes, size_t *size_bytes)
{
    int status = mr_build_assets(build);
    if (!status) status = mr_build_layout(build);
    if (!status) status = mr_build_lights(build);
    return status ? status : mr_build_write(build, bytes, size_bytes);
}

/* The check is against our own mistakes: whatever leaves here, a worker will accept. The hash has just been computed and is not computed again. */
int mr_scene_compile(mr_pack *out, const mr_description *desc, const mr_scene_options *options, mr_error *err)
{
    mr_build build = {.desc = desc, .options = options, .err = err, .crew = mr_crew_new(options->threads), .settings = desc->settings};
    mr_crew *crew = build.crew;
    mr_pack pack;
    void *bytes = NULL;
    size_t size_bytes = 0;
    int status = build_all(&build, &bytes, &size_bytes);
    mr_build_free(&build);
    if (!status) status = mr_pack_views(&pack, bytes, size_bytes, desc->file, err);
    if (!status) status = mr_pack_check_contents(&pack, crew, desc->file, err);
    mr_crew_free(crew);
    if (status) {
        free(bytes);
        return status;
    }
    pack.owned = bytes;
    *out = pack;
    return MR_OK;
}

/* ---- what a path is ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

static bool is_pack(const char *path)
{
    char magic[sizeof(MR_PACK_MAGIC) - 1] = "";
    FILE *file = fopen(path, "rbe");
    bool yes = file && fread(magic, 1, sizeof magic, file) == sizeof magic && !memcmp(magic, MR_PACK_MAGIC, sizeof magic);
    if (file) (void)fclose(file);
    return yes;
}

static int load_file(mr_pack *out, const char *path, const mr_scene_options *options, mr_error *err)
{
    if (is_pack(path)) return mr_pack_open(out, path, err);
    if (!ends_with(path, ".json")) return mr_scene_auto(out, path, options, err);
    mr_arena arena = {0};
    mr_description desc;
    int status = mr_description_parse(&desc, path, &arena, err);
    if (!status) status = mr_scene_compile(out, &desc, options, err);
    mr_arena_free(&arena);
    return status;
}

int mr_scene_load(mr_pack *out, const char *path, const mr_scene_options *options, mr_error *err)
{
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) return load_file(out, path, options, err);
    mr_arena arena = {0};
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    char *folder = mr_arena_text(&arena, path), *file = NULL;
    if (folder) {
        folder[length] = 0;
        file = mr_arena_path(&arena, folder, "scene.json");
    }
    int status = file ? load_file(out, file, options, err) : mr_fail(err, MR_FAILED, "no memory");
    mr_arena_free(&arena);
    return status;
}
