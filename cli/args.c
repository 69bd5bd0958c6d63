#include "cli/args.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 32 }; /* longest word that is compared for a suggestion */

/* Where a value came from, for messages: "--spp" or "MOBYRAY_SPP". */
static int bad_value(const char *source, const char *found, const char *expected, mr_error *err)
{
    return mr_fail(err, MR_USAGE, "%s: found '%s', expected %s", source, found, expected);
}

/* A whole number without sign or blanks. Moves *text behind it. 0: no number, or above UINT32_MAX. */
static int parse_number(const char **text, uint32_t *out)
{
    uint64_t value = 0;
    const char *c = *text;
    if (!isdigit((unsigned char)*c)) return 0;
    for (; isdigit((unsigned char)*c); c++) {
        value = value * 10 + (uint64_t)(*c - '0');
        if (value > UINT32_MAX) return 0;
    }
    *text = c;
    *out = (uint32_t)value;
    return 1;
}

static int in_range(const arg_option *option, uint32_t value)
{
    return value >= option->min && value <= option->max;
}

static int set_count(const arg_option *option, const char *source, const char *text, mr_error *err)
{
    uint32_t value;
    const char *end = text;
    char expected[64];
    (void)snprintf(expected, sizeof expected, "a whole number %u..%u", option->min, option->max);
    if (!parse_number(&end, &value) || *end || !in_range(option, value)) return bad_value(source, text, expected, err);
    *(uint32_t *)option->value = value;
    return MR_OK;
}

static int set_size(const arg_option *option, const char *source, const char *text, mr_error *err)
{
    uint32_t width, height;
    const char *end = text;
    char expected[64];
    (void)snprintf(expected, sizeof expected, "WxH, each %u..%u, as in 1920x1080", option->min, option->max);
    if (!parse_number(&end, &width) || *end++ != 'x' || !parse_number(&end, &height) || *end || !in_range(option, width) ||
        !in_range(option, height))
        return bad_value(source, text, expected, err);
    ((uint32_t *)option->value)[0] = width;
    ((uint32_t *)option->value)[1] = height;
    return MR_OK;
}

static int set_list(const arg_option *option, const char *source, const char *text, mr_error *err)
{
    arg_list list = {.count = 0};
    const char *end = text;
    char expected[80];
    (void)snprintf(expected, sizeof expected, "up to %d numbers %u..%u, as in 1,2,4", ARG_LIST_MAX, option->min, option->max);
    do {
        uint32_t value;
        if (list.count == ARG_LIST_MAX || !parse_number(&end, &value) || !in_range(option, value))
            return bad_value(source, text, expected, err);
        list.value[list.count++] = value;
    } while (*end++ == ',');
    if (end[-1]) return bad_value(source, text, expected, err);
    *(arg_list *)option->value = list;
    return MR_OK;
}

static int set_flag(const arg_option *option, const char *source, const char *text, mr_error *err)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i])) {
            *(int *)option->value = (int)(i & 1);
            return MR_OK;
        }
    return bad_value(source, text, "0 or 1", err);
}

int args_check_endpoint(const char *source, const char *text, int any_port, mr_error *err)
{
    uint32_t port;
    if (!strncmp(text, "ipc://", 6) && text[6]) return MR_OK;
    const char *colon = strrchr(text, ':');
    if (!strncmp(text, "tcp://", 6) && colon > text + 6) {
        const char *end = colon + 1;
        if (any_port && !strcmp(end, "*")) return MR_OK;
        if (parse_number(&end, &port) && !*end && port >= 1 && port <= 65535) return MR_OK;
    }
    return bad_value(source, text, "tcp://HOST:PORT with a port 1..65535", err);
}

