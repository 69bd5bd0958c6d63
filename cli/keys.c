/* See cli/keys.h. */
#include "cli/keys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tracer/scene/texture.h"

enum { FILE_MAX = 16 << 20, PERMITS_MAX = 65536, LINE_MAX_BYTES = 256, HEX = 2 * WIRE_KEY_BYTES };

const char *const keys_of_client[] = {"client", "coordinator", NULL}, *const keys_of_worker[] = {"worker", NULL},
                 *const keys_of_anyone[] = {"client", "worker", "coordinator", NULL};

/* ---- text ---- */

typedef struct reader {
    const char *at, *end, *name;
    unsigned line;
} reader;

/* The next line that says something, split in at most three words. 0: there is none; -1: one too long. */
static int next_words(reader *r, char line[LINE_MAX_BYTES], char *words[3])
{
    while (r->at < r->end) {
        const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
        size_t size = (size_t)((stop ? stop : r->end) - r->at);
        r->line++;
        if (size >= LINE_MAX_BYTES) return -1;
        memcpy(line, r->at, size);
        line[size] = 0;
        r->at = stop ? stop + 1 : r->end;
        int count = 0;
        char *rest = line;
        for (char *word; count < 3 && (word = strtok_r(count ? NULL : line, " \t\r", &rest));) words[count++] = word;
        if (count && words[0][0] != '#') return count;
    }
    return 0;
}

static int bad_line(const reader *r, const char *expected, mr_error *err)
{
    return mr_fail(err, MR_BAD_INPUT, "%s:%u: found something else, expected %s", r->name, r->line, expected);
}

static int parse_hex(const char *text, uint8_t key[WIRE_KEY_BYTES])
{
    size_t used = 0;
    const char *end;
    return strlen(text) == HEX && !sodium_hex2bin(key, WIRE_KEY_BYTES, text, HEX, NULL, &used, &end) && used == WIRE_KEY_BYTES;
}

static int known_role(const char *word)
{
    for (const char *const *role = keys_of_anyone; *role; role++)
        if (!strcmp(word, *role)) return 1;
    return 0;
}

/* One line of a key file. seen: a bit for each field that was there. */
static int parse_field(key_file *out, char *const words[3], int count, unsigned *seen)
{
    uint8_t *const keys[] = {out->keys.open, out->keys.secret, out->keys.coordinator};
    static const char *const names[] = {"public", "secret", "coordinator", "role"};
    unsigned field = 0;
    while (field < 4 && strcmp(words[0], names[field]) != 0) field++;
    if (count != 2 || field == 4 || *seen & 1u << field) return 0;
    *seen |= 1u << field;
    if (field < 3) return parse_hex(words[1], keys[field]);
    if (!known_role(words[1])) return 0;
    (void)snprintf(out->role, sizeof out->role, "%s", words[1]);
    return 1;
}

static int parse_fields(key_file *out, reader *r, mr_error *err)
{
    char line[LINE_MAX_BYTES], *words[3];
    unsigned seen = 0;
    int count = next_words(r, line, words), good = count == 2 && !strcmp(words[0], "mobyray-key") && !strcmp(words[1], "1");
    if (!good) return bad_line(r, "'mobyray-key 1', the first line of a key file", err);
    while (good && (count = next_words(r, line, words)) != 0) good = count > 0 && parse_field(out, words, count, &seen);
    sodium_memzero(line, sizeof line);
    if (!good) return bad_line(r, "'role', 'public', 'secret' or 'coordinator', once each, and a key of 64 hexadecimal digits", err);
    int is_coordinator = !strcmp(out->role, "coordinator");
    if (seen != (is_coordinator ? 11u : 15u))
        return mr_fail(err, MR_BAD_INPUT, "%s: a line is missing or one too many, expected role, public, secret%s", r->name,
                       is_coordinator ? "" : " and coordinator");
    if (is_coordinator) memcpy(out->keys.coordinator, out->keys.open, WIRE_KEY_BYTES);
    return MR_OK;
}

/* A public key that is not its secret's would only fail later, in the dark. */
int keys_parse(key_file *out, const char *text, size_t size, const char *name, mr_error *err)
{
    reader r = {.at = text, .end = text + size, .name = name};
    uint8_t open[WIRE_KEY_BYTES];
    memset(out, 0, sizeof *out);
    int status = parse_fields(out, &r, err);
    if (status == MR_OK && (crypto_scalarmult_base(open, out->keys.secret) != 0 || memcmp(open, out->keys.open, sizeof open) != 0))
        status = mr_fail(err, MR_BAD_INPUT, "%s: the public key is not that of the secret key", name);
    if (status != MR_OK) sodium_memzero(out, sizeof *out);
    return status;
}

static int parse_permit(wire_permit *out, char *const words[3], int count)
{
    if (count < 2 || !parse_hex(words[1], out->key)) return 0;
    out->own = !strcmp(words[0], "own-worker");
    out->roles = out->own || !strcmp(words[0], "worker") ? WIRE_ROLE_WORKER : !strcmp(words[0], "client") ? WIRE_ROLE_CLIENT : 0;
    (void)snprintf(out->name, sizeof out->name, "%s", count > 2 ? words[2] : words[0]);
    return out->roles != 0;
}

