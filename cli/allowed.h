/* The coordinator's list of keys that are let in, read again when it changes: so that a token can be made, or taken back, while it runs. */
#ifndef CLI_ALLOWED_H
#define CLI_ALLOWED_H

#include <sys/stat.h>

#include "cli/keys.h"
#include "coordinator/server.h"

typedef struct allowed {
    char list[KEYS_PATH_MAX]; /* the file, as keys_load_coordinator found it; "": none is watched */
    struct stat seen;
    double looked_s;
} allowed;

/* Notes how the list looks now: call it before the list is read, so that no change is missed. */
void allowed_start(allowed *a);

/* Five times a second at most looks whether the file has changed, and then gives the server its new list. 1: something happened, and line says what; a list
 * that cannot be read leaves the former one in force. */
int allowed_look(allowed *a, co_server *server, char *line, size_t size);

#endif
