/* Shared by the files that parse scene.json; no one else includes it. Keys and ranges are documented in scenes/README.md. */
#ifndef MR_SCENE_PARSE_H
#define MR_SCENE_PARSE_H

#include "tracer/scene/description.h"
#include "tracer/scene/reader.h"

typedef struct mr_parse {
    mr_reader reader;
    mr_description *out;
    const char *folder; /* of the scene.json: relative paths start there */
    mr_names textures, materials, meshes;
} mr_parse;

/* Each reads one section of the root, in this order, into parse->out; errors stay in the reader. */
void mr_parse_camera(mr_parse *parse, const mr_node *root);     /* parse_settings.c */
void mr_parse_film(mr_parse *parse, const mr_node *root);
void mr_parse_integrator(mr_parse *parse, const mr_node *root);
void mr_parse_textures(mr_parse *parse, const mr_node *root);   /* parse_materials.c */
void mr_parse_materials(mr_parse *parse, const mr_node *root);
void mr_parse_meshes(mr_parse *parse, const mr_node *root);     /* parse_objects.c */
void mr_parse_objects(mr_parse *parse, const mr_node *root);
void mr_parse_lights(mr_parse *parse, const mr_node *root);     /* parse_lights.c */

/* An array of the arena for the entries of a map or list; NULL after an error. */
void *mr_parse_array(mr_parse *parse, uint32_t count, size_t size_bytes);

/* The value of "file" made complete with the scene's folder. */
const char *mr_parse_path(mr_parse *parse, const mr_node *object);

#endif
