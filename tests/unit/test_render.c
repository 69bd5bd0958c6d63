/* The renderer against scenes whose answer is known, and against itself: the same film for any split, order and kernel. */
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
#include "tracer/film.h"
#include "tracer/mathf.h"
#include "tracer/render.h"
#include "tracer/scene.h"
#include "tracer/vec.h"

/* Compiles a scene given as text. */
static void compile(mr_pack *pack, const char *json)
{
    char path[] = "/tmp/mobyray-render-XXXXXX.json";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    assert_true(write(fd, json, strlen(json)) == (ssize_t)strlen(json));
    close(fd);
    mr_scene_options options = { .threads = 2, .quality = MR_BVH_MEDIUM };
    mr_error err = { "" };
    int status = mr_scene_load(pack, path, &options, &err);
    unlink(path);
    if (status != MR_OK) fail_msg("%s", err.text);
}

static mr_film film_of(const mr_pack *pack, const mr_picture *picture, const mr_kernel *kernel, uint32_t tile, uint32_t samples)
{
    mr_film film;
    uint64_t *sums = malloc(3 * sizeof *sums * tile * tile);
    mr_renderer *r = mr_renderer_new(pack, kernel);
    assert_true(r && sums && mr_film_init(&film, picture, NULL) == MR_OK);
    for (uint32_t s = picture->spp; s > 0;) { /* samples, rows and columns from the back: order must not matter */
        uint32_t n = s < samples ? s : samples;
        s -= n;
        for (uint32_t y = (picture->height - 1) / tile * tile;; y -= tile) {
            for (uint32_t x = (picture->width - 1) / tile * tile;; x -= tile) {
                mr_tile t = { x, y, picture->width - x < tile ? picture->width - x : tile, picture->height - y < tile ? picture->height - y : tile, s, n };
                assert_int_equal(mr_tile_check(picture, &t, NULL), MR_OK);
                assert_int_equal(mr_render_tile(r, picture, &t, sums, NULL, NULL), MR_OK);
                mr_film_add(&film, &t, sums);
                if (!x) break;
            }
            if (!y) break;
        }
    }
    mr_renderer_free(r);
    free(sums);
    return film;
}

static const mr_kernel *best_kernel(void)
{
    const mr_kernel *kernel = NULL;
    assert_int_equal(mr_kernel_pick(&kernel, NULL, NULL), MR_OK);
    return kernel;
}

/* Mean radiance of the picture's middle, side x side pixels. */
static vec3 middle(const char *json, uint32_t size, uint32_t spp, uint32_t side)
{
    mr_pack pack;
    compile(&pack, json);
    mr_picture picture = { size, size, spp, 1 };
    mr_film film = film_of(&pack, &picture, best_kernel(), size, spp);
    double sum[3] = { 0 };
    uint32_t first = (size - side) / 2;
    for (uint32_t y = first; y < first + side; y++)
        for (uint32_t x = first; x < first + side; x++)
            for (int c = 0; c < 3; c++) sum[c] += (double)film.sums[3 * (y * size + x) + (uint32_t)c];
    double n = (double)side * side * spp * (double)MR_FILM_ONE;
    mr_film_free(&film);
    mr_pack_close(&pack);
    return v3((float)(sum[0] / n), (float)(sum[1] / n), (float)(sum[2] / n));
}

static void assert_close(float found, float expected, float relative)
{
    if (!(fabsf(found - expected) <= relative * fabsf(expected))) fail_msg("radiance %.5g, expected %.5g within %g", (double)found, (double)expected, (double)relative);
}

#define CAMERA_AT_SPHERE "\"camera\":{\"position\":[0,0,4],\"target\":[0,0,0],\"fov_deg\":10},\"film\":{\"size\":[32,32],\"spp\":64,\"filter\":\"box\",\"filter_radius\":0.5},"
#define SPHERE "\"meshes\":{\"ball\":{\"shape\":\"sphere\"}},\"objects\":[{\"mesh\":\"ball\",\"material\":\"m\"}],"
#define WHITE_AROUND "\"lights\":[{\"type\":\"constant\",\"radiance\":[1,1,1]}]"

