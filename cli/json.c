#include "cli/json.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

int json_write(cJSON *json, const char *path, mr_error *err)
{
    int status = MR_OK;
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text) return mr_fail(err, MR_FAILED, "%s: out of memory", path);
    if (strcmp(path, "-") != 0) status = cli_write_file(path, text, err);
    else if (puts(text) < 0) status = mr_fail(err, MR_FAILED, "cannot write to standard output");
    free(text);
    return status;
}
