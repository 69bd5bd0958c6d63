/* A model: the triangles of one mesh in memory, from a file or a shape, before it is laid out in the pack.
 *
 * The arrays are malloc'd and belong to the model; mr_model_free gives them back. A triangle's material is an index into the model's own
 * `materials`, or MR_NONE: whatever the object that uses it says. Texture indices of these materials count in the model's own `images`. */
#ifndef MR_SCENE_MODEL_H
#define MR_SCENE_MODEL_H

#include "tracer/error.h"
#include "tracer/pack.h"
#include "tracer/scene/texture.h"
#include "tracer/scene/transform.h"

typedef struct mr_model {
    mr_vertex *vertices;
    mr_triangle *triangles;
    mr_material *materials;
    mr_image *images;
    uint32_t vertex_count, triangle_count, material_count, image_count;
    uint32_t vertex_room, triangle_room; /* allocated */
    float lo[3], hi[3];                  /* of all vertices */
} mr_model;

/* A material with every field at the format's default: base colour 0.8, roughness 0.5, no textures. */
mr_material mr_material_default(void);

/* Makes room for so many more; MR_FAILED without memory, MR_BAD_INPUT beyond the limits; `name` stands in the message. */
int mr_model_reserve(mr_model *model, size_t vertices, size_t triangles, const char *name, mr_error *err);

/* Appends; the room must have been reserved. The vertex' index is returned. */
uint32_t mr_model_vertex(mr_model *model, vec3 p, vec3 n, double u, double v);
void mr_model_triangle(mr_model *model, uint32_t a, uint32_t b, uint32_t c);

/* Ends the building of a model: finds the bounds, refuses NaN, absurd coordinates, wrong indices and emptiness (MR_BAD_INPUT naming `name`). */
int mr_model_finish(mr_model *model, const char *name, mr_error *err);

/* Makes one vertex of those that are equal in every field (files without an index list repeat each up to six times). */
int mr_model_weld(mr_model *model, mr_error *err);

/* Gives smooth normals to all vertices: the mean of the faces that meet at one position, weighted by angle (Thürmer & Wüthrich 1998). */
int mr_model_smooth(mr_model *model, mr_error *err);

void mr_model_free(mr_model *model);

/* Shapes (shapes.c). A box with min < max; a quad p0 p1 p2 p3, anticlockwise seen from its front, uv (0,0) (1,0) (1,1) (0,1). */
int mr_shape_box(mr_model *model, vec3 lo, vec3 hi, mr_error *err);
int mr_shape_quad(mr_model *model, const vec3 p[4], mr_error *err);

/* A model file (import.c): PLY by ourselves, the other formats we take by `import`, NULL: mr_model_import_foreign. */
int mr_model_import(mr_model *model, const char *path, int (*import)(mr_model *model, const char *path, mr_error *err), mr_error *err);

/* A model file of a format that assimp reads, read by it in this process, finished. assimp may crash, hang or ask for all memory on a damaged file. */
int mr_model_import_foreign(mr_model *model, const char *path, mr_error *err);
/* The same for a file that a stranger sent: it may refer to no other file, which may be one of ours. */
int mr_model_import_alone(mr_model *model, const char *path, mr_error *err);

/* A finished model as bytes in a file, for another process of this machine (model_bytes.c), and back: what is read is checked like any other input.
 * The file's place is used and moved. mr_model_read's `name` stands in messages; the model must be empty, and is to be freed in any case. */
int mr_model_write(const mr_model *model, int fd, mr_error *err);
int mr_model_read(mr_model *model, int fd, const char *name, mr_error *err);

#endif
