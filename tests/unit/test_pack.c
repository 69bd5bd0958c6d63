/* The pack: round trip through a file, damage, and packs that lie with a correct hash. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "tracer/bvh.h"
#include "tracer/film.h"
#include "tracer/pack.h"
#include "tracer/pack_check.h"
#include "tracer/render.h"
#include "tracer/scene.h"

/* Small, but with a section of every kind: instances, a tinted and an emissive object, spheres, a sun, an environment. */
static const char SCENE[] =
    "{\"camera\":{\"position\":[0,1,5],\"target\":[0,0,0]},\"film\":{\"size\":[8,8]},"
    "\"materials\":{\"lamp\":{\"emission\":[3,2,1]},\"glass\":{\"type\":\"glass\"}},"
    "\"meshes\":{\"box\":{\"shape\":\"box\",\"min\":[-1,-1,-1],\"max\":[1,1,1]},\"ball\":{\"shape\":\"sphere\"},"
    "\"lamp\":{\"shape\":\"quad\",\"points\":[[0,0,0],[1,0,0],[1,0,1],[0,0,1]],\"material\":\"lamp\"},"
    "\"floor\":{\"shape\":\"quad\",\"points\":[[-9,-1,9],[9,-1,9],[9,-1,-9],[-9,-1,-9]]}},"
    "\"objects\":[{\"mesh\":\"floor\",\"tint\":\"#ff8080\"},{\"mesh\":\"box\"},{\"mesh\":\"box\",\"material\":\"glass\",\"transform\":{\"translate\":[3,0,0],\"rotate_deg\":[0,30,0]}},"
    "{\"mesh\":\"lamp\",\"transform\":{\"translate\":[0,4,0]}},{\"mesh\":\"ball\",\"transform\":{\"translate\":[-3,0,0]}},"
    "{\"mesh\":\"ball\",\"material\":\"lamp\",\"transform\":{\"scale\":0.3,\"translate\":[-3,3,0]}}],"
    "\"lights\":[{\"type\":\"sun\",\"elevation_deg\":40,\"irradiance\":3},{\"type\":\"constant\",\"radiance\":[0.2,0.3,0.5]}]}";

static char folder[64];
static mr_pack pack;
static mr_error err;

static const char *in_folder(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/mobyray-pack-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    write_file("scene.json", SCENE, sizeof SCENE - 1);
    return mr_scene_load(&pack, folder, &(mr_scene_options){.threads = 1, .quality = MR_BVH_MEDIUM}, &err);
}

static int tear_down(void **state)
{
    (void)state;
    mr_pack_close(&pack);
    static const char *const names[] = {"scene.json", "a.pack", "b.pack"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) (void)unlink(in_folder(names[i]));
    return rmdir(folder);
}

/* ---- good packs ---- */

static void holds_every_section(void **state)
{
    (void)state;
    for (int s = 0; s < MR_SECTION_COUNT; s++) assert_true(pack.header->section[s].count > 0);
    assert_int_equal(pack.instance_count, 5);
    assert_int_equal(pack.light_count, 5);
    assert_string_equal(pack.settings->name + strlen(pack.settings->name) - 1, folder + strlen(folder) - 1);
}

static void survives_a_file(void **state)
{
    (void)state;
    mr_pack again;
    assert_int_equal(mr_pack_save(&pack, in_folder("a.pack"), &err), MR_OK);
    assert_int_equal(mr_pack_open(&again, in_folder("a.pack"), &err), MR_OK);
    assert_int_equal(again.size_bytes, pack.size_bytes);
    assert_memory_equal(again.base, pack.base, pack.size_bytes);
    mr_pack_close(&again);
    assert_int_equal(mr_scene_load(&again, in_folder("a.pack"), &(mr_scene_options){.threads = 1, .quality = MR_BVH_MEDIUM}, &err), MR_OK);
    mr_pack_close(&again);
    mr_pack_close(&again); /* a zeroed pack is fine */
}

