/* Parses a scene.json into a description: the frame of it; the sections have files of their own (parse.h). */
#include "tracer/scene/parse.h"

#include <stdlib.h>
#include <string.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/texture.h"

void *mr_parse_array(mr_parse *parse, uint32_t count, size_t size_bytes)
{
    if (parse->reader.status) return NULL;
    void *array = mr_arena_get(parse->reader.arena, count, size_bytes);
    if (!array) (void)mr_reader_no_memory(&parse->reader);
    return array;
}

const char *mr_parse_path(mr_parse *parse, const mr_node *object)
{
    const char *name = mr_read_text(&parse->reader, object, "file");
    if (!name) return NULL;
    const char *path = mr_arena_path(parse->reader.arena, parse->folder, name);
    if (!path) (void)mr_reader_no_memory(&parse->reader);
    return path;
}

/* The folder of a path, "" when it has none. */
static const char *folder_of(const char *path, mr_arena *arena)
{
    char *copy = mr_arena_text(arena, path), *slash = copy ? strrchr(copy, '/') : NULL;
    if (!copy) return "";
    if (slash == copy) return "/";
    if (slash) *slash = 0;
    return slash ? copy : "";
}

/* What stands in for a name that is not given: the folder's. */
static const char *name_of(const char *folder)
{
    const char *slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    return *name && strcmp(name, ".") != 0 ? name : "scene";
}

static void parse_root(mr_parse *parse, const mr_node *root)
{
    static const char *const keys[] = {"name",   "camera",  "film",   "integrator", "textures", "materials",
                                       "meshes", "objects", "lights", "$schema",    NULL};
    mr_reader *reader = &parse->reader;
    mr_reader_keys(reader, root, keys);
    const char *name = mr_read_text(reader, root, "name");
    mr_node name_node = mr_reader_child(reader, root, "name");
    if (name && strlen(name) >= sizeof parse->out->settings.name) (void)mr_reader_fail(reader, &name_node, "at most %zu bytes", sizeof parse->out->settings.name - 1);
    parse->out->settings = mr_settings_default(name ? name : name_of(parse->folder));
    mr_parse_camera(parse, root);
    mr_parse_film(parse, root);
    mr_parse_integrator(parse, root);
    mr_parse_textures(parse, root);
    mr_parse_materials(parse, root);
    mr_parse_meshes(parse, root);
    mr_parse_objects(parse, root);
    mr_parse_lights(parse, root);
}

int mr_description_parse(mr_description *out, const char *path, mr_arena *arena, mr_error *err)
{
    char *text;
    size_t size_bytes;
    int status = mr_file_read(path, MR_SCENE_MAX_JSON_BYTES, &text, &size_bytes, err);
    if (status) return status;
    mr_parse parse = {.out = out, .folder = folder_of(path, arena)};
    *out = (mr_description){.file = mr_arena_text(arena, path)};
    mr_node root = mr_reader_open(&parse.reader, path, text, size_bytes, arena, err);
    if (!out->file) (void)mr_reader_no_memory(&parse.reader);
    if (!parse.reader.status) parse_root(&parse, &root);
    mr_reader_close(&parse.reader);
    free(text);
    return parse.reader.status;
}