/* 127.x.x.x, ::1 (also in brackets) and the loopback interface, which libzmq takes by name; any other name is none. */
int args_is_local(const char *endpoint)
{
    if (!strncmp(endpoint, "ipc://", 6)) return 1;
    const char *host = endpoint + (strncmp(endpoint, "tcp://", 6) ? 0 : 6), *colon = strrchr(host, ':');
    char name[64];
    struct in_addr v4;
    (void)snprintf(name, sizeof name, "%.*s", colon ? (int)(colon - host) : (int)strlen(host), host);
    if (inet_pton(AF_INET, name, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    return !strcmp(name, "lo") || !strcmp(name, "localhost") || !strcmp(name, "[::1]") || !strcmp(name, "::1");
}

static int set_endpoint(const arg_option *option, const char *source, const char *text, mr_error *err)
{
    int status = args_check_endpoint(source, text, option->max == 1, err);
    if (status == MR_OK) *(const char **)option->value = text;
    return status;
}

static int set_value(const arg_option *option, const char *source, const char *text, mr_error *err)
{
    switch (option->kind) {
    case ARG_FLAG: return set_flag(option, source, text, err);
    case ARG_COUNT: return set_count(option, source, text, err);
    case ARG_SIZE: return set_size(option, source, text, err);
    case ARG_ENDPOINT: return set_endpoint(option, source, text, err);
    case ARG_LIST: return set_list(option, source, text, err);
    default: break;
    }
    if (!*text) return bad_value(source, text, option->meta, err);
    *(const char **)option->value = text;
    return MR_OK;
}

/* "exit-when-done" becomes MOBYRAY_EXIT_WHEN_DONE. */
static void environment_name(const char *option, char name[64])
{
    int length = snprintf(name, 64, "MOBYRAY_%s", option);
    for (int i = 0; i < length && i < 63; i++) name[i] = (char)(name[i] == '-' ? '_' : toupper((unsigned char)name[i]));
}

static int read_variable(const arg_option *option, const char *name, mr_error *err)
{
    char variable[64];
    environment_name(name, variable);
    const char *text = getenv(variable);
    return text && *text ? set_value(option, variable, text, err) : MR_OK;
}

static int read_environment(const arg_option *options, mr_error *err)
{
    for (const arg_option *option = options; option->name; option++) {
        char letter[2] = {option->letter, 0};
        int status = option->letter ? read_variable(option, letter, err) : MR_OK;
        if (status == MR_OK) status = read_variable(option, option->name, err);
        if (status != MR_OK) return status;
    }
    return MR_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace) from a to b: Levenshtein 1966, by Wagner and Fischer's table, one row at a time. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], length = strlen(b);
    if (strlen(a) > WORD_MAX || length > WORD_MAX) return WORD_MAX;
    for (size_t j = 0; j <= length; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[length];
}

const char *args_nearest(const char *word, const char *(*name_of)(const void *table, size_t i), const void *table)
{
    const char *best = NULL, *name;
    size_t best_distance = 4; /* further away it would be a guess */
    for (size_t i = 0; (name = name_of(table, i)); i++) {
        size_t distance = edit_distance(word, name);
        if (distance < best_distance && distance < strlen(name)) {
            best_distance = distance;
            best = name;
        }
    }
    return best;
}

static const char *option_name(const void *table, size_t i)
{
    return ((const arg_option *)table)[i].name;
}

static int unknown_option(const arg_option *options, const char *word, mr_error *err)
{
    char name[WORD_MAX + 1];
    size_t length = strcspn(word, "=");
    (void)snprintf(name, sizeof name, "%.*s", (int)length, word);
    const char *nearest = args_nearest(name + strspn(name, "-"), option_name, options);
    if (!nearest) return mr_fail(err, MR_USAGE, "unknown option %.*s", (int)length, word);
    return mr_fail(err, MR_USAGE, "unknown option %.*s, did you mean --%s?", (int)length, word, nearest);
}

/* The option that word names, and its value when it stands behind '='. */
static const arg_option *find_option(const arg_option *options, const char *word, const char **value)
{
    *value = NULL;
    for (const arg_option *option = options; option->name; option++) {
        size_t length = strlen(option->name);
        if (word[1] != '-') {
            if (option->letter && word[1] == option->letter && !word[2]) return option;
        } else if (!strncmp(word + 2, option->name, length) && (!word[2 + length] || word[2 + length] == '=')) {
            if (word[2 + length]) *value = word + 3 + length;
            return option;
        }
    }
    return NULL;
}

/* Reads the option at argv[*i] and moves *i to the last word it used. */
static int read_option(const arg_option *options, int argc, char *const *argv, int *i, mr_error *err)
{
    const char *word = argv[*i], *value;
    const arg_option *option = find_option(options, word, &value);
    if (!option) return unknown_option(options, word, err);
    if (option->kind == ARG_FLAG) return set_flag(option, word, value ? value : "1", err);
    char source[64];
    if (word[1] == '-') (void)snprintf(source, sizeof source, "--%s", option->name);
    else (void)snprintf(source, sizeof source, "-%c", option->letter);
    if (!value && ++*i == argc) return mr_fail(err, MR_USAGE, "%s: no value, expected %s", source, option->meta);
    return set_value(option, source, value ? value : argv[*i], err);
}

static int read_positional(const char *word, int max_positionals, arg_result *out, mr_error *err)
{
    if (out->positional_count == max_positionals || out->positional_count == ARG_POSITIONALS_MAX)
        return mr_fail(err, MR_USAGE, "'%s' is one argument too many", word);
    out->positional[out->positional_count++] = word;
    return MR_OK;
}

static int asks_for_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return 1;
    return 0;
}

int args_parse(const arg_option *options, int argc, char *const *argv, int max_positionals, arg_result *out, mr_error *err)
{
    memset(out, 0, sizeof *out);
    out->help = asks_for_help(argc, argv);
    if (out->help) return MR_OK;
    int status = read_environment(options, err), only_words = 0;
    for (int i = 0; i < argc && status == MR_OK; i++) {
        if (!only_words && !strcmp(argv[i], "--")) only_words = 1;
        else if (!only_words && argv[i][0] == '-' && argv[i][1]) status = read_option(options, argc, argv, &i, err);
        else status = read_positional(argv[i], max_positionals, out, err);
    }
    return status;
}

void args_print(const arg_option *options, FILE *out)
{
    for (; options->name; options++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%c%c%s--%s %s", options->letter ? '-' : ' ', options->letter ? options->letter : ' ',
                       options->letter ? ", " : "  ", options->name, options->meta);
        fprintf(out, "  %-30s %s\n", left, options->help);
    }
}
