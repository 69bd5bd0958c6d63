/* Loading a scene while something else goes on: workers join while the scene is compiled. */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include "tracer/error.h"
#include "tracer/pack.h"

/* Called again and again until the scene is there; should take some milliseconds. A status other than MR_OK gives up (once the
 * scene is loaded: loading cannot be broken off). */
typedef int (*cli_pump)(void *user, mr_error *err);

int cli_load_scene_pumped(mr_pack *pack, const char *path, cli_pump pump, void *user, mr_error *err);

/* A file that a stranger sent: it may refer to no other. Its name should not end in .json, which may refer to anything. */
int cli_load_sent(mr_pack *pack, const char *path, mr_error *err);

#endif