/* In an even light of radiance 1 a body that absorbs nothing cannot be seen. */
static void furnace(void **state)
{
    (void)state;
    vec3 diffuse = middle("{" CAMERA_AT_SPHERE "\"integrator\":{\"max_bounces\":3},\"materials\":{\"m\":{\"base_color\":[1,1,1],\"roughness\":1,\"ior\":1}}," SPHERE WHITE_AROUND "}", 32, 64, 8);
    assert_close(diffuse.x, 1, 0.005f);
    vec3 half = middle("{" CAMERA_AT_SPHERE "\"integrator\":{\"max_bounces\":3},\"materials\":{\"m\":{\"base_color\":[0.5,0.5,0.5],\"roughness\":1,\"ior\":1}}," SPHERE WHITE_AROUND "}", 32, 64, 8);
    assert_close(half.y, 0.5f, 0.005f);
    vec3 glass = middle("{" CAMERA_AT_SPHERE "\"integrator\":{\"max_bounces\":100,\"roulette_after\":100},\"materials\":{\"m\":{\"type\":\"glass\",\"ior\":1.5}}," SPHERE WHITE_AROUND "}", 32, 64, 8);
    assert_close(glass.x, 1, 0.002f);
    vec3 mirror = middle("{" CAMERA_AT_SPHERE "\"materials\":{\"m\":{\"base_color\":[1,1,1],\"metallic\":1,\"roughness\":0.05}}," SPHERE WHITE_AROUND "}", 32, 64, 8);
    assert_close(mirror.x, 1, 0.01f);
    vec3 roulette = middle("{" CAMERA_AT_SPHERE "\"integrator\":{\"max_bounces\":100,\"roulette_after\":1},\"materials\":{\"m\":{\"type\":\"glass\",\"ior\":1.5}}," SPHERE WHITE_AROUND "}", 32, 256, 16);
    assert_close(roulette.x, 1, 0.02f);
}

#define DOWN "\"camera\":{\"position\":[0,1,0],\"target\":[0,0,0],\"up\":[0,0,-1],\"fov_deg\":2},\"film\":{\"size\":[16,16],\"spp\":64},\"integrator\":{\"max_bounces\":1},"
#define FLOOR "\"materials\":{\"m\":{\"base_color\":[0.5,0.5,0.5],\"roughness\":1,\"ior\":1},\"lamp\":{\"base_color\":[0,0,0],\"ior\":1,\"emission\":[10,10,10]}},"

/* A Lambertian floor under each kind of light: its radiance is albedo / pi times the irradiance, which is known. */
static void sun_on_a_floor(void **state)
{
    (void)state;
    vec3 c = middle("{" DOWN FLOOR "\"meshes\":{\"f\":{\"shape\":\"quad\",\"points\":[[-1,0,1],[1,0,1],[1,0,-1],[-1,0,-1]]}},\"objects\":[{\"mesh\":\"f\",\"material\":\"m\"}],"
                    "\"lights\":[{\"type\":\"sun\",\"direction\":[1,1,0],\"irradiance\":2,\"angular_diameter_deg\":0.5}]}", 16, 64, 8);
    assert_close(c.x, 0.5f / MR_PI * 2 * sqrtf(0.5f), 0.005f);
}

static void sphere_over_a_floor(void **state)
{
    (void)state;
    vec3 c = middle("{" DOWN FLOOR "\"meshes\":{\"f\":{\"shape\":\"quad\",\"points\":[[-1,0,1],[1,0,1],[1,0,-1],[-1,0,-1]]},\"l\":{\"shape\":\"sphere\",\"center\":[3,4,0],\"radius\":0.5}},"
                    "\"objects\":[{\"mesh\":\"f\",\"material\":\"m\"},{\"mesh\":\"l\",\"material\":\"lamp\"}]}", 16, 64, 8);
    assert_close(c.x, 0.5f * 10 * (0.5f * 0.5f / 25) * 0.8f, 0.01f); /* E = pi L (r/d)^2 cos */
}

static void quad_over_a_floor(void **state)
{
    (void)state;
    /* a small lamp, 0.2 x 0.2 at height 2, facing down: E = L A cos cos / d^2, to first order */
    vec3 c = middle("{" DOWN FLOOR "\"meshes\":{\"f\":{\"shape\":\"quad\",\"points\":[[-1,0,1],[1,0,1],[1,0,-1],[-1,0,-1]]},"
                    "\"l\":{\"shape\":\"quad\",\"points\":[[-0.1,2,-0.1],[0.1,2,-0.1],[0.1,2,0.1],[-0.1,2,0.1]]}},"
                    "\"objects\":[{\"mesh\":\"f\",\"material\":\"m\"},{\"mesh\":\"l\",\"material\":\"lamp\"}]}", 16, 64, 8);
    assert_close(c.x, 0.5f / MR_PI * 10 * 0.04f / 4, 0.01f);
}

