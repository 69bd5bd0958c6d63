/* JSON on its way out. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "tracer/error.h"

struct cJSON;

/* Writes to a file (a temporary name, then renamed), or to stdout when path is "-". Frees the JSON, whatever happens. */
int json_write(struct cJSON *json, const char *path, mr_error *err);

#endif