static void hash_is_written_as_hex(void **state)
{
    (void)state;
    uint8_t hash[MR_HASH_BYTES] = {0x01, 0xab, [31] = 0xf0};
    char hex[2 * MR_HASH_BYTES + 1];
    mr_hash_hex(hash, hex);
    assert_string_equal(hex, "01ab0000000000000000000000000000000000000000000000000000000000f0");
    mr_pack_hash(pack.base, pack.size_bytes, NULL, hash);
    assert_memory_equal(hash, pack.header->hash, sizeof hash);
}

/* Of bytes that are no pack: only the place of the hash field matters. */
static void fill_blob(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * i >> 7 ^ i);
}

/* In one go, by a crew, and piece by piece: the same. */
static void hash_is_the_same_however_it_is_made(void **state)
{
    (void)state;
    static const size_t sizes[] = {sizeof(mr_pack_header), MR_HASH_BLOCK - 1, MR_HASH_BLOCK, MR_HASH_BLOCK + 1, 3 * MR_HASH_BLOCK, 5 * MR_HASH_BLOCK + 77777};
    static const size_t steps[] = {1000003, MR_HASH_BLOCK, 65536, 4097, 31};
    mr_crew *crew = mr_crew_new(3);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint8_t *bytes = malloc(sizes[s]), want[MR_HASH_BYTES], hash[MR_HASH_BYTES];
        fill_blob(bytes, sizes[s]);
        mr_pack_hash(bytes, sizes[s], NULL, want);
        mr_pack_hash(bytes, sizes[s], crew, hash);
        assert_memory_equal(hash, want, sizeof hash);
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            mr_pack_hasher hasher;
            mr_pack_hash_begin(&hasher, sizes[s]);
            for (size_t at = 0; at < sizes[s]; at += steps[k]) mr_pack_hash_add(&hasher, bytes + at, sizes[s] - at < steps[k] ? sizes[s] - at : steps[k]);
            mr_pack_hash_end(&hasher, hash);
            assert_memory_equal(hash, want, sizeof hash);
        }
        bytes[offsetof(mr_pack_header, hash) + 5] ^= 1; /* its own field does not count, the bytes beside it do */
        mr_pack_hash(bytes, sizes[s], NULL, hash);
        assert_memory_equal(hash, want, sizeof hash);
        bytes[offsetof(mr_pack_header, hash) + MR_HASH_BYTES] ^= 1;
        mr_pack_hash(bytes, sizes[s], NULL, hash);
        assert_memory_not_equal(hash, want, sizeof hash);
        free(bytes);
    }
    mr_crew_free(crew);
}

/* The definition, with libsodium's one-shot function. */
static void hash_is_the_tree_that_is_described(void **state)
{
    (void)state;
    enum { SIZE = MR_HASH_BLOCK + 12345 };
    uint8_t *bytes = malloc(SIZE), root[16 + 2 * MR_HASH_BYTES] = "MRAYTREE", want[MR_HASH_BYTES], hash[MR_HASH_BYTES];
    const uint64_t size = SIZE;
    fill_blob(bytes, SIZE);
    mr_pack_hash(bytes, SIZE, NULL, hash);
    memset(bytes + offsetof(mr_pack_header, hash), 0, MR_HASH_BYTES);
    memcpy(root + 8, &size, 8);
    (void)crypto_generichash(root + 16, MR_HASH_BYTES, bytes, MR_HASH_BLOCK, NULL, 0);
    (void)crypto_generichash(root + 16 + MR_HASH_BYTES, MR_HASH_BYTES, bytes + MR_HASH_BLOCK, SIZE - MR_HASH_BLOCK, NULL, 0);
    (void)crypto_generichash(want, MR_HASH_BYTES, root, sizeof root, NULL, 0);
    assert_memory_equal(hash, want, sizeof hash);
    free(bytes);
}

