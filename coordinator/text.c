#include "coordinator/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/limits.h"

void co_text_free(co_text *t)
{
    free(t->bytes);
    *t = (co_text){ .bytes = NULL };
}

void co_text_clear(co_text *t)
{
    t->length = 0;
    t->failed = t->comma = 0;
    if (t->bytes) t->bytes[0] = 0;
}

int co_text_ok(const co_text *t) { return !t->failed; }

char *co_text_take(co_text *t)
{
    char *bytes = t->failed ? NULL : t->bytes;
    if (!bytes) free(t->bytes);
    *t = (co_text){ .bytes = NULL };
    return bytes;
}

/* Room for so many more bytes and a terminator. */
static int reserve(co_text *t, size_t more)
{
    if (t->failed) return -1;
    size_t needed = t->length + more + 1, capacity = t->capacity ? t->capacity : 256;
    if (needed <= t->capacity) return 0;
    while (capacity < needed) capacity *= 2;
    char *bytes = more <= CO_TEXT_MOST && needed <= CO_TEXT_MOST ? realloc(t->bytes, capacity) : NULL;
    t->failed = !bytes;
    if (!bytes) return -1;
    t->bytes = bytes;
    t->capacity = capacity;
    return 0;
}

void co_text_add(co_text *t, const char *bytes, size_t length)
{
    if (reserve(t, length)) return;
    memcpy(t->bytes + t->length, bytes, length);
    t->length += length;
    t->bytes[t->length] = 0;
}

void co_text_format(co_text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length < 0 || reserve(t, (size_t)length)) {
        t->failed = 1;
    } else {
        (void)vsnprintf(t->bytes + t->length, (size_t)length + 1, format, again);
        t->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

/* ---- JSON ---- */

static void name_it(co_text *t, const char *name)
{
    if (t->comma) co_text_add(t, ",", 1);
    t->comma = 1;
    if (!name) return;
    co_text_add(t, "\"", 1);
    co_text_add(t, name, strlen(name));
    co_text_add(t, "\":", 2);
}

void co_json_open(co_text *t, const char *name, char bracket)
{
    name_it(t, name);
    co_text_add(t, &bracket, 1);
    t->comma = 0;
}

void co_json_close(co_text *t, char bracket)
{
    co_text_add(t, &bracket, 1);
    t->comma = 1;
}

/* Bytes of the UTF-8 sequence at c (RFC 3629: shortest form, no surrogates, up to U+10FFFF), or 0. */
static size_t utf8_length(const unsigned char *c)
{
    size_t n = c[0] < 0x80 ? 1 : c[0] >= 0xC2 && c[0] < 0xE0 ? 2 : c[0] >= 0xE0 && c[0] < 0xF0 ? 3 : c[0] >= 0xF0 && c[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((c[i] & 0xC0) != 0x80) return 0;
    if ((c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F) || (c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F)) return 0;
    return n;
}

void co_json_string(co_text *t, const char *name, const char *value)
{
    if (!value) {
        co_json_null(t, name);
        return;
    }
    name_it(t, name);
    co_text_add(t, "\"", 1);
    for (const unsigned char *c = (const unsigned char *)value; *c;) {
        size_t n = utf8_length(c);
        if (*c == '"' || *c == '\\') co_text_format(t, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7F) co_text_format(t, "\\u%04x", *c);
        else if (n) co_text_add(t, (const char *)c, n);
        else co_text_add(t, "\xEF\xBF\xBD", 3);
        c += n ? n : 1;
    }
    co_text_add(t, "\"", 1);
}

void co_json_uint(co_text *t, const char *name, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    name_it(t, name);
    co_text_add(t, digits + at, sizeof digits - at);
}

/* No program of this house sets a locale; a point stays a point. */
void co_json_real(co_text *t, const char *name, double value)
{
    char text[32];
    if (!isfinite(value)) {
        co_json_null(t, name);
        return;
    }
    name_it(t, name);
    co_text_add(t, text, (size_t)snprintf(text, sizeof text, "%.6g", value));
}

void co_json_time(co_text *t, const char *name, double value)
{
    char text[64];
    if (!(value > 0) || value > 1e12) {
        co_json_null(t, name);
        return;
    }
    name_it(t, name);
    co_text_add(t, text, (size_t)snprintf(text, sizeof text, "%.3f", value));
}

void co_json_bool(co_text *t, const char *name, int value)
{
    name_it(t, name);
    co_text_add(t, value ? "true" : "false", value ? 4 : 5);
}

void co_json_null(co_text *t, const char *name)
{
    name_it(t, name);
    co_text_add(t, "null", 4);
}
