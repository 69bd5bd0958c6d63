/* A model on its way from the process that imported it: see model.h.
 *
 *   head | vertices | triangles | materials | (image head, texels) ...
 *
 * in the machine's own layout: both ends are the same program. What comes back is not believed, for the process that wrote it has read a stranger's file: counts
 * are held against the limits and the size of the file before anything is allocated, every index is checked here, and the numbers of materials by the check
 * of the finished pack. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/model.h"

typedef struct head {
    char magic[8];
    uint32_t vertices, triangles, materials, images;
} head;

typedef struct image_head {
    uint32_t width, height, format, wrap;
} image_head;

static const char MAGIC[] = "MRMODEL1";

/* ---- writing ---- */

static int put(int fd, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t wrote = write(fd, (const char *)bytes + done, size - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return -1;
        done += (size_t)wrote;
    }
    return 0;
}

int mr_model_write(const mr_model *m, int fd, mr_error *err)
{
    head h = {.vertices = m->vertex_count, .triangles = m->triangle_count, .materials = m->material_count, .images = m->image_count};
    memcpy(h.magic, MAGIC, sizeof h.magic);
    int failed = put(fd, &h, sizeof h) || put(fd, m->vertices, m->vertex_count * sizeof *m->vertices) ||
                 put(fd, m->triangles, m->triangle_count * sizeof *m->triangles) || put(fd, m->materials, m->material_count * sizeof *m->materials);
    for (uint32_t i = 0; i < m->image_count && !failed; i++) {
        const mr_image *image = &m->images[i];
        image_head ih = {image->width, image->height, image->format, image->wrap};
        failed = put(fd, &ih, sizeof ih) || put(fd, image->texels, mr_image_bytes(image));
    }
    return failed ? mr_fail(err, MR_FAILED, "a model of %u triangles cannot be handed over: %s", m->triangle_count, strerror(errno)) : MR_OK;
}

/* ---- reading ---- */

typedef struct source {
    int fd;
    uint64_t left; /* bytes of the file that have not been read */
    const char *name;
    mr_error *err;
} source;

static int damaged(const source *s, const char *what)
{
    return mr_fail(s->err, MR_BAD_INPUT, "%s: its import gave a damaged model (%s)", s->name, what);
}

static int get(source *s, void *bytes, size_t size)
{
    if (size > s->left) return damaged(s, "it is cut off");
    for (size_t done = 0; done < size;) {
        ssize_t got = read(s->fd, (char *)bytes + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return damaged(s, "it cannot be read");
        done += (size_t)got;
    }
    s->left -= size;
    return MR_OK;
}

/* An array of count elements, malloc'd. */
static int get_array(source *s, void **array, size_t count, size_t size)
{
    if (count * size > s->left) return damaged(s, "it is cut off"); /* counts are 32 bits, sizes small */
    *array = malloc(count * size + 1);
    if (!*array) return mr_fail(s->err, MR_FAILED, "%s: no memory for a model", s->name);
    return get(s, *array, count * size);
}

static int get_image(source *s, mr_image *image)
{
    image_head h;
    int status = get(s, &h, sizeof h);
    if (status) return status;
    if (!h.width || !h.height || h.width > MR_SCENE_MAX_TEXTURE_SIDE || h.height > MR_SCENE_MAX_TEXTURE_SIDE || h.format > MR_TEXEL_FLOAT || h.wrap > MR_WRAP_CLAMP)
        return damaged(s, "an image");
    *image = (mr_image){.width = h.width, .height = h.height, .format = h.format, .wrap = h.wrap};
    return get_array(s, &image->texels, mr_image_bytes(image), 1);
}

static int check_material(const source *s, const mr_model *m, const mr_material *material)
{
    const uint32_t textures[] = {material->base_texture, material->surface_texture, material->normal_texture, material->emission_texture};
    for (size_t i = 0; i < 4; i++)
        if (textures[i] != MR_NONE && textures[i] >= m->image_count) return damaged(s, "a material's texture");
    return material->flags & ~(uint32_t)MR_MATERIAL_VERTEX_COLOR || material->first_light != MR_NONE ? damaged(s, "a material") : MR_OK;
}

static int check_indices(const source *s, const mr_model *m)
{
    int status = MR_OK;
    for (uint32_t i = 0; i < m->material_count && !status; i++) status = check_material(s, m, &m->materials[i]);
    for (uint32_t i = 0; i < m->triangle_count && !status; i++)
        if (m->triangles[i].material != MR_NONE && m->triangles[i].material >= m->material_count) status = damaged(s, "a triangle's material");
    return status;
}

static int get_all(source *s, mr_model *m)
{
    head h;
    int status = get(s, &h, sizeof h);
    if (status) return status;
    if (memcmp(h.magic, MAGIC, sizeof h.magic) != 0 || h.triangles > MR_SCENE_MAX_TRIANGLES || h.vertices > 3u * MR_SCENE_MAX_TRIANGLES ||
        h.materials > MR_SCENE_MAX_MATERIALS || h.images > MR_SCENE_MAX_TEXTURES)
        return damaged(s, "its counts");
    status = get_array(s, (void **)&m->vertices, h.vertices, sizeof *m->vertices);
    if (!status) status = get_array(s, (void **)&m->triangles, h.triangles, sizeof *m->triangles);
    if (!status) status = get_array(s, (void **)&m->materials, h.materials, sizeof *m->materials);
    if (status) return status;
    m->vertex_count = m->vertex_room = h.vertices;
    m->triangle_count = m->triangle_room = h.triangles;
    m->material_count = h.materials;
    m->images = calloc(h.images + (size_t)1, sizeof *m->images);
    if (!m->images) return mr_fail(s->err, MR_FAILED, "%s: no memory for a model", s->name);
    for (; m->image_count < h.images && !status; m->image_count++) status = get_image(s, &m->images[m->image_count]);
    if (!status && s->left) status = damaged(s, "it is too long");
    return status ? status : check_indices(s, m);
}

int mr_model_read(mr_model *model, int fd, const char *name, mr_error *err)
{
    struct stat st;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0 || fstat(fd, &st) || st.st_size < at) return mr_fail(err, MR_FAILED, "%s: its import cannot be read: %s", name, strerror(errno));
    source s = {.fd = fd, .left = (uint64_t)(st.st_size - at), .name = name, .err = err};
    int status = get_all(&s, model);
    return status ? status : mr_model_finish(model, name, err);
}
