/* A model file that may read no other: what strangers send. Only import.c includes this. */
#ifndef MR_SCENE_IMPORT_ALONE_H
#define MR_SCENE_IMPORT_ALONE_H

#include <assimp/cfileio.h>

/* assimp's file system with that one file in it; path is borrowed. */
struct aiFileIO mr_import_only(const char *path);

#endif