static void environment_on_a_floor(void **state)
{
    (void)state;
    vec3 c = middle("{" DOWN FLOOR "\"meshes\":{\"f\":{\"shape\":\"quad\",\"points\":[[-1,0,1],[1,0,1],[1,0,-1],[-1,0,-1]]}},\"objects\":[{\"mesh\":\"f\",\"material\":\"m\"}],"
                    "\"lights\":[{\"type\":\"constant\",\"radiance\":[2,1,0.5]}]}", 16, 64, 8);
    assert_close(c.x, 1.0f, 0.01f);
    assert_close(c.z, 0.25f, 0.01f);
}

/* Straight down through water of depth 0.5 m on a lamp: two thirds of the way of Beer-Lambert, less what the surface reflects. */
static void absorption(void **state)
{
    (void)state;
    vec3 c = middle("{" DOWN "\"materials\":{\"lamp\":{\"base_color\":[0,0,0],\"ior\":1,\"emission\":[10,10,10]},\"water\":{\"type\":\"glass\",\"ior\":1.33,\"absorption\":[1,2,0]}},"
                    "\"meshes\":{\"f\":{\"shape\":\"quad\",\"points\":[[-1,-0.5,1],[1,-0.5,1],[1,-0.5,-1],[-1,-0.5,-1]]},\"w\":{\"shape\":\"quad\",\"points\":[[-1,0,1],[1,0,1],[1,0,-1],[-1,0,-1]]}},"
                    "\"objects\":[{\"mesh\":\"f\",\"material\":\"lamp\"},{\"mesh\":\"w\",\"material\":\"water\"}]}", 16, 256, 8);
    float through = 10 * (1 - powf(0.33f / 2.33f, 2)) / (1.33f * 1.33f); /* radiance in the denser body is n^2 times that outside */
    assert_close(c.x, through * expf(-0.5f), 0.01f);
    assert_close(c.y, through * expf(-1.0f), 0.01f);
    assert_close(c.z, through, 0.01f);
}

/* Sunlight on a floor under water that shadow rays may cross: Fresnel and absorption along the straight way. */
static void transparent_shadow(void **state)
{
    (void)state;
    const char *scene = "{\"camera\":{\"position\":[0,-0.1,0],\"target\":[0,-0.5,0],\"up\":[0,0,-1],\"fov_deg\":2},\"film\":{\"size\":[16,16],\"spp\":64},\"integrator\":{\"max_bounces\":1},"
                        "\"materials\":{\"m\":{\"base_color\":[0.5,0.5,0.5],\"roughness\":1,\"ior\":1},\"water\":{\"type\":\"glass\",\"ior\":1.33,\"absorption\":[1,2,0],\"transparent_shadows\":true}},"
                        "\"meshes\":{\"f\":{\"shape\":\"quad\",\"points\":[[-1,-0.5,1],[1,-0.5,1],[1,-0.5,-1],[-1,-0.5,-1]]},\"w\":{\"shape\":\"quad\",\"points\":[[-9,0,9],[9,0,9],[9,0,-9],[-9,0,-9]]}},"
                        "\"objects\":[{\"mesh\":\"f\",\"material\":\"m\"},{\"mesh\":\"w\",\"material\":\"water\"}],\"lights\":[{\"type\":\"sun\",\"direction\":[0,1,0],\"irradiance\":2}]}";
    vec3 c = middle(scene, 16, 64, 8); /* the camera is not known to be in the water, so nothing is absorbed here: the sun passes */
    assert_close(c.x, 0.5f / MR_PI * 2, 0.01f);
}

/* A sheet whose texture is a hole for u < 0.5, over a floor under the sun: what the camera sees at the sheet's texture coordinate u, from above the sheet
 * or from below it; with a second, far copy the sheet is an instance, which brings the material with the holes if `own` is not set. */
