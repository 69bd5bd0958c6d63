/* Lays the sections of a built scene out as one blob and names it by its hash. */
#include <stdlib.h>
#include <string.h>

#include "tracer/pack_check.h"
#include "tracer/pages.h"
#include "tracer/scene/build.h"

typedef struct part {
    const void *bytes; /* NULL: written separately */
    uint64_t count;
} part;

/* Each image starts on a multiple of 16 bytes of the texel section. */
static uint64_t texel_room(const mr_image *image) { return (mr_image_bytes(image) + 15) / 16 * 16; }

static void list_parts(const mr_build *b, part parts[MR_SECTION_COUNT])
{
    size_t bvh_bytes = 0;
    uint64_t texels = 0;
    const void *bvh = mr_bvh_bytes(b->bvh, &bvh_bytes);
    for (uint32_t i = 0; i < b->image_count; i++) texels += texel_room(&b->images[i]);
    parts[MR_SECTION_SETTINGS] = (part){&b->settings, 1};
    parts[MR_SECTION_BVH] = (part){bvh, bvh_bytes};
    parts[MR_SECTION_TRIANGLES] = (part){b->triangles, b->triangle_count};
    parts[MR_SECTION_VERTICES] = (part){b->vertices, b->vertex_count};
    parts[MR_SECTION_INSTANCES] = (part){b->instances, b->instance_count};
    parts[MR_SECTION_MATERIALS] = (part){b->materials, b->material_count};
    parts[MR_SECTION_TEXTURES] = (part){NULL, b->image_count};
    parts[MR_SECTION_TEXELS] = (part){NULL, texels};
    parts[MR_SECTION_LIGHTS] = (part){b->lights, b->light_count};
    parts[MR_SECTION_LIGHT_TABLE] = (part){b->light_table, b->light_count};
    parts[MR_SECTION_ENVIRONMENT] = (part){&b->environment, b->has_environment};
    parts[MR_SECTION_ENV_TABLE] = (part){b->env_table, b->env_table_count};
}

/* Gives every section its offset; the pack's size in bytes, or 0 when it overflows. */
static uint64_t place_sections(const part parts[MR_SECTION_COUNT], mr_pack_header *header)
{
    uint64_t at = sizeof *header, bytes;
    for (int s = 0; s < MR_SECTION_COUNT; s++) {
        if (at > UINT64_MAX - MR_PACK_ALIGN) return 0;
        at = (at + MR_PACK_ALIGN - 1) / MR_PACK_ALIGN * MR_PACK_ALIGN;
        header->section[s] = (mr_pack_section){at, parts[s].count};
        if (__builtin_mul_overflow(parts[s].count, (uint64_t)mr_section_element_bytes((enum mr_section)s), &bytes) || __builtin_add_overflow(at, bytes, &at)) return 0;
    }
    return at;
}

static void write_images(const mr_build *b, uint8_t *blob, const mr_pack_header *header)
{
    mr_texture *textures = (mr_texture *)(void *)(blob + header->section[MR_SECTION_TEXTURES].offset);
    uint8_t *texels = blob + header->section[MR_SECTION_TEXELS].offset;
    uint64_t at = 0;
    for (uint32_t i = 0; i < b->image_count; i++) {
        const mr_image *image = &b->images[i];
        textures[i] = (mr_texture){at, image->width, image->height, image->format, image->wrap};
        memcpy(texels + at, image->texels, mr_image_bytes(image));
        at += texel_room(image);
    }
}

/* Gaps between sections are zeros, so that equal scenes have equal bytes. */
static void write_sections(const mr_build *b, const part parts[MR_SECTION_COUNT], const mr_pack_header *header, uint8_t *blob)
{
    uint64_t end = sizeof *header;
    for (int s = 0; s < MR_SECTION_COUNT; s++) {
        uint64_t at = header->section[s].offset, bytes = parts[s].count * mr_section_element_bytes((enum mr_section)s);
        memset(blob + end, 0, at - end);
        if (parts[s].bytes && bytes) memcpy(blob + at, parts[s].bytes, bytes);
        else memset(blob + at, 0, bytes);
        end = at + bytes;
    }
    write_images(b, blob, header);
}

int mr_build_write(const mr_build *build, void **bytes, size_t *size_bytes)
{
    part parts[MR_SECTION_COUNT];
    mr_pack_header header = {.version = MR_PACK_VERSION, .section_count = MR_SECTION_COUNT};
    list_parts(build, parts);
    memcpy(header.magic, MR_PACK_MAGIC, sizeof header.magic);
    header.size_bytes = place_sections(parts, &header);
    uint8_t *blob = header.size_bytes ? mr_pages_alloc(header.size_bytes) : NULL;
    if (!blob) return mr_fail(build->err, MR_FAILED, "%s: no memory for a pack of %llu bytes", build->desc->file, (unsigned long long)header.size_bytes);
    write_sections(build, parts, &header, blob);
    memcpy(blob, &header, sizeof header);
    mr_pack_hash(blob, header.size_bytes, build->crew, header.hash);
    memcpy(blob, &header, sizeof header);
    *bytes = blob;
    *size_bytes = header.size_bytes;
    return MR_OK;
}
