/* The scene compiler: every kind of bad input has its message, and what comes out is what was meant. Runs in the repository's root. */
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

#include "tracer/bvh.h"
#include "tracer/scene.h"
#include "tracer/scene/atmosphere.h"
#include "tracer/scene/build.h"
#include "tracer/scene/environment.h"
#include "tracer/scene/info.h"

static char folder[64];
static mr_error err;
static const mr_scene_options ONE_THREAD = {.threads = 1, .quality = MR_BVH_MEDIUM};

static void assert_near(double found, double expected, double slack)
{
    if (!(fabs(found - expected) <= slack)) fail_msg("%.9g is not within %g of %.9g", found, slack, expected);
}

static const char *in_folder(const char *name)
{
    static char path[256];
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

static void write_text(const char *name, const char *text) { write_file(name, text, strlen(text)); }

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/mobyray-scene-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command); /* NOLINT(cert-env33-c): our own folder */
}

static void expect_bad(const char *path, const char *message)
{
    mr_pack pack = {0};
    err.text[0] = 0;
    int status = mr_scene_load(&pack, path, &ONE_THREAD, &err);
    if (status != MR_BAD_INPUT || !strstr(err.text, message)) fail_msg("%s: status %d: got: %s; expected: %s", path, status, err.text, message);
    assert_null(strchr(err.text, '\n'));
    assert_null(pack.base);
}

/* ---- bad JSON: one file each in tests/scenes/bad ---- */

static const struct bad_scene {
    const char *name, *message;
} BAD_SCENES[] = {
    {"type-roughness", "materials.m.roughness: found \"x\", expected a number 0..1"},
    {"type-null", "materials.m.roughness: found null, expected a number 0..1"},
    {"range-roughness", "materials.m.roughness: found 1.5, expected a number 0..1"},
    {"range-infinite", "camera.position[1]: found inf, expected a number -1e+09..1e+09"},
    {"range-spp", "film.spp: found 0, expected a whole number 1..1048576"},
    {"range-size", "film.size[0]: found 40000, expected a number 1..32768"},
    {"type-size", "film.size: found a list of 2, expected whole numbers of pixels"},
    {"type-fraction", "film.spp: found 1.5, expected a whole number"},
    {"type-tone-map", "film.tone_map: found \"hdr\", expected one of \"linear\", \"filmic\", \"aces\""},
    {"type-root", "found a list of 0, expected an object"},
    {"type-objects", "objects: found an object, expected a list of objects"},
    {"type-bool", "materials.m.flat: found 1, expected true or false"},
    {"type-color", "materials.m.base_color: found \"#12345\", expected a colour"},
    {"range-color", "materials.m.base_color[2]: found 2, expected a number 0..1"},
    {"unknown-top", "found the unknown key \"camra\", expected one of: name, camera"},
    {"unknown-material", "materials.m: found the unknown key \"rougness\""},
    {"unknown-transform", "objects[0].transform: found the unknown key \"move\""},
    {"unknown-light-key", "lights[0]: found the unknown key \"file\""},
    {"unknown-light", "lights[0].type: found \"moon\", expected one of \"sun\", \"sky\""},
    {"missing-camera", "camera: found nothing, expected an object"},
    {"missing-position", "camera.position: found nothing, expected a list of 3 numbers"},
    {"missing-objects", "objects: found nothing, expected a list of objects"},
    {"missing-mesh", "objects[0].mesh: found nothing, expected the name of a mesh"},
    {"missing-file", "meshes.b.file: found nothing, expected the path of a model file"},
    {"missing-sun-direction", "lights[0].direction: found nothing, expected a vector towards the sun"},
    {"empty-objects", "objects: found a list of 0, expected 1..1048576 objects"},
    {"both-lenses", "camera: found fov_deg and focal_mm, expected one of them"},
    {"both-apertures", "camera: found f_number and lens_radius, expected one of them"},
    {"lone-f-number", "camera: found f_number without focal_mm, expected both"},
    {"two-skies", "lights[1]: found a second light of the surroundings"},
    {"range-turbidity", "lights[0].turbidity: found 0, expected a number 1..10"},
    {"short-quad", "meshes.b.points: found a list of 3, expected a list of 4 points"},
    {"short-vector", "camera.target: found a list of 2, expected a list of 3 numbers"},
    {"short-matrix", "objects[0].transform.matrix: found a list of 11, expected a list of 12 or 16 numbers"},
    {"long-name", "name: found \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\", expected at most 63 bytes"},
    {"type-index", "meshes.b.indices[0]: found a list of 3, expected whole numbers"},
    {"sense-index", "meshes.b.indices[0][2]: found 3, expected a number 0..2"},
    {"sense-normals", "meshes.b.normals: found a list of 1, expected a list of 3, as many as positions"},
    {"sense-box", "meshes.b: found a box whose min is not below its max"},
    {"sense-target", "camera: found a target at the position"},
    {"sense-up", "camera: found a target at the position, or up along the view"},
    {"sense-focus", "camera.focus_point: found a list of 3, expected a point in front of the camera"},
    {"sense-scale", "objects[0].transform: found a transform that flattens everything"},
    {"sense-matrix", "objects[0].transform: found a transform that flattens everything"},
    {"sense-far", "objects: an object without a name: found a transform that flattens it or carries it beyond 1e+09 m"},
    {"sense-holes", "materials.m: found an object, expected a base_texture, whose alpha alpha_cutoff is compared with"},
    {"range-alpha", "materials.m.alpha_cutoff: found 1.5, expected a number 0..1"},
    {"sense-sun", "lights[0].direction: found a list of 3, expected a vector that is not zero"},
    {"name-material", "objects[0].material: found \"n\", expected the name of a material of this scene"},
    {"name-mesh", "objects[0].mesh: found \"c\", expected the name of a mesh of this scene"},
    {"name-texture", "materials.m.base_texture: found \"t\", expected the name of a texture of this scene"},
    {"file-mesh", "meshes.w: tests/scenes/bad/nowhere.ply: cannot be read"},
    {"file-texture", "textures.t: tests/scenes/bad/nowhere.png: cannot be read: No such file"},
    {"file-environment", "lights.environment: tests/scenes/bad/nowhere.hdr: cannot be read"},
    {"file-folder", "textures.t: tests/scenes/bad/..: found something that is not a regular file"},
    {"syntax-comma", "syntax-comma.json:3:3: broken JSON"},
    {"syntax-end", "syntax-end.json:3:1: broken JSON: found the end of the file"},
    {"syntax-empty", "syntax-empty.json:1:1: broken JSON: found the end of the file"},
    {"syntax-trailing", "syntax-trailing.json:2:1: broken JSON: found `x`"},
    {"syntax-twice", "materials.m: found the key \"flat\" twice, expected it once"},
    {"syntax-twice-name", "materials: found the key \"m\" twice, expected it once"},
    {"syntax-deep", "syntax-deep.json:1:33: JSON nested too deep"},
};

