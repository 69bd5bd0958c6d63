/* Meshes from files and into them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/meshes.h"
#include "tracer/scene/model.h"

enum { TRI_BYTES = 36 };

static void name_after(bench_mesh *mesh, const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(mesh->name, sizeof mesh->name, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(mesh->name, '.');
    if (dot && dot > mesh->name) *dot = 0;
}

static int allocate(bench_mesh *mesh, uint32_t vertices, uint32_t triangles, const char *path, mr_error *err)
{
    mesh->positions = malloc((size_t)vertices * 3 * sizeof *mesh->positions);
    mesh->indices = malloc((size_t)triangles * 3 * sizeof *mesh->indices);
    mesh->vertex_count = vertices;
    mesh->triangle_count = triangles;
    return mesh->positions && mesh->indices ? MR_OK : mr_fail(err, MR_FAILED, "%s: out of memory", path);
}

/* Reads behind the head; count as the head says, which the file's size must bear out. */
static int read_corners(bench_mesh *mesh, FILE *file, uint32_t count, const char *path, mr_error *err)
{
    long start = ftell(file);
    if (fseek(file, 0, SEEK_END) != 0 || ftell(file) - start != (long)count * TRI_BYTES || fseek(file, start, SEEK_SET) != 0 ||
        !count)
        return mr_fail(err, MR_BAD_INPUT, "%s: expected 8 bytes and %d for each of its %" PRIu32 " triangles", path, TRI_BYTES,
                       count);
    if (count > UINT32_MAX / 9) return mr_fail(err, MR_BAD_INPUT, "%s: %" PRIu32 " triangles are too many", path, count);
    int status = allocate(mesh, 3 * count, count, path, err);
    if (status != MR_OK) return status;
    if (fread(mesh->positions, TRI_BYTES, count, file) != count) return mr_fail(err, MR_FAILED, "%s: cannot be read", path);
    for (uint32_t i = 0; i < 3 * count; i++) mesh->indices[i] = i;
    return MR_OK;
}

static int read_tri(bench_mesh *mesh, const char *path, mr_error *err)
{
    char magic[4];
    uint32_t count;
    FILE *file = fopen(path, "rb");
    if (!file) return mr_fail(err, MR_BAD_INPUT, "%s: cannot be read", path);
    int status = fread(magic, 1, 4, file) == 4 && !memcmp(magic, "TRI1", 4) && fread(&count, 4, 1, file) == 1
                     ? read_corners(mesh, file, count, path, err)
                     : mr_fail(err, MR_BAD_INPUT, "%s: found no \"TRI1\" at its start, expected a .tri file", path);
    (void)fclose(file);
    return status;
}

static int read_model(bench_mesh *mesh, const char *path, mr_error *err)
{
    mr_model model = {0};
    int status = mr_model_import(&model, path, NULL, err);
    if (status == MR_OK) status = allocate(mesh, model.vertex_count, model.triangle_count, path, err);
    for (uint32_t i = 0; status == MR_OK && i < model.vertex_count; i++)
        memcpy(mesh->positions + (size_t)3 * i, model.vertices[i].p, sizeof model.vertices[i].p);
    for (uint32_t i = 0; status == MR_OK && i < model.triangle_count; i++)
        memcpy(mesh->indices + (size_t)3 * i, model.triangles[i].v, sizeof model.triangles[i].v);
    mr_model_free(&model);
    return status;
}

/* KIND:COUNT, or 0 */
static uint32_t generated(const char *text, char kind[16])
{
    const char *colon = strchr(text, ':');
    if (!colon || colon - text > 15 || colon[1] < '0' || colon[1] > '9') return 0;
    char *end;
    unsigned long count = strtoul(colon + 1, &end, 10);
    (void)snprintf(kind, 16, "%.*s", (int)(colon - text), text);
    return *end || count > UINT32_MAX ? 0 : (uint32_t)count;
}

int bench_mesh_get(bench_mesh *out, const char *text, mr_error *err)
{
    char kind[16];
    uint32_t count = generated(text, kind);
    if (count) return bench_mesh_generate(out, kind, count, err);
    memset(out, 0, sizeof *out);
    size_t length = strlen(text);
    int status = length > 4 && !strcmp(text + length - 4, ".tri") ? read_tri(out, text, err) : read_model(out, text, err);
    if (status == MR_OK)
        name_after(out, text);
    else
        bench_mesh_free(out);
    return status;
}

static int write_ply(const bench_mesh *mesh, FILE *file)
{
    fprintf(file,
            "ply\nformat binary_little_endian 1.0\nelement vertex %" PRIu32
            "\nproperty float x\nproperty float y\nproperty float z\n"
            "element face %" PRIu32 "\nproperty list uchar int vertex_indices\nend_header\n",
            mesh->vertex_count, mesh->triangle_count);
    (void)fwrite(mesh->positions, 12, mesh->vertex_count, file);
    for (uint32_t i = 0; i < mesh->triangle_count; i++) {
        (void)fputc(3, file);
        (void)fwrite(mesh->indices + (size_t)3 * i, 4, 3, file);
    }
    return ferror(file);
}

int bench_mesh_save_ply(const bench_mesh *mesh, const char *path, mr_error *err)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary)
        return mr_fail(err, MR_FAILED, "%s: the name is too long", path);
    int descriptor = mkstemp(temporary);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    int failed = !file || write_ply(mesh, file);
    if (file && fclose(file) != 0) failed = 1;
    if (!failed && rename(temporary, path) == 0) return MR_OK;
    if (descriptor >= 0) (void)unlink(temporary);
    return mr_fail(err, MR_FAILED, "%s: cannot be written", path);
}
