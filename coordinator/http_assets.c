/* The page's files, inside of the program: the assembler copies them in, which works for every machine that we build for. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/http_internal.h"

/* Name, file, where it is served, as what. */
#define HTML "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE "text/css; charset=utf-8"
#define PAGE(name, file, type) EACH(name, "coordinator/page/" file, "/" file, type)
#define FILES                                                                  \
    EACH(page, "coordinator/page/index.html", "/", HTML)                       \
    EACH(openapi, "coordinator/openapi.json", "/openapi.json", "application/json") \
    PAGE(style, "style.css", STYLE)                                            \
    PAGE(whale, "whale.svg", "image/svg+xml")                                  \
    PAGE(api, "api.js", SCRIPT)                                                \
    PAGE(charts, "charts.js", SCRIPT)                                          \
    PAGE(chunks, "chunks.js", SCRIPT)                                          \
    PAGE(fleet, "fleet.js", SCRIPT)                                            \
    PAGE(jobs, "jobs.js", SCRIPT)                                              \
    PAGE(log, "log.js", SCRIPT)                                                \
    PAGE(main, "main.js", SCRIPT)                                              \
    PAGE(picture, "picture.js", SCRIPT)                                        \
    PAGE(text, "text.js", SCRIPT)                                              \
    PAGE(tone, "tone.js", SCRIPT)                                              \
    PAGE(view, "view.js", SCRIPT)                                              \
    PAGE(workers, "workers.js", SCRIPT)

#define EACH(name, file, path, type)                                                                                                                 \
    __asm__(".section .rodata\n.balign 16\nco_asset_" #name ":\n.incbin \"" file "\"\nco_asset_" #name "_end:\n.byte 0\n.balign 16\n.previous\n"); \
    extern const unsigned char co_asset_##name[], co_asset_##name##_end[];
FILES
#undef EACH

#define EACH(name, file, path, type) { path, type, co_asset_##name, 0, "" },
static co_asset assets[] = { FILES };
#undef EACH
#define EACH(name, file, path, type) co_asset_##name##_end,
static const unsigned char *const ends[] = { FILES };
enum { ASSETS = sizeof assets / sizeof *assets };

void co_assets_prepare(void)
{
    for (unsigned i = 0; i < ASSETS; i++) {
        unsigned char hash[16];
        co_asset *a = &assets[i];
        a->size = (size_t)(ends[i] - a->bytes);
        crypto_generichash(hash, sizeof hash, a->bytes, a->size, NULL, 0);
        a->etag[0] = '"';
        (void)sodium_bin2hex(a->etag + 1, sizeof a->etag - 1, hash, sizeof hash);
        (void)snprintf(a->etag + 1 + 2 * sizeof hash, sizeof a->etag - 1 - 2 * sizeof hash, "\"");
    }
}

const co_asset *co_asset_at(const char *path)
{
    for (unsigned i = 0; i < ASSETS; i++)
        if (!strcmp(path, assets[i].path)) return &assets[i];
    return NULL;
}