static float through_sheet(const char *camera, double u, int copies, int own)
{
    char scene[4096], root[512];
    assert_non_null(getcwd(root, sizeof root));
    int n = snprintf(scene, sizeof scene,
                     "{\"camera\":{\"position\":[0,%s,0],\"target\":[0,0,0],\"up\":[0,0,-1],\"fov_deg\":2},\"film\":{\"size\":[16,16],\"spp\":16},\"integrator\":{\"max_bounces\":1},"
                     "\"textures\":{\"t\":{\"file\":\"%s/tests/scenes/good/holes.png\",\"wrap\":\"clamp\"}},\"materials\":{\"m\":{\"base_color\":[0.5,0.5,0.5],\"roughness\":1,\"ior\":1},"
                     "\"s\":{\"base_color\":[0.1,0.1,0.1],\"roughness\":1,\"ior\":1,\"base_texture\":\"t\",\"alpha_cutoff\":0.5}},"
                     "\"meshes\":{\"f\":{\"shape\":\"quad\",\"points\":[[-1,0,1],[1,0,1],[1,0,-1],[-1,0,-1]]},"
                     "\"w\":{\"shape\":\"quad\",\"material\":\"%s\",\"points\":[[%g,0.5,2],[%g,0.5,2],[%g,0.5,-2],[%g,0.5,-2]]}},\"objects\":[{\"mesh\":\"f\",\"material\":\"m\"},{\"mesh\":\"w\",\"material\":\"s\"}%s],"
                     "\"lights\":[{\"type\":\"sun\",\"direction\":[0,1,0],\"irradiance\":2}]}",
                     camera, root, own ? "s" : "m", -4 * u, 4 - 4 * u, 4 - 4 * u, -4 * u, copies > 1 ? ",{\"mesh\":\"w\",\"transform\":{\"translate\":[0,-50,0]}}" : "");
    assert_true(n > 0 && (size_t)n < sizeof scene);
    return middle(scene, 16, 16, 8).x;
}

static void holes(void **state)
{
    (void)state;
    const float floor = 0.5f / MR_PI * 2, sheet = 0.1f / MR_PI * 2;
    for (int copies = 1; copies <= 2; copies++)
        for (int own = 0; own < 2; own++) {
            assert_close(through_sheet("1", 0.25, copies, own), floor, 0.01f);
            assert_close(through_sheet("1", 0.75, copies, own), sheet, 0.01f);
            assert_close(through_sheet("0.3", 0.25, copies, own), floor, 0.01f); /* its shadow */
            assert_true(through_sheet("0.3", 0.75, copies, own) == 0);
        }
}

static const char *const rich_scene =
    "{\"camera\":{\"position\":[1,2,6],\"target\":[0,0.5,0],\"focal_mm\":40,\"f_number\":1.4,\"focus_distance\":6},\"film\":{\"size\":[60,40],\"spp\":8},"
    "\"integrator\":{\"max_bounces\":6,\"roulette_after\":2},\"materials\":{\"a\":{\"base_color\":[0.8,0.3,0.2],\"roughness\":0.3,\"clearcoat\":1},\"g\":{\"type\":\"glass\",\"ior\":1.5,\"absorption\":[0.2,0.1,0]},"
    "\"r\":{\"transmission\":1,\"roughness\":0.2},\"k\":{\"metallic\":1,\"base_color\":[0.9,0.7,0.3],\"roughness\":0.2},\"w\":{\"base_color\":[0.7,0.7,0.7]},\"l\":{\"base_color\":[0,0,0],\"emission\":[8,7,6]},"
    "\"s\":{\"type\":\"glass\",\"ior\":1.33,\"absorption\":[0.3,0.1,0.1],\"transparent_shadows\":true}},"
    "\"meshes\":{\"b\":{\"shape\":\"box\",\"min\":[-0.5,0,-0.5],\"max\":[0.5,1,0.5]},\"o\":{\"shape\":\"sphere\",\"radius\":0.6},\"f\":{\"shape\":\"quad\",\"points\":[[-9,0,9],[9,0,9],[9,0,-9],[-9,0,-9]]},"
    "\"q\":{\"shape\":\"quad\",\"points\":[[-1,4,-1],[1,4,-1],[1,4,1],[-1,4,1]]},\"t\":{\"shape\":\"quad\",\"points\":[[-4,0.3,4],[0,0.3,4],[0,0.3,0],[-4,0.3,0]]}},"
    "\"objects\":[{\"mesh\":\"f\",\"material\":\"w\"},{\"mesh\":\"b\",\"material\":\"a\",\"transform\":{\"rotate_deg\":[0,30,0],\"translate\":[-1,0,0]}},"
    "{\"mesh\":\"b\",\"material\":\"k\",\"tint\":[1,0.5,1],\"transform\":{\"scale\":[1,1.5,-0.7],\"translate\":[1.4,0,-1]}},{\"mesh\":\"b\",\"material\":\"r\",\"transform\":{\"translate\":[-2.4,0,-1]}},"
    "{\"mesh\":\"o\",\"material\":\"g\",\"transform\":{\"translate\":[0.4,0.6,1]}},{\"mesh\":\"o\",\"material\":\"a\",\"transform\":{\"scale\":[1,0.6,1],\"translate\":[1.8,0.4,1.2]}},"
    "{\"mesh\":\"q\",\"material\":\"l\"},{\"mesh\":\"o\",\"material\":\"l\",\"transform\":{\"scale\":0.3,\"translate\":[-0.6,1.8,1]}},{\"mesh\":\"t\",\"material\":\"s\"}],"
    "\"lights\":[{\"type\":\"sun\",\"direction\":[1,1,0.5],\"irradiance\":3},{\"type\":\"sky\",\"sun_direction\":[1,1,0.5]}]}";