static void a_hash_taken_on_the_way_is_enough(void **state)
{
    (void)state;
    uint8_t hash[MR_HASH_BYTES];
    mr_pack out = {0};
    mr_pack_hasher hasher;
    mr_pack_hash_begin(&hasher, pack.size_bytes);
    mr_pack_hash_add(&hasher, pack.base, pack.size_bytes);
    mr_pack_hash_end(&hasher, hash);
    assert_int_equal(mr_pack_check_hashed(&out, pack.base, pack.size_bytes, hash, "hashed", &err), MR_OK);
    hash[31] ^= 1;
    assert_int_equal(mr_pack_check_hashed(&out, pack.base, pack.size_bytes, hash, "hashed", &err), MR_BAD_INPUT);
    assert_non_null(strstr(err.text, "hashed: damaged"));
}

static void cannot_be_saved_nowhere(void **state)
{
    (void)state;
    assert_int_equal(mr_pack_save(&pack, "/nowhere/at/all.pack", &err), MR_FAILED);
    assert_non_null(strstr(err.text, "/nowhere/at/all.pack: cannot be written: No such file"));
}

/* ---- damage ---- */

static uint8_t *copy_of_pack(void)
{
    uint8_t *copy = aligned_alloc(MR_PACK_ALIGN, (pack.size_bytes + MR_PACK_ALIGN - 1) / MR_PACK_ALIGN * MR_PACK_ALIGN);
    assert_non_null(copy);
    memcpy(copy, pack.base, pack.size_bytes);
    return copy;
}

static void every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    uint8_t *copy = copy_of_pack();
    mr_pack out = {0};
    for (size_t i = 0; i < pack.size_bytes; i++) {
        copy[i] ^= (uint8_t)(1u << i % 8);
        if (mr_pack_check(&out, copy, pack.size_bytes, "flipped", &err) != MR_BAD_INPUT) fail_msg("byte %zu flipped is accepted", i);
        copy[i] ^= (uint8_t)(1u << i % 8);
    }
    assert_null(out.base); /* untouched on failure */
    assert_int_equal(mr_pack_check(&out, copy, pack.size_bytes, "whole", &err), MR_OK);
    free(copy);
}

static void every_cut_is_noticed(void **state)
{
    (void)state;
    mr_pack out;
    for (size_t size = 0; size < pack.size_bytes; size++) {
        /* a block of exactly this size, so that a sanitizer sees any look beyond it */
        uint8_t *cut = NULL;
        assert_int_equal(posix_memalign((void **)&cut, MR_PACK_ALIGN, size ? size : 1), 0);
        memcpy(cut, pack.base, size);
        assert_int_equal(mr_pack_check(&out, cut, size, "cut", &err), MR_BAD_INPUT);
        free(cut);
    }
    write_file("b.pack", pack.base, pack.size_bytes / 2);
    assert_int_equal(mr_pack_open(&out, in_folder("b.pack"), &err), MR_BAD_INPUT);
    assert_non_null(strstr(err.text, "b.pack: found "));
}

static void other_files_are_no_packs(void **state)
{
    (void)state;
    mr_pack out;
    assert_int_equal(mr_pack_open(&out, in_folder("scene.json"), &err), MR_BAD_INPUT);
    assert_non_null(strstr(err.text, "scene.json: not a scene pack"));
    assert_int_equal(mr_pack_open(&out, in_folder("none.pack"), &err), MR_BAD_INPUT);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(mr_pack_open(&out, folder, &err), MR_BAD_INPUT);
}

/* ---- lies: the hash is right, the contents are not ---- */

static void sign(uint8_t *copy, size_t size)
{
    mr_pack_hash(copy, size, NULL, ((mr_pack_header *)(void *)copy)->hash);
}

static uint8_t *section(uint8_t *copy, enum mr_section s) { return copy + pack.header->section[s].offset; }

static void expect_refusal(uint8_t *copy, const char *message)
{
    mr_pack out;
    sign(copy, pack.size_bytes);
    assert_int_equal(mr_pack_check(&out, copy, pack.size_bytes, "liar", &err), MR_BAD_INPUT);
    if (!strstr(err.text, message)) fail_msg("got: %s; expected: %s", err.text, message);
    memcpy(copy, pack.base, pack.size_bytes);
}

#define LIE(SECTION, TYPE, INDEX, FIELD, VALUE, MESSAGE) \
    do { \
        ((TYPE *)(void *)section(copy, SECTION))[INDEX].FIELD = (VALUE); \
        expect_refusal(copy, MESSAGE); \
    } while (0)

