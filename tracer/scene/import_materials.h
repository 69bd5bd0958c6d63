/* The materials and textures of a model file. Only import.c includes this. */
#ifndef MR_SCENE_IMPORT_MATERIALS_H
#define MR_SCENE_IMPORT_MATERIALS_H

#include <assimp/scene.h>

#include "tracer/scene/model.h"

/* Fills model->materials (one for each of the scene's) and model->images with what they use, embedded images included. */
int mr_import_materials(mr_model *model, const struct aiScene *scene, const char *path, mr_error *err);

#endif
