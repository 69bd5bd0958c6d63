/* mobyray scene: compiles, describes and checks scenes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "tracer/scene/info.h"
#include "tracer/scene/limits.h"
#include "tracer/scene/squeeze.h"
#include "tracer/scene/texture.h"

static const char *output;

static const arg_option options[] = {{"output", 'o', ARG_TEXT, &output, 0, 0, "FILE", "where `scene pack` or `squeeze` writes to"},
                                     {.name = NULL}};

static int pack_scene(mr_pack *pack, const char *path, mr_error *err)
{
    if (!output) return mr_fail(err, MR_USAGE, "no file for the pack given, expected -o FILE");
    int status = cli_check_writable(output, err);
    if (status == MR_OK) status = cli_load_scene(pack, path, err);
    return status == MR_OK ? mr_pack_save(pack, output, err) : status;
}

static int info_scene(mr_pack *pack, const char *path, mr_error *err)
{
    int status = cli_load_scene(pack, path, err);
    if (status == MR_OK) mr_pack_print_info(pack, stdout);
    return status;
}

static int check_scene(mr_pack *pack, const char *path, mr_error *err)
{
    char hash[2 * MR_HASH_BYTES + 1];
    int status = cli_load_scene(pack, path, err);
    if (status != MR_OK) return status;
    mr_hash_hex(pack->header->hash, hash);
    printf("%s: good, pack %.16s, %u triangles, %zu bytes\n", path, hash, pack->triangle_count, pack->size_bytes);
    return MR_OK;
}

/* A mesh file, not a scene: nothing is compiled. */
static int squeeze_mesh(mr_pack *pack, const char *path, mr_error *err)
{
    char *ply = NULL, *squeezed = NULL;
    size_t ply_bytes = 0, squeezed_bytes = 0;
    (void)pack;
    if (!output) return mr_fail(err, MR_USAGE, "no file for the squeezed mesh given, expected -o FILE");
    int status = cli_check_writable(output, err);
    if (status == MR_OK) status = mr_file_read(path, MR_SCENE_MAX_FILE_BYTES, &ply, &ply_bytes, err);
    if (status == MR_OK) status = mr_squeeze(ply, ply_bytes, &squeezed, &squeezed_bytes, path, err);
    if (status == MR_OK) status = cli_write_bytes(output, squeezed, squeezed_bytes, err);
    free(squeezed);
    free(ply);
    return status;
}

static int run_scene(const arg_result *args, mr_error *err)
{
    static const struct {
        const char *name;
        int (*run)(mr_pack *pack, const char *path, mr_error *err);
    } actions[] = {{"pack", pack_scene}, {"info", info_scene}, {"check", check_scene}, {"squeeze", squeeze_mesh}};
    if (args->positional_count < 2) return mr_fail(err, MR_USAGE, "expected pack, info, check or squeeze, and a SCENE");
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(args->positional[0], actions[i].name) != 0) continue;
        mr_pack pack = {.base = NULL};
        int status = actions[i].run(&pack, args->positional[1], err);
        mr_pack_close(&pack);
        return status;
    }
    return mr_fail(err, MR_USAGE, "found '%s', expected pack, info, check or squeeze", args->positional[0]);
}

const cli_command scene_command = {"scene",
                                   "compile, describe, check a scene",
                                   "pack SCENE -o FILE | info SCENE | check SCENE | squeeze MESH.ply -o FILE.ply",
                                   "pack   compiles SCENE into a scene pack, which loads at once anywhere\n"
                                   "info   tells what is in it\n"
                                   "check  says whether it is good (exit code 3 and a message if not)\n"
                                   "squeeze  writes a PLY mesh of triangles in a fifth of the room; it is read like any other PLY",
                                   options,
                                   2,
                                   run_scene};