static void bad_scenes_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD_SCENES / sizeof *BAD_SCENES; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "tests/scenes/bad/%s.json", BAD_SCENES[i].name);
        expect_bad(path, BAD_SCENES[i].message);
        expect_bad(path, path);
    }
}

static void missing_scenes_are_named(void **state)
{
    (void)state;
    expect_bad("/nowhere", "/nowhere: cannot be read");
    expect_bad("/nowhere/scene.json", "/nowhere/scene.json: cannot be read: No such file or directory");
    expect_bad(folder, "scene.json: cannot be read: No such file or directory");
    expect_bad("/dev/null", "/dev/null: cannot be read");
}

static void every_key_is_read(void **state)
{
    (void)state;
    mr_arena arena = {0};
    mr_description d;
    int status = mr_description_parse(&d, "tests/scenes/good/everything.json", &arena, &err);
    if (status) fail_msg("%s", err.text);
    assert_string_equal(d.settings.name, "everything");
    assert_int_equal(d.settings.tone_map, MR_TONE_ACES);
    assert_int_equal(d.settings.filter, MR_FILTER_TENT);
    assert_near(d.settings.exposure, 1.41421356f, 1e-6);
    assert_near(d.settings.lens_radius, 0.05 / 2.8 / 2, 1e-7);
    assert_near(d.settings.focus_distance, sqrt(26), 1e-5);
    assert_string_equal(d.textures[0].path, "tests/scenes/good/t.png");
    assert_true(d.textures[1].is_data);
    assert_false(d.textures[0].is_data);
    const mr_material *m = &d.materials[0].m;
    assert_int_equal(m->flags, MR_MATERIAL_VERTEX_COLOR | MR_MATERIAL_FLAT);
    assert_near(m->emission[2], 6, 1e-6);
    assert_near(m->alpha_cutoff, 0.5, 0);
    assert_near(m->base_color[1], 0.473531f, 1e-5); /* 0xb7 decoded */
    assert_int_equal(d.materials[1].m.flags, MR_MATERIAL_GLASS | MR_MATERIAL_TRANSPARENT_SHADOW);
    assert_int_equal(d.mesh_count, 5);
    assert_int_equal(d.objects[1].mesh, 1);
    assert_int_equal(d.light_count, 3);
    mr_arena_free(&arena);
}

/* ---- bad meshes and textures ---- */

static const char PLY_HEAD[] = "ply\nformat %s 1.0\nelement vertex %d\nproperty float x\nproperty float y\nproperty float z\n"
                               "element face %d\nproperty list uchar int vertex_indices\nend_header\n";

/* A binary triangle with the given x of its last vertex and last index, cut to `keep` bytes after the header (all: 1000). */
static void write_ply(const char *name, float x, int32_t index, size_t keep)
{
    char bytes[512];
    const float vertices[9] = {0, 0, 0, 1, 0, 0, x, 1, 0};
    const int32_t indices[3] = {0, 1, index};
    size_t head = (size_t)snprintf(bytes, sizeof bytes, PLY_HEAD, "binary_little_endian", 3, 1), at = head;
    memcpy(bytes + at, vertices, sizeof vertices);
    at += sizeof vertices;
    bytes[at++] = 3;
    memcpy(bytes + at, indices, sizeof indices);
    at += sizeof indices;
    write_file(name, bytes, at - head > keep ? head + keep : at);
}

static void use_mesh(const char *file)
{
    char text[400];
    (void)snprintf(text, sizeof text, "{\"camera\":{\"position\":[0,1,5],\"target\":[0,0,0]},\"meshes\":{\"whale\":{\"file\":\"%s\"}},\"objects\":[{\"mesh\":\"whale\"}]}", file);
    write_text("scene.json", text);
}

