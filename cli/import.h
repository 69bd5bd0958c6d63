/* Models through assimp, in a process of their own: a damaged file may crash it, hang it or make it ask for all memory, and costs a message. */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "tracer/error.h"

struct mr_model;

/* As mr_scene_options.import wants it. */
int import_isolated(struct mr_model *model, const char *path, mr_error *err);
int import_isolated_alone(struct mr_model *model, const char *path, mr_error *err); /* the file may refer to no other: a stranger sent it */

/* What that other process does: `mobyray import-model PATH` (or import-model-alone), its answer goes to descriptor IMPORT_FD. Its exit code. */
enum { IMPORT_FD = 3 };
extern const char import_command[], import_alone_command[];
int import_child(const char *path, int alone);

#endif
