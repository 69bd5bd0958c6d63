/* A pack in words, for `mobyray scene info`. */
#ifndef MR_SCENE_INFO_H
#define MR_SCENE_INFO_H

#include <stdio.h>

#include "tracer/pack.h"

/* Writes counts, sizes by section, lights by kind, bounds, camera and hash to file, some thirty lines. */
void mr_pack_print_info(const mr_pack *pack, FILE *file);

#endif
