/* The materials and textures of a model file. Only import.c includes this. */
#ifndef MR_SCENE_IMPORT_MATERIALS_H
#define MR_SCENE_IMPORT_MATERIALS_H

#include <assimp/scene.h>
#include <stdbool.h>

#include "tracer/scene/model.h"

/* Fills model->materials (one for each of the scene's) and model->images with what they use, embedded images included. alone: an image in another file is an error. */
int mr_import_materials(mr_model *model, const struct aiScene *scene, const char *path, bool alone, mr_error *err);

#endif
