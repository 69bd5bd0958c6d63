/* What engine.c and engine_clone.c share. */
#ifndef CLI_ENGINE_INTERNAL_H
#define CLI_ENGINE_INTERNAL_H

#include "cli/engine.h"

#define ENGINE_NUMBER_LABEL "com.docker.compose.container-number"
#define ENGINE_OUR_LABEL "io.mobyray.autoscale"

/* MR_OK: status 2xx, or `fine`. body: a JSON object or NULL. */
int engine_call(engine *e, const char *method, const char *path, const cJSON *body, long fine, http_answer *a, mr_error *err);
int engine_ask(engine *e, const char *path, cJSON **json, mr_error *err); /* *json: to be deleted */

const cJSON *engine_get(const cJSON *json, const char *name);       /* NULL is fine, and gives NULL */
const char *engine_text(const cJSON *json, const char *name);       /* "" when it is none */
int engine_is_id(const char *id);                                   /* ids become parts of addresses */

#endif
