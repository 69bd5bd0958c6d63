/* The scene compiler: from what a person writes or exports to a scene pack.
 *
 * A SCENE is a folder with a scene.json, a scene.json, a pack, or a model file (PLY, and what assimp reads for us: glTF, OBJ, STL,
 * OFF, 3DS, Collada, FBX; it is framed and lit automatically). The format is documented in scenes/README.md. */
#ifndef MR_SCENE_H
#define MR_SCENE_H

#include "tracer/error.h"
#include "tracer/pack.h"

struct mr_model;

typedef struct mr_scene_options {
    int threads; /* for the BVH build, >= 1 */
    int quality; /* enum mr_bvh_quality */
    /* How model files that assimp reads are imported: mr_model_import_foreign (tracer/scene/model.h), or a way to call it where a crash of it does no
     * harm. NULL: in this very process. May be called by several threads at once. */
    int (*import)(struct mr_model *model, const char *path, mr_error *err);
} mr_scene_options;

/* Compiles (or opens, when path is a pack already) and checks. *out owns its bytes; close with mr_pack_close. Deterministic: the same
 * files give the same bytes for any number of threads. MR_BAD_INPUT names file, place, found and expected. */
int mr_scene_load(mr_pack *out, const char *path, const mr_scene_options *options, mr_error *err);

#endif