static void lies_are_named(void **state)
{
    (void)state;
    uint8_t *copy = copy_of_pack();
    mr_pack_header *header = (mr_pack_header *)(void *)copy;
    LIE(MR_SECTION_TRIANGLES, mr_triangle, 3, v[1], pack.vertex_count, "triangle 3");
    LIE(MR_SECTION_TRIANGLES, mr_triangle, 0, material, pack.material_count, "triangle 0");
    LIE(MR_SECTION_VERTICES, mr_vertex, 5, p[2], NAN, "vertex 5");
    LIE(MR_SECTION_VERTICES, mr_vertex, 6, uv[0], INFINITY, "vertex 6");
    LIE(MR_SECTION_MATERIALS, mr_material, 0, base_texture, pack.texture_count, "material 0");
    LIE(MR_SECTION_MATERIALS, mr_material, 1, ior, 0, "material 1");
    LIE(MR_SECTION_MATERIALS, mr_material, 1, flags, 1u << 30, "material 1");
    LIE(MR_SECTION_MATERIALS, mr_material, 0, first_light, pack.light_count, "material 0");
    LIE(MR_SECTION_INSTANCES, mr_instance, 0, to_world[3], 1, "instance 0");
    LIE(MR_SECTION_INSTANCES, mr_instance, 0, kind, MR_INSTANCE_SPHERE, "instance 0");
    LIE(MR_SECTION_INSTANCES, mr_instance, 1, material, pack.material_count, "instance 1");
    LIE(MR_SECTION_INSTANCES, mr_instance, 3, light, 0, "instance 3");
    LIE(MR_SECTION_INSTANCES, mr_instance, 4, light, MR_NONE, "light 2");
    LIE(MR_SECTION_TEXTURES, mr_texture, 0, width, 7, "texture 0");
    LIE(MR_SECTION_TEXTURES, mr_texture, 0, offset, UINT64_MAX - 15, "texture 0");
    ((float *)(void *)section(copy, MR_SECTION_TEXELS))[2] = NAN;
    expect_refusal(copy, "texture 0");
    LIE(MR_SECTION_LIGHTS, mr_light, 0, index, pack.triangle_count, "light 0");
    LIE(MR_SECTION_LIGHTS, mr_light, 1, index, 0, "light 1");
    LIE(MR_SECTION_LIGHTS, mr_light, 2, kind, MR_LIGHT_TRIANGLE, "instance 4");
    LIE(MR_SECTION_LIGHTS, mr_light, 3, direction[0], 5, "light 3");
    LIE(MR_SECTION_LIGHTS, mr_light, 4, kind, 77, "light 4");
    LIE(MR_SECTION_LIGHTS, mr_light, 0, texture, pack.texture_count, "light 0");
    LIE(MR_SECTION_LIGHT_TABLE, mr_alias, 1, alias, pack.light_count, "light table entry 1");
    LIE(MR_SECTION_LIGHT_TABLE, mr_alias, 1, threshold, 1.5f, "light table entry 1");
    LIE(MR_SECTION_ENVIRONMENT, mr_environment, 0, texture, 9, "environment 0");
    LIE(MR_SECTION_ENVIRONMENT, mr_environment, 0, light, 0, "light 4");
    LIE(MR_SECTION_MATERIALS, mr_material, 0, base_texture, pack.environment->texture, "material 0");
    LIE(MR_SECTION_ENVIRONMENT, mr_environment, 0, columns, 0, "environment table 0");
    LIE(MR_SECTION_ENVIRONMENT, mr_environment, 0, rows, UINT32_MAX, "environment table 0");
    for (uint32_t i = 1; i < 2 * (pack.environment->rows + 1) + 2; i++) { /* the rows' CDF, their cosines, the first CDF of columns */
        ((float *)(void *)section(copy, MR_SECTION_ENV_TABLE))[i] = 1.5f;
        expect_refusal(copy, "environment table 0");
    }
    LIE(MR_SECTION_SETTINGS, mr_settings, 0, width, 0, "film 0");
    LIE(MR_SECTION_SETTINGS, mr_settings, 0, tone_map, 3, "film 0");
    LIE(MR_SECTION_SETTINGS, mr_settings, 0, u[0], 2, "camera 0");
    LIE(MR_SECTION_SETTINGS, mr_settings, 0, max_bounces, UINT32_MAX, "integrator 0");
    memset(((mr_settings *)(void *)section(copy, MR_SECTION_SETTINGS))->name, 'x', 64);
    expect_refusal(copy, "name 0");
    header->section[MR_SECTION_LIGHTS].count = UINT64_MAX / 4;
    expect_refusal(copy, "section 8 lies outside");
    header->section[MR_SECTION_VERTICES].offset = header->section[MR_SECTION_TRIANGLES].offset;
    expect_refusal(copy, "section 3 lies outside the pack or over another");
    header->section[MR_SECTION_MATERIALS].count = 0;
    expect_refusal(copy, "section 5: found 0 elements");
    header->version = 99;
    expect_refusal(copy, "found pack version 99, expected 6");
    free(copy);
}