int keys_parse_allowed(wire_permit **permits, uint32_t *count, const char *text, size_t size, const char *name, mr_error *err)
{
    reader r = {.at = text, .end = text + size, .name = name};
    char line[LINE_MAX_BYTES], *words[3];
    uint32_t room = 0;
    *permits = NULL;
    *count = 0;
    for (int found; (found = next_words(&r, line, words)) != 0;) {
        if (*count == room) {
            room = room ? 2 * room : 16;
            wire_permit *more = room <= PERMITS_MAX ? realloc(*permits, room * sizeof *more) : NULL;
            if (!more) return mr_fail(err, MR_BAD_INPUT, "%s: found too many keys, expected at most %d", name, PERMITS_MAX);
            *permits = more;
        }
        if (found < 0 || !parse_permit(&(*permits)[*count], words, found))
            return bad_line(&r, "'worker', 'own-worker' or 'client', a key of 64 hexadecimal digits, and a name", err);
        (*count)++;
    }
    return MR_OK;
}

size_t keys_print(const key_file *file, char text[KEY_TEXT_MAX])
{
    char open[HEX + 1], secret[HEX + 1], coordinator[HEX + 1];
    (void)sodium_bin2hex(open, sizeof open, file->keys.open, WIRE_KEY_BYTES);
    (void)sodium_bin2hex(secret, sizeof secret, file->keys.secret, WIRE_KEY_BYTES);
    (void)sodium_bin2hex(coordinator, sizeof coordinator, file->keys.coordinator, WIRE_KEY_BYTES);
    int length = snprintf(text, KEY_TEXT_MAX, "mobyray-key 1\nrole %s\npublic %s\nsecret %s\n", file->role, open, secret);
    if (strcmp(file->role, "coordinator") != 0)
        length += snprintf(text + length, (size_t)(KEY_TEXT_MAX - length), "coordinator %s\n", coordinator);
    sodium_memzero(secret, sizeof secret);
    return (size_t)length;
}

void keys_print_permit(const wire_permit *permit, char *line, size_t size)
{
    char open[HEX + 1];
    (void)sodium_bin2hex(open, sizeof open, permit->key, WIRE_KEY_BYTES);
    (void)snprintf(line, size, "%s %s %s\n", permit->own ? "own-worker" : permit->roles == WIRE_ROLE_WORKER ? "worker" : "client", open, permit->name);
}

int keys_make(uint8_t open[WIRE_KEY_BYTES], uint8_t secret[WIRE_KEY_BYTES], mr_error *err)
{
    if (sodium_init() < 0 || crypto_box_keypair(open, secret) != 0) return mr_fail(err, MR_FAILED, "no random numbers for keys");
    return MR_OK;
}

/* ---- files ---- */

/* Ours or root's, and closed to others; a group may read it (a mounted secret's way), not write it. */
static int check_private(const char *path, mr_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0) return mr_fail(err, MR_BAD_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    if (info.st_mode & 037)
        return mr_fail(err, MR_BAD_INPUT, "%s: found permissions %03o, expected 600: others could read this secret key (chmod 600)", path,
                       (unsigned)info.st_mode & 0777u);
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return mr_fail(err, MR_BAD_INPUT, "%s: belongs to user %u, expected this user or root", path, (unsigned)info.st_uid);
    return MR_OK;
}

int keys_read_secret(const char *path, char **text, size_t *size, mr_error *err)
{
    int status = check_private(path, err);
    return status == MR_OK ? mr_file_read(path, FILE_MAX, text, size, err) : status;
}

static int read_key_file(const char *path, key_file *out, mr_error *err)
{
    char *text = NULL;
    size_t size = 0;
    int status = keys_read_secret(path, &text, &size, err);
    if (status != MR_OK) return status;
    status = keys_parse(out, text, size, path, err);
    sodium_memzero(text, size);
    free(text);
    return status;
}

/* DIR/ROLE.key or DIR/ROLE/ROLE.key, of the first role that has one. */
static int find_in_folder(const char *folder, const char *const *roles, char found[KEYS_PATH_MAX], mr_error *err)
{
    for (const char *const *role = roles; *role; role++)
        for (int deep = 0; deep < 2; deep++) {
            int length = deep ? snprintf(found, KEYS_PATH_MAX, "%s/%s/%s.key", folder, *role, *role) : snprintf(found, KEYS_PATH_MAX, "%s/%s.key", folder, *role);
            if (length < KEYS_PATH_MAX && access(found, F_OK) == 0) return MR_OK;
        }
    return mr_fail(err, MR_BAD_INPUT, "%s: found no %s.key in this folder (mobyray keygen makes one)", folder, roles[0]);
}