static void bad_meshes_are_named(void **state)
{
    (void)state;
    use_mesh("a.ply");
    write_ply("a.ply", 0, 2, 1000);
    mr_pack pack = {0};
    if (mr_scene_load(&pack, folder, &ONE_THREAD, &err)) fail_msg("%s", err.text);
    assert_int_equal(pack.triangle_count, 1);
    mr_pack_close(&pack);

    write_ply("a.ply", NAN, 2, 1000);
    expect_bad(folder, "vertex 2: found the position (nan");
    expect_bad(folder, "scene.json: meshes.whale: ");
    expect_bad(in_folder("a.ply"), "a.ply: vertex 2: found the position (nan"); /* as a bare model too */
    write_ply("a.ply", 1e12f, 2, 1000);
    expect_bad(folder, "expected finite numbers up to 1e+09");
    write_ply("a.ply", 0, 7, 1000);
    expect_bad(folder, "meshes.whale: ");
    for (size_t keep = 0; keep < 49; keep++) {
        write_ply("a.ply", 0, 2, keep);
        expect_bad(folder, "a.ply");
    }
    write_text("a.ply", "");
    expect_bad(folder, "a.ply: found 0 bytes, expected a model file");
    write_text("a.ply", "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nproperty float y\nproperty float z\nelement face 0\n"
                        "property list uchar int vertex_indices\nend_header\n");
    expect_bad(folder, "a.ply");
    write_text("a.ply", "this is no mesh");
    expect_bad(folder, "a.ply");
    use_mesh("a.xyzzy");
    write_text("a.xyzzy", "this is no mesh");
    expect_bad(folder, "a.xyzzy: not a model file that can be read");
    use_mesh("a.obj");
    write_text("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n");
    expect_bad(folder, "a.obj");
    write_text("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n");
    expect_bad(folder, "a.obj");
}

/* ASCII, two faces, with normals, colours and texture coordinates, a quad and a property to skip. */
static const char RICH_PLY[] = "ply\nformat ascii 1.0\ncomment a roof\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\nproperty float nx\nproperty float ny\n"
                               "property float nz\nproperty uchar red\nproperty uchar green\nproperty uchar blue\nproperty float s\nproperty float t\n"
                               "element face 2\nproperty uchar flags\nproperty list uchar int vertex_indices\nend_header\n"
                               "0 0 0 0 0 1 255 0 0 0 0\n1 0 0 0 0 1 255 0 10 1 0\n1 1 0 0 0 1 255 0 20 1 1\n0 1 0 0 0 2 255 0 30 0 1\n2 2 0 0 0 1 255 0 40 2 2\n"
                               "7 4 0 1 2 3\n7 3 1 4 2";