/* ---- lies of any kind: refused, or harmless to check and to render ---- */

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static void mutate(uint8_t *copy, uint64_t *random)
{
    static const uint32_t words[] = {0, 1, 0x7F800000u, 0xFF800000u, 0x7FC00000u, 0xFFFFFFFFu, 0xFFFFFFFEu, 0x80000000u, 0x7F7FFFFFu, 0x00000001u, 0x3F800000u};
    size_t at = next_random(random) % (pack.size_bytes / 4) * 4;
    uint32_t word = words[next_random(random) % (sizeof words / sizeof *words)];
    switch (next_random(random) % 3) {
    case 0: copy[at] ^= (uint8_t)(1u << next_random(random) % 8); break;
    case 1: memcpy(copy + at, &word, 4); break;
    default: memcpy(copy + at, copy + next_random(random) % (pack.size_bytes / 4) * 4, 4); break;
    }
}

static void render_a_little(const mr_pack *p)
{
    const mr_picture picture = {8, 8, 1, 0};
    const mr_tile tile = {0, 0, 8, 8, 0, 1};
    uint64_t sums[8 * 8 * 3];
    for (unsigned k = 0; mr_kernel_at(k); k++) {
        mr_renderer *renderer = mr_renderer_new(p, mr_kernel_at(k));
        assert_non_null(renderer);
        assert_int_equal(mr_render_tile(renderer, &picture, &tile, sums, NULL, NULL), MR_OK);
        mr_renderer_free(renderer);
    }
}

static void any_lie_is_harmless(void **state)
{
    (void)state;
    uint8_t *copy = copy_of_pack();
    uint64_t random = 1;
    int accepted = 0, refused = 0;
    for (int i = 0; i < 10000; i++) {
        mr_pack out;
        for (uint64_t n = 1 + next_random(&random) % 3; n > 0; n--) mutate(copy, &random);
        sign(copy, pack.size_bytes);
        if (mr_pack_check(&out, copy, pack.size_bytes, "liar", &err)) {
            refused++;
        } else {
            accepted++;
            render_a_little(&out);
        }
        memcpy(copy, pack.base, pack.size_bytes);
    }
    print_message("%d refused, %d accepted and rendered\n", refused, accepted);
    assert_true(refused > 2500 && accepted > 250);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_every_section),          cmocka_unit_test(survives_a_file),      cmocka_unit_test(hash_is_written_as_hex),
        cmocka_unit_test(hash_is_the_same_however_it_is_made), cmocka_unit_test(hash_is_the_tree_that_is_described),
        cmocka_unit_test(a_hash_taken_on_the_way_is_enough), cmocka_unit_test(cannot_be_saved_nowhere),      cmocka_unit_test(every_flipped_byte_is_noticed),
        cmocka_unit_test(every_cut_is_noticed),         cmocka_unit_test(other_files_are_no_packs),
        cmocka_unit_test(lies_are_named),               cmocka_unit_test(any_lie_is_harmless),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