static int read_role(const char *path, const char *const *roles, char found[KEYS_PATH_MAX], key_file *out, mr_error *err)
{
    struct stat info;
    int is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (sodium_init() < 0) return mr_fail(err, MR_FAILED, "libsodium does not start");
    if (!is_folder && snprintf(found, KEYS_PATH_MAX, "%s", path) >= KEYS_PATH_MAX) return mr_fail(err, MR_BAD_INPUT, "%.99s...: too long a name", path);
    int status = is_folder ? find_in_folder(path, roles, found, err) : MR_OK;
    if (status == MR_OK) status = read_key_file(found, out, err);
    if (status != MR_OK) return status;
    for (const char *const *role = roles; *role; role++)
        if (!strcmp(*role, out->role)) return MR_OK;
    sodium_memzero(&out->keys, sizeof out->keys);
    return mr_fail(err, MR_BAD_INPUT, "%s: found the key of a %s, expected a %s's", found, out->role, roles[0]);
}

int keys_load(const char *path, const char *const *roles, wire_keys *out, int *found, mr_error *err)
{
    char file[KEYS_PATH_MAX];
    key_file key = {.role = ""};
    *found = path != NULL;
    if (!path) return MR_OK;
    int status = read_role(path, roles, file, &key, err);
    *out = key.keys;
    sodium_memzero(&key, sizeof key);
    return status;
}

/* The list beside a coordinator's key. */
static int read_list(const char *file, co_keys *out, mr_error *err)
{
    char *text = NULL;
    size_t size = 0;
    wire_permit *permits = NULL;
    int status = mr_file_read(file, FILE_MAX, &text, &size, err);
    if (status == MR_OK) status = keys_parse_allowed(&permits, &out->permit_count, text, size, file, err);
    out->permits = permits;
    free(text);
    return status;
}

static int read_coordinator(const char *path, char list[KEYS_PATH_MAX], co_keys *out, mr_error *err)
{
    static const char *const roles[] = {"coordinator", NULL};
    key_file key = {.role = ""};
    *out = (co_keys){.permits = NULL};
    int status = read_role(path, roles, list, &key, err);
    memcpy(out->open, key.keys.open, sizeof out->open);
    memcpy(out->secret, key.keys.secret, sizeof out->secret);
    sodium_memzero(&key, sizeof key);
    if (status != MR_OK) return status;
    char *slash = strrchr(list, '/');
    size_t before = slash ? (size_t)(slash + 1 - list) : 0;
    if (before + sizeof "allowed" > KEYS_PATH_MAX) return mr_fail(err, MR_BAD_INPUT, "%.99s...: too long a name", list);
    memcpy(list + before, "allowed", sizeof "allowed");
    return MR_OK;
}

int keys_load_coordinator(const char *path, co_keys *out, char list[KEYS_PATH_MAX], mr_error *err)
{
    char unseen[KEYS_PATH_MAX];
    if (!list) list = unseen;
    int status = read_coordinator(path, list, out, err);
    return status == MR_OK ? read_list(list, out, err) : status;
}

int keys_load_public(const char *path, uint8_t open[WIRE_KEY_BYTES], mr_error *err)
{
    co_keys keys;
    int status = keys_load_coordinator(path, &keys, NULL, err); /* also checks that the list is a good one */
    memcpy(open, keys.open, WIRE_KEY_BYTES);
    keys_wipe(&keys);
    return status;
}

int keys_load_list(const char *list, co_keys *out, mr_error *err)
{
    *out = (co_keys){.permits = NULL};
    return read_list(list, out, err);
}

int keys_check_name(const char *option, const char *name, mr_error *err)
{
    size_t length = strlen(name);
    for (size_t i = 0; name[i]; i++)
        if (!isalnum((unsigned char)name[i]) && (!strchr("-_.", name[i]) || i == 0)) length = WIRE_MAX_NAME;
    if (length && length < WIRE_MAX_NAME) return MR_OK;
    return mr_fail(err, MR_USAGE, "%s: found '%.80s', expected up to %d letters, digits, dots, dashes", option, name, WIRE_MAX_NAME - 1);
}

/* One write of a whole line: who reads the list meanwhile sees it with the line or without. */
int keys_let_in(const char *path, const wire_permit *permit, mr_error *err)
{
    char list[KEYS_PATH_MAX], line[160];
    co_keys keys;
    int status = read_coordinator(path, list, &keys, err);
    keys_wipe(&keys);
    if (status != MR_OK) return status;
    keys_print_permit(permit, line, sizeof line);
    int file = open(list, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0) return mr_fail(err, MR_FAILED, "%s: cannot be written: %s", list, strerror(errno));
    size_t size = strlen(line);
    int failed = write(file, line, size) != (ssize_t)size || fsync(file) != 0;
    if (close(file) != 0 || failed) return mr_fail(err, MR_FAILED, "%s: cannot be written", list);
    return MR_OK;
}

void keys_wipe(co_keys *keys)
{
    sodium_memzero(keys->secret, sizeof keys->secret);
    free((void *)(uintptr_t)keys->permits);
    keys->permits = NULL;
    keys->permit_count = 0;
}
