/* The shapes that a scene.json can name instead of a mesh file. (Spheres are no meshes: they are instances of the analytic unit sphere.) */
#include "tracer/scene/model.h"

static void add_quad(mr_model *model, const vec3 p[4])
{
    static const double uv[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    uint32_t first = model->vertex_count;
    for (size_t k = 0; k < 4; k++) (void)mr_model_vertex(model, p[k], v3(0, 0, 0), uv[k][0], uv[k][1]);
    mr_model_triangle(model, first, first + 1, first + 2);
    mr_model_triangle(model, first, first + 2, first + 3);
}

int mr_shape_quad(mr_model *model, const vec3 p[4], mr_error *err)
{
    int status = mr_model_reserve(model, 4, 2, "quad", err);
    if (!status) add_quad(model, p);
    return status;
}

/* The corner of the box whose bits 0, 1, 2 choose the greater x, y, z. */
static vec3 corner(vec3 lo, vec3 hi, unsigned bits)
{
    return v3(bits & 1 ? hi.x : lo.x, bits & 2 ? hi.y : lo.y, bits & 4 ? hi.z : lo.z);
}

int mr_shape_box(mr_model *model, vec3 lo, vec3 hi, mr_error *err)
{
    /* -x, +x, -y, +y, -z, +z; each anticlockwise seen from outside, so that textures stand upright on the sides */
    static const unsigned faces[6][4] = {{0, 4, 6, 2}, {5, 1, 3, 7}, {0, 1, 5, 4}, {6, 7, 3, 2}, {1, 0, 2, 3}, {4, 5, 7, 6}};
    int status = mr_model_reserve(model, 24, 12, "box", err);
    for (size_t f = 0; f < 6 && !status; f++) {
        vec3 p[4];
        for (size_t k = 0; k < 4; k++) p[k] = corner(lo, hi, faces[f][k]);
        add_quad(model, p);
    }
    return status;
}
