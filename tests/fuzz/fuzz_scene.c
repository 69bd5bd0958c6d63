/* scene.json: parsed, compiled (unless it wants a sky, which takes long), and what comes of it traced. */
#include "tests/fuzz/fuzz.h"
#include "tracer/bvh.h"
#include "tracer/scene/arena.h"
#include "tracer/scene/build.h"

static int is_cheap(const mr_description *d)
{
    for (uint32_t i = 0; i < d->light_count; i++)
        if (d->lights[i].kind == MR_DESC_SKY || d->lights[i].from_sky) return 0;
    return d->settings.max_bounces <= 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const mr_scene_options options = {.threads = 1, .quality = MR_BVH_MEDIUM};
    mr_arena arena = {0};
    mr_description description;
    mr_pack pack;
    mr_error err;
    if (mr_description_parse(&description, fuzz_file(bytes, size, ".json"), &arena, &err) == MR_OK && is_cheap(&description) &&
        mr_scene_compile(&pack, &description, &options, &err) == MR_OK) {
        fuzz_trace(&pack);
        mr_pack_close(&pack);
    }
    mr_arena_free(&arena);
    return 0;
}
