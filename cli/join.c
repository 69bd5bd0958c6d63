/* See cli/join.h. */
#include "cli/join.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/keys.h"

enum { VERSION = 1, SUM = 4, HEAD = 1 + 2 * WIRE_KEY_BYTES, BYTES_MAX = HEAD + JOIN_ENDPOINT_MAX - 1 + SUM };

static const char prefix[] = "mobyray-join-", blanks[] = " \t\r\n";
enum { PREFIX = sizeof prefix - 1 };

static int not_one(const char *source, const char *found, mr_error *err)
{
    return mr_fail(err, MR_BAD_INPUT, "%s: found %s, expected a word %s... as `mobyray token` prints it", source, found, prefix);
}

static void sum_of(const uint8_t *bytes, size_t size, uint8_t sum[SUM])
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    (void)crypto_generichash(hash, sizeof hash, bytes, size, NULL, 0);
    memcpy(sum, hash, SUM);
}

/* bytes: a version, two keys, an endpoint, a sum. */
static int unpack(join_token *out, const uint8_t *bytes, size_t size, const char *source, mr_error *err)
{
    uint8_t sum[SUM];
    if (size <= HEAD + SUM) return not_one(source, "a token that is too short", err);
    sum_of(bytes, size - SUM, sum);
    if (memcmp(sum, bytes + size - SUM, SUM) != 0) return not_one(source, "a token that was cut off or changed (its sum is wrong)", err);
    if (bytes[0] != VERSION) return mr_fail(err, MR_BAD_INPUT, "%s: found a token of form %u, expected %d: made by another version of mobyray", source, bytes[0], VERSION);
    memcpy(out->keys.coordinator, bytes + 1, WIRE_KEY_BYTES);
    memcpy(out->keys.secret, bytes + 1 + WIRE_KEY_BYTES, WIRE_KEY_BYTES);
    memcpy(out->endpoint, bytes + HEAD, size - HEAD - SUM);
    out->endpoint[size - HEAD - SUM] = 0;
    if (strlen(out->endpoint) != size - HEAD - SUM || args_check_endpoint(source, out->endpoint, 0, NULL)) return not_one(source, "a token without a good address", err);
    if (crypto_scalarmult_base(out->keys.open, out->keys.secret) != 0) return not_one(source, "a token without a good key", err);
    return MR_OK;
}

int join_parse(join_token *out, const char *text, size_t size, const char *source, mr_error *err)
{
    uint8_t bytes[BYTES_MAX];
    size_t used = 0;
    const char *end = NULL;
    memset(out, 0, sizeof *out);
    if (sodium_init() < 0) return mr_fail(err, MR_FAILED, "libsodium does not start");
    while (size && strchr(blanks, text[0])) text++, size--;
    while (size && strchr(blanks, text[size - 1])) size--;
    if (size < PREFIX || memcmp(text, prefix, PREFIX) != 0) return not_one(source, "something else", err);
    if (size > JOIN_TEXT_MAX) return not_one(source, "too long a word", err);
    if (sodium_base642bin(bytes, sizeof bytes, text + PREFIX, size - PREFIX, NULL, &used, &end, sodium_base64_VARIANT_URLSAFE_NO_PADDING) || end != text + size)
        return not_one(source, "a token that was cut off, or with a sign that is none of base64url", err);
    int status = unpack(out, bytes, used, source, err);
    sodium_memzero(bytes, sizeof bytes);
    if (status != MR_OK) sodium_memzero(out, sizeof *out);
    return status;
}

int join_print(const join_token *token, char text[JOIN_TEXT_MAX], mr_error *err)
{
    uint8_t bytes[BYTES_MAX] = {VERSION};
    size_t length = strlen(token->endpoint), size = HEAD + length;
    if (!length || length >= JOIN_ENDPOINT_MAX) return mr_fail(err, MR_USAGE, "an address of %zu bytes: expected 1 to %d", length, JOIN_ENDPOINT_MAX - 1);
    memcpy(bytes + 1, token->keys.coordinator, WIRE_KEY_BYTES);
    memcpy(bytes + 1 + WIRE_KEY_BYTES, token->keys.secret, WIRE_KEY_BYTES);
    memcpy(bytes + HEAD, token->endpoint, length);
    sum_of(bytes, size, bytes + size);
    memcpy(text, prefix, PREFIX);
    (void)sodium_bin2base64(text + PREFIX, JOIN_TEXT_MAX - PREFIX, bytes, size + SUM, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof bytes);
    return MR_OK;
}

int join_load(join_token *out, char *word, mr_error *err)
{
    char *text = NULL;
    size_t size = 0;
    if (!strchr(word, '/')) {
        int status = join_parse(out, word, strlen(word), "--join", err);
        memset(word, '*', strlen(word));
        return status;
    }
    int status = keys_read_secret(word, &text, &size, err);
    if (status != MR_OK) return status;
    status = join_parse(out, text, size, word, err);
    sodium_memzero(text, size);
    free(text);
    return status;
}

int join_or_keys(const char *word, const char *key, const char *const *roles, wire_keys *keys, int *found, char endpoint[JOIN_ENDPOINT_MAX], mr_error *err)
{
    join_token token;
    memset(keys, 0, sizeof *keys);
    endpoint[0] = 0;
    if (!word) return keys_load(key, roles, keys, found, err);
    if (key) return mr_fail(err, MR_USAGE, "--join and --key exclude each other: a token has its key in it");
    int status = join_load(&token, (char *)(uintptr_t)word, err); /* it points into our own arguments or environment: see cli/args.h */
    if (status != MR_OK) return status;
    memcpy(endpoint, token.endpoint, JOIN_ENDPOINT_MAX);
    *keys = token.keys;
    *found = 1;
    sodium_memzero(&token, sizeof token);
    return MR_OK;
}
