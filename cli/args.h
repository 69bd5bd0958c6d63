/* Options: one table a command, read from the environment first, then from the command line.
 *
 * An option --name VALUE (or --name=VALUE, or -o VALUE where it has a letter) also reads MOBYRAY_NAME, with _ for -. An empty
 * variable counts as not set, so that a Compose file may pass every one. Numbers are checked against the table's
 * range; an unknown option is answered with its nearest neighbour. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tracer/error.h"

enum arg_kind {
    ARG_TEXT,  /* const char ** */
    ARG_ENDPOINT, /* const char **: see args_check_endpoint; max = 1: the port may be *, any free one */
    ARG_FLAG,  /* int *: 1 when given; from the environment 1, true, yes, on or 0, false, no, off */
    ARG_COUNT, /* uint32_t *: a whole number, min .. max */
    ARG_SIZE,  /* uint32_t[2]: WxH, each min .. max */
    ARG_LIST   /* arg_list *: whole numbers min .. max with commas between */
};

enum { ARG_LIST_MAX = 16, ARG_POSITIONALS_MAX = 2 };

typedef struct arg_list {
    uint32_t value[ARG_LIST_MAX];
    unsigned count;
} arg_list;

typedef struct arg_option {
    const char *name; /* without the dashes; NULL ends the table */
    char letter;      /* short form, or 0 */
    int kind;         /* enum arg_kind */
    void *value;      /* where it goes: see arg_kind. Untouched when the option is given nowhere */
    uint32_t min, max;
    const char *meta; /* what stands for the value in the help text */
    const char *help;
} arg_option;

typedef struct arg_result {
    const char *positional[ARG_POSITIONALS_MAX];
    int positional_count;
    int help; /* --help or -h was given: nothing else has been checked */
} arg_result;

/* Reads the environment and argv[0 .. argc - 1] into the table's values. max_positionals: how many words besides options are
 * welcome. MR_USAGE with a message otherwise. Texts point into argv and the environment. */
int args_parse(const arg_option *options, int argc, char *const *argv, int max_positionals, arg_result *out, mr_error *err);

/* Whether text is an endpoint: tcp://HOST:PORT with a port 1..65535 (or *, where any_port), or ipc://PATH. libzmq would take a port beyond
 * that modulo 65536. MR_USAGE with `source` in the message otherwise. */
int args_check_endpoint(const char *source, const char *text, int any_port, mr_error *err);

/* Whether only this machine can reach what listens at that endpoint: ipc, or a loopback address. */
int args_is_local(const char *endpoint);

/* Prints the table as help text. */
void args_print(const arg_option *options, FILE *out);

/* The candidate nearest to word, or NULL when none is near. name_of(i) ends with NULL. */
const char *args_nearest(const char *word, const char *(*name_of)(const void *table, size_t i), const void *table);

#endif