static void same_film_for_any_split_and_kernel(void **state)
{
    (void)state;
    mr_pack pack;
    compile(&pack, rich_scene);
    mr_picture picture = { 60, 40, 5, 7 };
    uint8_t expected[MR_HASH_BYTES], found[MR_HASH_BYTES];
    mr_film film = film_of(&pack, &picture, mr_kernel_at(0), 60, 5);
    mr_film_hash(&film, expected);
    mr_film_free(&film);
    static const uint32_t splits[][2] = { { 60, 1 }, { 16, 2 }, { 7, 5 }, { 33, 3 } };
    for (unsigned k = 0; mr_kernel_at(k); k++)
        for (int i = 0; i < 4; i++) {
            film = film_of(&pack, &picture, mr_kernel_at(k), splits[i][0], splits[i][1]);
            mr_film_hash(&film, found);
            mr_film_free(&film);
            if (memcmp(found, expected, sizeof found) != 0) fail_msg("kernel %s, tiles of %u, %u samples: another picture", mr_kernel_at(k)->name, splits[i][0], splits[i][1]);
        }
    picture.seed = 8;
    film = film_of(&pack, &picture, best_kernel(), 60, 5);
    mr_film_hash(&film, found);
    assert_memory_not_equal(found, expected, sizeof found);
    mr_film_free(&film);
    mr_pack_close(&pack);
}

static void stops_when_told(void **state)
{
    (void)state;
    mr_pack pack;
    compile(&pack, rich_scene);
    mr_picture picture = { 64, 64, 1000, 0 };
    mr_tile tile = { 0, 0, 64, 64, 0, 1000 };
    uint64_t *sums = malloc(64 * 64 * 3 * sizeof *sums);
    mr_renderer *r = mr_renderer_new(&pack, best_kernel());
    volatile int stop = 1;
    assert_int_equal(mr_render_tile(r, &picture, &tile, sums, NULL, &stop), MR_INTERRUPTED);
    mr_renderer_free(r);
    free(sums);
    mr_pack_close(&pack);
}

static void tiles_are_checked(void **state)
{
    (void)state;
    mr_error err;
    mr_picture p = { 100, 50, 4, 0 };
    const mr_tile bad[] = { { 0, 0, 0, 5, 0, 1 }, { 90, 0, 11, 5, 0, 1 }, { 0, 50, 1, 1, 0, 1 }, { 0, 0, 5, 5, 4, 1 }, { 0, 0, 5, 5, 3, 2 },
                            { 0, 0, 5, 5, 0, 0 }, { UINT32_MAX, 0, 2, 2, 0, 1 }, { 0, 0, 5, UINT32_MAX, 0, 1 }, { 0, 0, 5, 5, 1, UINT32_MAX } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(mr_tile_check(&p, &bad[i], &err), MR_BAD_INPUT);
    mr_tile good = { 90, 40, 10, 10, 0, 4 };
    assert_int_equal(mr_tile_check(&p, &good, &err), MR_OK);
    p.width = MR_MAX_SIDE + 1;
    assert_int_equal(mr_picture_check(&p, &err), MR_BAD_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(furnace), cmocka_unit_test(sun_on_a_floor), cmocka_unit_test(sphere_over_a_floor), cmocka_unit_test(quad_over_a_floor),
                                        cmocka_unit_test(environment_on_a_floor), cmocka_unit_test(absorption), cmocka_unit_test(transparent_shadow), cmocka_unit_test(holes),
                                        cmocka_unit_test(same_film_for_any_split_and_kernel), cmocka_unit_test(stops_when_told), cmocka_unit_test(tiles_are_checked) };
    return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