static void ply_files_are_read_whole(void **state)
{
    (void)state;
    mr_model model = {0};
    write_text("rich.ply", RICH_PLY);
    if (mr_model_import(&model, in_folder("rich.ply"), NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(model.triangle_count, 3);
    assert_int_equal(model.vertex_count, 5);
    assert_int_equal(model.triangles[1].v[2], 3);
    assert_int_equal(model.triangles[2].v[1], 4);
    assert_near(model.vertices[3].n[2], 1, 0);
    assert_int_equal(model.vertices[3].color, 0xFF1E00FFu);
    assert_near(model.vertices[4].uv[1], 2, 0);
    assert_int_equal(model.materials[0].flags, MR_MATERIAL_VERTEX_COLOR);
    mr_model_free(&model);

    char big[512]; /* the same triangle as write_ply's, big-endian */
    size_t at = (size_t)snprintf(big, sizeof big, PLY_HEAD, "binary_big_endian", 3, 1);
    static const unsigned char data[] = "\0\0\0\0\0\0\0\0\0\0\0\0\x3f\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x3f\x80\0\0\0\0\0\0\3\0\0\0\0\0\0\0\1\0\0\0\2";
    memcpy(big + at, data, sizeof data - 1);
    write_file("big.ply", big, at + sizeof data - 1);
    if (mr_model_import(&model, in_folder("big.ply"), NULL, &err)) fail_msg("%s", err.text);
    assert_near(model.vertices[1].p[0], 1, 0);
    assert_int_equal(model.triangles[0].v[2], 2);
    mr_model_free(&model);
}

static uint64_t next_random(uint64_t *random) /* splitmix64 */
{
    uint64_t z = *random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Whatever is done to a file, it is read or refused with a message. */
static void any_change_to_a_ply_is_survived(void **state)
{
    (void)state;
    char copy[sizeof RICH_PLY];
    uint64_t random = 3;
    int good = 0;
    for (int i = 0; i < 2000; i++) {
        memcpy(copy, RICH_PLY, sizeof copy);
        for (uint64_t n = 1 + next_random(&random) % 4; n > 0; n--) {
            static const char junk[] = "0123456789 -e.\n\0\xffxyz";
            copy[next_random(&random) % (sizeof copy - 1)] = junk[next_random(&random) % (sizeof junk - 1)];
        }
        write_file("junk.ply", copy, next_random(&random) % 8 ? sizeof copy - 1 : next_random(&random) % sizeof copy);
        mr_model model = {0};
        err.text[0] = 0;
        int status = mr_model_import(&model, in_folder("junk.ply"), NULL, &err);
        good += !status;
        assert_true(status == MR_OK || (status == MR_BAD_INPUT && err.text[0]));
        mr_model_free(&model);
    }
    assert_true(good > 50 && good < 1950);
}

static void bad_textures_are_named(void **state)
{
    (void)state;
    static const unsigned char huge[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\xff\xff\xff\0\xff\xff\xff\x08\6\0\0\0\0\0\0\0";
    static const unsigned char cut[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\4\0\0\0\4\x08\6\0\0\0\0\0\0\0\0\0\0\4IDAT\x78\x9c";
    write_text("scene.json", "{\"camera\":{\"position\":[0,1,5],\"target\":[0,0,0]},\"textures\":{\"skin\":{\"file\":\"t.png\"}},"
                             "\"meshes\":{\"b\":{\"shape\":\"sphere\"}},\"objects\":[{\"mesh\":\"b\"}]}");
    write_text("t.png", "no image");
    expect_bad(folder, "t.png: found something else, expected a PNG, JPEG or HDR image");
    expect_bad(folder, "scene.json: textures.skin: ");
    write_text("t.png", "");
    expect_bad(folder, "t.png: found something else");
    write_file("t.png", huge, sizeof huge - 1);
    expect_bad(folder, "t.png: ");
    write_file("t.png", cut, sizeof cut - 1);
    expect_bad(folder, "t.png: damaged image");
    write_text("t.png", "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 99999\n");
    expect_bad(folder, "t.png: ");
}

/* ---- what comes out ---- */

static void load_text(mr_pack *pack, const char *text, int threads)
{
    const mr_scene_options options = {.threads = threads, .quality = MR_BVH_MEDIUM};
    write_text("scene.json", text);
    if (mr_scene_load(pack, folder, &options, &err)) fail_msg("%s", err.text);
}

#define CAMERA "\"camera\":{\"position\":[0,1,5],\"target\":[0,0,0]}"

static void threads_change_no_byte(void **state)
{
    (void)state;
    static const char *const scenes[] = {"scenes/cornell", "scenes/spheres"};
    for (size_t i = 0; i < 2; i++) {
        mr_pack one, two;
        if (mr_scene_load(&one, scenes[i], &ONE_THREAD, &err)) fail_msg("%s", err.text);
        if (mr_scene_load(&two, scenes[i], &(mr_scene_options){.threads = 2, .quality = MR_BVH_MEDIUM}, &err)) fail_msg("%s", err.text);
        assert_int_equal(one.size_bytes, two.size_bytes);
        assert_memory_equal(one.base, two.base, one.size_bytes);
        mr_pack_close(&one);
        mr_pack_close(&two);
    }
    static const char text[] = "{" CAMERA ",\"meshes\":{\"b\":{\"shape\":\"box\",\"min\":[0,0,0],\"max\":[1,1,1]},\"s\":{\"shape\":\"sphere\"}},"
                               "\"objects\":[{\"mesh\":\"b\"},{\"mesh\":\"b\"},{\"mesh\":\"s\"}],\"lights\":[{\"type\":\"sky\",\"sun_elevation_deg\":20},{\"type\":\"sun\",\"elevation_deg\":20}]}";
    mr_pack one, eight;
    load_text(&one, text, 1);
    load_text(&eight, text, 8);
    assert_memory_equal(one.header->hash, eight.header->hash, MR_HASH_BYTES);
    mr_pack_close(&one);
    mr_pack_close(&eight);
}

static void meshes_are_shared_or_flattened(void **state)
{
    (void)state;
    mr_pack pack;
    load_text(&pack, "{" CAMERA ",\"materials\":{\"lamp\":{\"emission\":[1,1,1]},\"water\":{\"type\":\"glass\",\"transparent_shadows\":true}},"
                     "\"meshes\":{\"twice\":{\"shape\":\"box\",\"min\":[0,0,0],\"max\":[1,1,1]},\"once\":{\"shape\":\"box\",\"min\":[0,0,0],\"max\":[1,1,1]},"
                     "\"sea\":{\"shape\":\"box\",\"min\":[0,0,0],\"max\":[1,1,1],\"material\":\"water\"}},"
                     "\"objects\":[{\"mesh\":\"twice\"},{\"mesh\":\"twice\",\"tint\":[1,0.5,0]},{\"mesh\":\"twice\",\"material\":\"lamp\"},{\"mesh\":\"once\"},{\"mesh\":\"sea\"}]}", 1);
    assert_int_equal(pack.triangle_count, 4 * 12); /* the lamp's and `once` in the world, one copy of `twice`, one of `sea` */
    assert_int_equal(pack.instance_count, 1 + 2 + 1);
    assert_int_equal(pack.light_count, 12);
    assert_int_equal(pack.lights[0].index, 0);
    assert_int_equal(pack.materials[pack.triangles[0].material].first_light, 0);
    assert_near(pack.instances[2].tint[1], 0.5, 0);
    assert_int_equal(pack.instances[1].bvh_root, pack.instances[2].bvh_root);
    assert_int_equal(pack.instances[1].flags, 0);
    assert_int_equal(pack.instances[3].flags, MR_INSTANCE_NO_SHADOW);
    mr_pack_close(&pack);
}

static vec3 corner_at(const mr_pack *pack, uint32_t t, size_t k) { return v3_fromf(pack->vertices[pack->triangles[t].v[k]].p); }

static vec3 geometric_normal(const mr_pack *pack, uint32_t t)
{
    return v3_unit(v3_cross(v3_sub(corner_at(pack, t, 1), corner_at(pack, t, 0)), v3_sub(corner_at(pack, t, 2), corner_at(pack, t, 0))));
}

static void boxes_face_outwards_even_mirrored(void **state)
{
    (void)state;
    mr_pack pack;
    load_text(&pack, "{" CAMERA ",\"meshes\":{\"a\":{\"shape\":\"box\",\"min\":[-1,-1,-1],\"max\":[1,1,1]},\"b\":{\"shape\":\"box\",\"min\":[-1,-1,-1],\"max\":[1,1,1]}},"
                     "\"objects\":[{\"mesh\":\"a\"},{\"mesh\":\"b\",\"transform\":{\"scale\":[2,-3,1],\"rotate_deg\":[20,30,40]}}]}", 1);
    for (uint32_t t = 0; t < pack.triangle_count; t++) assert_true(v3_dot(geometric_normal(&pack, t), corner_at(&pack, t, 0)) > 0.5);
    mr_pack_close(&pack);
}

static void rotations_go_x_then_y_then_z(void **state)
{
    (void)state;
    mr_affine r = mr_affine_rotate_deg(v3(90, 90, 0));
    vec3 p = mr_affine_point(&r, v3(0, 1, 0)); /* about x to +z, about y to +x */
    assert_near(p.x, 1, 0);
    assert_near(p.y, 0, 0);
    assert_near(p.z, 0, 0);
    mr_affine turn = mr_affine_rotate_deg(v3(0, -90, 0)); /* the study's Ry(-90) turns local +x to +z */
    p = mr_affine_point(&turn, v3(1, 0, 0));
    assert_near(p.z, 1, 0);
}

static void a_world_tint_copies_the_material(void **state)
{
    (void)state;
    mr_pack pack;
    load_text(&pack, "{" CAMERA ",\"materials\":{\"m\":{\"base_color\":[1,1,0.5]}},\"meshes\":{\"a\":{\"shape\":\"box\",\"min\":[-1,-1,-1],\"max\":[1,1,1],\"material\":\"m\"}},"
                     "\"objects\":[{\"mesh\":\"a\",\"tint\":[1,0.5,0.5]}]}", 1);
    const mr_material *m = &pack.materials[pack.triangles[0].material];
    assert_near(m->base_color[1], 0.5, 0);
    assert_near(m->base_color[2], 0.25, 0);
    assert_near(pack.materials[0].base_color[1], 1, 0);
    mr_pack_close(&pack);
}

static void missing_normals_are_smoothed_and_corners_joined(void **state)
{
    (void)state;
    write_text("soup.stl", "solid s\nfacet normal 0 0 0\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\n"
                           "facet normal 0 0 0\nouter loop\nvertex 1 0 0\nvertex 1 1 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid s\n");
    write_text("roof.obj", "v 0 0 0\nv 1 0 0\nv 0 0 -1\nv 0 1 0\nf 1 2 4\nf 1 4 3\n"); /* two walls at a right angle along y */
    mr_model model = {0};
    if (mr_model_import(&model, in_folder("roof.obj"), NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(model.vertex_count, 4);
    for (uint32_t i = 0; i < 4; i++)
        if (model.vertices[i].p[0] == 0 && model.vertices[i].p[2] == 0 && model.vertices[i].p[1] == 0) {
            assert_near(model.vertices[i].n[2], sqrt(0.5), 1e-6);
            assert_near(model.vertices[i].n[0], -sqrt(0.5), 1e-6);
        }
    mr_model_free(&model);
    if (mr_model_import(&model, in_folder("soup.stl"), NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(model.vertex_count, 4);
    assert_int_equal(model.triangle_count, 2);
    mr_model_free(&model);
}

static void a_model_file_brings_its_materials(void **state)
{
    (void)state;
    write_text("m.mtl", "newmtl red\nKd 0.9 0.1 0.2\nnewmtl glow\nKd 0 0 0\nKe 4 5 6\n");
    write_text("m.obj", "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 3\nusemtl red\nf 1 2 3\nusemtl glow\nf 1 2 4\n");
    mr_pack pack;
    if (mr_scene_load(&pack, in_folder("m.obj"), &ONE_THREAD, &err)) fail_msg("%s", err.text);
    int red = 0, glow = 0;
    for (uint32_t t = 0; t < pack.triangle_count; t++) {
        const mr_material *m = &pack.materials[pack.triangles[t].material];
        red += fabsf(m->base_color[0] - 0.9f) < 1e-5f && fabsf(m->base_color[2] - 0.2f) < 1e-5f;
        glow += fabsf(m->emission[1] - 5) < 1e-5f;
    }
    assert_int_equal(red, 1);
    assert_int_equal(glow, 1);
    assert_string_equal(pack.settings->name, "m.obj");
    assert_int_equal(pack.triangle_count, 4); /* with the ground */
    assert_int_equal(pack.lights[0].kind, MR_LIGHT_TRIANGLE);
    assert_int_equal(pack.light_count, 3);
    mr_pack_close(&pack);
    write_text("m.mtl", "newmtl red\nKd 1 1 1\nmap_Kd gone.png\n");
    expect_bad(in_folder("m.obj"), "gone.png: cannot be read");
}

/* A triangle twice, once mirrored, with an embedded image that is both base colour (sRGB) and surface (linear). */
static void a_gltf_brings_nodes_and_textures(void **state)
{
    (void)state;
    mr_model model = {0};
    if (mr_model_import(&model, "tests/scenes/good/textured.gltf", NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(model.triangle_count, 2);
    assert_near(model.hi[0], 2, 0);
    assert_near(model.hi[1], 2.5, 0);
    assert_near(model.lo[0], -1, 0);
    for (uint32_t t = 0; t < 2; t++) { /* the mirrored one still faces +z */
        const uint32_t *v = model.triangles[t].v;
        vec3 a = v3_fromf(model.vertices[v[0]].p), b = v3_fromf(model.vertices[v[1]].p), c = v3_fromf(model.vertices[v[2]].p);
        assert_true(v3_cross(v3_sub(b, a), v3_sub(c, a)).z > 0.5);
    }
    assert_int_equal(model.image_count, 2);
    const mr_material *m = &model.materials[model.triangles[0].material];
    assert_near(m->metallic, 0.25, 1e-6);
    assert_near(m->alpha_cutoff, 0.25 / 0.5, 1e-6); /* alphaMode MASK; the base colour's own alpha is 0.5 */
    assert_near(m->transmission, 0, 0);
    assert_near(m->base_color[1], 0.5, 1e-6);
    assert_int_equal(model.images[m->base_texture].format, MR_TEXEL_SRGB8);
    assert_int_equal(model.images[m->surface_texture].format, MR_TEXEL_LINEAR8);
    assert_int_equal(((const uint8_t *)model.images[m->base_texture].texels)[1], 64);
    mr_model_free(&model);
    mr_pack pack;
    if (mr_scene_load(&pack, "tests/scenes/good/textured.gltf", &ONE_THREAD, &err)) fail_msg("%s", err.text);
    assert_int_equal(pack.texture_count, 3); /* and the sky */
    assert_int_equal(pack.environment->texture, 2);
    mr_pack_close(&pack);
}

/* ---- light ---- */

static void alias_tables_give_their_weights(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (uint32_t count = 1; count < 200; count += 13) {
        double weights[200], probabilities[200], total = 0;
        mr_alias table[200];
        for (uint32_t i = 0; i < count; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            weights[i] = i % 5 == 3 ? 0 : (double)(seed >> 40) * (i % 7 == 0 ? 1000 : 1) + 1;
            total += weights[i];
        }
        assert_int_equal(mr_alias_table(weights, count, table, probabilities, &err), MR_OK);
        for (uint32_t i = 0; i < count; i++) {
            assert_near(probabilities[i], weights[i] / total, 1e-6);
            if (weights[i] == 0) assert_near(table[i].threshold, 0, 0);
            assert_in_range(table[i].alias, 0, count - 1);
        }
    }
}

/* Density per steradian in a cell, from the table alone. */
static double cell_density(const mr_environment_tables *t, uint32_t row, uint32_t column)
{
    const float *cosines = t->table + t->rows + 1, *columns = cosines + t->rows + 1 + (size_t)row * (t->columns + 1);
    double share = (double)(t->table[row + 1] - t->table[row]) * (double)(columns[column + 1] - columns[column]);
    return share * t->columns / (2 * MR_PI * (double)(cosines[row] - cosines[row + 1]));
}

static void environment_densities_follow_brightness(void **state)
{
    (void)state;
    mr_image image;
    mr_environment_tables t = {0};
    double sum = 0;
    assert_int_equal(mr_image_new_float(&image, 16, 8, MR_WRAP_REPEAT, &err), MR_OK);
    float *texels = image.texels;
    for (int i = 0; i < 16 * 8; i++) texels[4 * i + 1] = i == 37 ? 500.0f : (float)(i % 3);
    assert_int_equal(mr_environment_tables_of(&image, &t, &err), MR_OK);
    assert_true(t.columns == 16 && t.rows == 8); /* nothing is lost that matters: no coarser */
    for (uint32_t row = 0; row < 8; row++)
        for (uint32_t column = 0; column < 16; column++)
            sum += cell_density(&t, row, column) * 2 * MR_PI / 16 * (cos(row * MR_PI / 8) - cos((row + 1) * MR_PI / 8));
    assert_near(sum, 1, 1e-6);
    assert_true(cell_density(&t, 2, 5) > 4 * cell_density(&t, 2, 4));
    assert_true(cell_density(&t, 2, 4) > cell_density(&t, 2, 2)); /* the bright texel's neighbour is lit by the filter */
    free(t.table);
    memset(texels, 0, mr_image_bytes(&image));
    assert_int_equal(mr_environment_tables_of(&image, &t, &err), MR_OK);
    for (uint32_t i = 0; i < 128; i++) assert_near(cell_density(&t, i / 16, i % 16), 1 / (4 * MR_PI), 1e-5); /* black: uniform, not a division by zero */
    free(t.table);
    mr_image_free(&image);
}

/* Smooth maps are sampled by few cells: an even one by one cell, one that changes along its rows alone by one row. */
static void environment_grids_are_as_coarse_as_they_may(void **state)
{
    (void)state;
    mr_image image;
    mr_environment_tables t = {0};
    assert_int_equal(mr_image_new_float(&image, 64, 32, MR_WRAP_REPEAT, &err), MR_OK);
    float *texels = image.texels;
    for (int i = 0; i < 64 * 32; i++) texels[4 * i] = 2;
    assert_int_equal(mr_environment_tables_of(&image, &t, &err), MR_OK);
    assert_true(t.columns == 1 && t.rows == 1 && t.count == 6);
    assert_near(t.power, 2 * 0.2126 * 4 * MR_PI, 1e-4);
    free(t.table);
    for (int i = 0; i < 64 * 32; i++) texels[4 * i] = i % 64 < 32 ? 2 : 8;
    assert_int_equal(mr_environment_tables_of(&image, &t, &err), MR_OK);
    assert_true(t.columns >= 2 && t.columns <= 32 && t.rows == 1);
    free(t.table);
    mr_image_free(&image);
}

/* Halves hold a map to 2^-11 of each value, over the range that matters; the first column comes again behind the last. */
static void environments_are_kept_as_halves(void **state)
{
    (void)state;
    mr_image image;
    int exponent = 0;
    const float values[8] = {0, 1e-4f, 0.3f, 1, 3.14159f, 999, 123456, 1e6f};
    assert_int_equal(mr_image_new_float(&image, 8, 1, MR_WRAP_REPEAT, &err), MR_OK);
    for (int i = 0; i < 8; i++) ((float *)image.texels)[4 * i + 1] = values[i];
    assert_int_equal(mr_environment_to_half(&image, &exponent, &err), MR_OK);
    assert_int_equal(image.format, MR_TEXEL_HALF);
    assert_int_equal(image.width, 9);
    const uint16_t *halves = image.texels;
    for (int i = 0; i < 9; i++) {
        uint16_t h = halves[4 * i + 1];
        double x = h ? ldexp(1024 + (h & 1023), (h >> 10) - 25 + exponent) : 0, expected = (double)values[i % 8];
        double bound = expected * 0x1p-11 > 2e-3 ? expected * 0x1p-11 : 2e-3; /* the least normal half, of the brightest 1e6 */
        assert_near(x, expected, bound);
    }
    assert_true(halves[1] == 0 && halves[29] >= 0x7400 && halves[29] <= 0x7800);
    mr_image_free(&image);
}

static double sky_irradiance(double elevation_deg, double *blue_over_red)
{
    mr_image image;
    double e = elevation_deg * MR_RAD_PER_DEG, sum[3] = {0, 0, 0};
    mr_sky sky = {.sun = v3(cos(e), sin(e), 0), .turbidity = 2, .intensity = 1, .ground = {0.2, 0.2, 0.2}};
    assert_int_equal(mr_sky_bake(&sky, &image, &err), MR_OK);
    for (int row = 0; row < MR_SKY_HEIGHT / 2; row++)
        for (int column = 0; column < MR_SKY_WIDTH; column++)
            for (int c = 0; c < 3; c++) {
                float radiance = ((float *)image.texels)[4 * (row * MR_SKY_WIDTH + column) + c];
                assert_true(radiance > 0 && radiance < 100);
                double theta = (row + 0.5) * MR_PI / MR_SKY_HEIGHT;
                sum[c] += (double)radiance * cos(theta) * sin(theta) * (MR_PI / MR_SKY_HEIGHT) * (2 * MR_PI / MR_SKY_WIDTH);
            }
    mr_image_free(&image);
    *blue_over_red = sum[2] / sum[0];
    return mr_luminance(sum[0], sum[1], sum[2]);
}

/* A clear sky gives a tenth to a third of what a high sun gives; it is blue; less of both comes from a low sun, and that is red. */
static void the_sky_is_plausible(void **state)
{
    (void)state;
    double blue, low_blue, high = sky_irradiance(60, &blue), low = sky_irradiance(8, &low_blue), noon[3], evening[3];
    mr_sky sky = {.sun = v3(0.5, sqrt(0.75), 0), .turbidity = 2};
    mr_sky_sun_transmittance(&sky, noon);
    sky.sun = v3(cos(0.1), sin(0.1), 0);
    mr_sky_sun_transmittance(&sky, evening);
    print_message("sky irradiance: %.3f at 60 degrees, %.3f at 8; sun through air: %.2f %.2f %.2f, low %.2f %.2f %.2f\n", high, low, noon[0], noon[1], noon[2],
                  evening[0], evening[1], evening[2]);
    assert_true(high > 0.1 * MR_SOLAR_IRRADIANCE * noon[1] && high < 0.34 * MR_SOLAR_IRRADIANCE * noon[1]);
    assert_true(low < 0.6 * high && low > 0.02 * high);
    assert_true(blue > 1.3);
    assert_true(noon[0] > noon[1] && noon[1] > noon[2] && noon[2] > 0.5 && noon[0] < 1);
    assert_true(evening[0] > 2 * evening[2]);
    sky.sun = v3(0, -1, 0);
    mr_sky_sun_transmittance(&sky, evening);
    assert_near(evening[0], 0, 0);
}

static void a_sun_has_its_irradiance_and_lights_share(void **state)
{
    (void)state;
    mr_pack pack;
    load_text(&pack, "{" CAMERA ",\"materials\":{\"lamp\":{\"emission\":[1,1,1]}},\"meshes\":{\"floor\":{\"shape\":\"box\",\"min\":[-500,-1,-500],\"max\":[500,0,500]},"
                     "\"lamp\":{\"shape\":\"quad\",\"points\":[[0,0,0],[0.1,0,0],[0.1,0,0.2],[0,0,0.2]],\"material\":\"lamp\"}},"
                     "\"objects\":[{\"mesh\":\"floor\"},{\"mesh\":\"lamp\"}],\"lights\":[{\"type\":\"sun\",\"elevation_deg\":90,\"irradiance\":[4,3,2]},{\"type\":\"sky\",\"sun_elevation_deg\":90}]}", 1);
    assert_int_equal(pack.light_count, 4);
    const mr_light *sun = &pack.lights[2];
    assert_int_equal(sun->kind, MR_LIGHT_SUN);
    assert_near(sun->direction[1], 1, 1e-6);
    double sine2 = (1 - (double)sun->area) * (1 + (double)sun->area), sum = 0;
    assert_near((double)sun->radiance[0] * MR_PI * sine2, 4, 1e-4);
    assert_near((double)sun->radiance[2] * MR_PI * sine2, 2, 1e-4);
    assert_near(pack.lights[0].area, 0.01, 1e-8);
    for (uint32_t i = 0; i < 4; i++) sum += (double)pack.lights[i].probability;
    assert_near(sum, 1, 1e-6);
    assert_true(pack.lights[0].probability + pack.lights[1].probability > 0.1f); /* a small lamp in a large landscape is not forgotten */
    assert_true(sun->probability > pack.lights[3].probability);
    mr_pack_close(&pack);
}

/* The sun's place in the baked map: the brightest column above the horizon lies where mr_environment says it does. */
static void the_sky_is_brightest_around_the_sun(void **state)
{
    (void)state;
    mr_pack pack;
    load_text(&pack, "{" CAMERA ",\"meshes\":{\"s\":{\"shape\":\"sphere\"}},\"objects\":[{\"mesh\":\"s\"}],\"lights\":[{\"type\":\"sky\",\"sun_elevation_deg\":30,\"sun_azimuth_deg\":70}]}", 1);
    const mr_environment *e = pack.environment;
    const mr_texture *t = &pack.textures[e->texture];
    const uint16_t *texels = (const uint16_t *)(const void *)(pack.texels + t->offset); /* halves are in order as integers are */
    const uint32_t width = t->width - 1;                                                /* the last column is the first again */
    size_t best = 0;
    for (size_t i = 0; i < (size_t)t->width * t->height; i++)
        if (texels[4 * i] > texels[4 * best]) best = i;
    const size_t row = best / t->width;
    double theta = ((double)row + 0.5) * MR_PI / t->height, phi = (((double)(best % t->width) + 0.5) / width * 2 - 1) * MR_PI;
    vec3 local = v3(sin(theta) * sin(phi), cos(theta), -sin(theta) * cos(phi));
    const float *m = e->to_local; /* its transpose goes back to the world */
    vec3 world = v3_add(v3_add(v3_scale(v3_fromf(m), local.x), v3_scale(v3_fromf(m + 3), local.y)), v3_scale(v3_fromf(m + 6), local.z));
    double azimuth = atan2(world.x, -world.z) / MR_RAD_PER_DEG;
    assert_true(fabs(azimuth - 70) < 5);
    mr_pack_close(&pack);
}

/* ---- information ---- */

static void info_says_what_is_there(void **state)
{
    (void)state;
    mr_pack pack;
    char *text = NULL;
    size_t size = 0;
    if (mr_scene_load(&pack, "scenes/cornell", &ONE_THREAD, &err)) fail_msg("%s", err.text);
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    mr_pack_print_info(&pack, file);
    assert_int_equal(fclose(file), 0);
    assert_non_null(strstr(text, "scene       cornell\n"));
    assert_non_null(strstr(text, "24 triangles"));
    assert_non_null(strstr(text, "2 triangles, 0 spheres, 0 suns, 0 environments"));
    free(text);
    mr_pack_close(&pack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_scenes_are_named),
        cmocka_unit_test(missing_scenes_are_named),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(bad_meshes_are_named),
        cmocka_unit_test(ply_files_are_read_whole),
        cmocka_unit_test(any_change_to_a_ply_is_survived),
        cmocka_unit_test(bad_textures_are_named),
        cmocka_unit_test(threads_change_no_byte),
        cmocka_unit_test(meshes_are_shared_or_flattened),
        cmocka_unit_test(boxes_face_outwards_even_mirrored),
        cmocka_unit_test(rotations_go_x_then_y_then_z),
        cmocka_unit_test(a_world_tint_copies_the_material),
        cmocka_unit_test(missing_normals_are_smoothed_and_corners_joined),
        cmocka_unit_test(a_model_file_brings_its_materials),
        cmocka_unit_test(a_gltf_brings_nodes_and_textures),
        cmocka_unit_test(alias_tables_give_their_weights),
        cmocka_unit_test(environment_densities_follow_brightness),
        cmocka_unit_test(environment_grids_are_as_coarse_as_they_may), cmocka_unit_test(environments_are_kept_as_halves),
        cmocka_unit_test(the_sky_is_plausible),
        cmocka_unit_test(a_sun_has_its_irradiance_and_lights_share),
        cmocka_unit_test(the_sky_is_brightest_around_the_sun),
        cmocka_unit_test(info_says_what_is_there),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
