/* A text that grows, with an end: JSON and other answers of the HTTP side are written into it. When memory or the limit runs out the text is marked as
 * failed and every further call does nothing: check co_text_ok once, at the end. Numbers are written without the locale. */
#ifndef CO_TEXT_H
#define CO_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct co_text {
    char *bytes;              /* malloc'd; terminated; NULL while empty */
    size_t length, capacity;
    int failed;
    int comma;                /* JSON: the next value is not the first of its object or array */
} co_text;

void co_text_free(co_text *t);              /* a zeroed one is empty */
void co_text_clear(co_text *t);             /* keeps its memory */
int co_text_ok(const co_text *t);
char *co_text_take(co_text *t);             /* the bytes, now the caller's; NULL: failed or empty */
void co_text_add(co_text *t, const char *bytes, size_t length);
void co_text_format(co_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* JSON. Names are our own and plain; strings are escaped, and what is not UTF-8 in them becomes U+FFFD. name: NULL in an array. */
void co_json_open(co_text *t, const char *name, char bracket);  /* { or [ */
void co_json_close(co_text *t, char bracket);                   /* } or ] */
void co_json_string(co_text *t, const char *name, const char *value); /* NULL: null */
void co_json_uint(co_text *t, const char *name, uint64_t value);
void co_json_real(co_text *t, const char *name, double value);  /* six significant digits; not finite: null */
void co_json_time(co_text *t, const char *name, double value);  /* seconds with three decimals; 0: null */
void co_json_bool(co_text *t, const char *name, int value);
void co_json_null(co_text *t, const char *name);

#endif
