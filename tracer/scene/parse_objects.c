/* scene.json: meshes and the objects that place them. */
#include <string.h>

#include "tracer/scene/limits.h"
#include "tracer/scene/parse.h"

static const double FAR = MR_MAX_COORDINATE;

/* A list of lists of `width` numbers: count x width doubles in the arena. *count: 0 accepts any length and receives it. */
static double *parse_rows(mr_parse *parse, const mr_node *mesh, const char *key, size_t width, uint32_t *count)
{
    mr_reader *reader = &parse->reader;
    mr_node list = mr_reader_child(reader, mesh, key), item = {0};
    if (!list.json) return NULL;
    uint32_t rows = mr_reader_count(reader, &list);
    if (!mr_read_is_list(&list) || !rows) (void)mr_reader_fail(reader, &list, "a list of lists of %zu numbers", width);
    if (*count && rows != *count) (void)mr_reader_fail(reader, &list, "a list of %u, as many as positions", *count);
    double *out = mr_parse_array(parse, rows, width * sizeof *out);
    while (mr_reader_next(reader, &list, &item)) mr_read_list(reader, &item, out + width * item.index, width, -FAR, FAR);
    *count = rows;
    return out;
}

static void parse_indices(mr_parse *parse, const mr_node *node, mr_desc_mesh *mesh)
{
    mr_reader *reader = &parse->reader;
    mr_node list = mr_reader_child(reader, node, "indices"), row = {0};
    if (!mr_read_is_list(&list)) (void)mr_reader_fail(reader, &list, "a list of lists of 3 indices");
    mesh->triangle_count = mr_reader_count(reader, &list);
    mesh->indices = mr_parse_array(parse, mesh->triangle_count, sizeof *mesh->indices);
    while (mr_reader_next(reader, &list, &row)) {
        double three[3] = {0, 0, 0};
        mr_read_list(reader, &row, three, 3, 0, (double)mesh->vertex_count - 1);
        for (size_t k = 0; k < 3; k++) {
            if (three[k] != floor(three[k])) (void)mr_reader_fail(reader, &row, "whole numbers");
            mesh->indices[row.index][k] = (uint32_t)three[k];
        }
    }
}

static void parse_triangles(mr_parse *parse, const mr_node *node, mr_desc_mesh *mesh)
{
    mr_read_need(&parse->reader, node, "positions", "a list of lists of 3 numbers");
    mr_read_need(&parse->reader, node, "indices", "a list of lists of 3 indices");
    mesh->positions = (double(*)[3])parse_rows(parse, node, "positions", 3, &mesh->vertex_count);
    mesh->normals = (double(*)[3])parse_rows(parse, node, "normals", 3, &mesh->vertex_count);
    mesh->uvs = (double(*)[2])parse_rows(parse, node, "uvs", 2, &mesh->vertex_count);
    parse_indices(parse, node, mesh);
}

static void parse_box(mr_parse *parse, const mr_node *node, mr_desc_mesh *mesh)
{
    mr_reader *reader = &parse->reader;
    mr_read_need(reader, node, "min", "a list of 3 numbers");
    mr_read_need(reader, node, "max", "a list of 3 numbers");
    (void)mr_read_numbers(reader, node, "min", mesh->numbers, 3, -FAR, FAR);
    (void)mr_read_numbers(reader, node, "max", mesh->numbers + 3, 3, -FAR, FAR);
    for (size_t a = 0; a < 3; a++)
        if (!(mesh->numbers[a] < mesh->numbers[a + 3])) (void)mr_reader_complain(reader, node, "found a box whose min is not below its max in every axis");
}

static void parse_sphere(mr_parse *parse, const mr_node *node, mr_desc_mesh *mesh)
{
    (void)mr_read_numbers(&parse->reader, node, "center", mesh->numbers, 3, -FAR, FAR);
    mesh->numbers[3] = mr_read_number(&parse->reader, node, "radius", 1, 1e-6, FAR);
}

static void parse_quad(mr_parse *parse, const mr_node *node, mr_desc_mesh *mesh)
{
    mr_reader *reader = &parse->reader;
    mr_node list = mr_reader_child(reader, node, "points"), item = {0};
    if (!mr_read_is_list(&list) || mr_reader_count(reader, &list) != 4) (void)mr_reader_fail(reader, &list, "a list of 4 points");
    while (mr_reader_next(reader, &list, &item)) mr_read_list(reader, &item, mesh->numbers + 3 * item.index, 3, -FAR, FAR);
}

static void parse_shape(mr_parse *parse, const mr_node *node, mr_desc_mesh *mesh)
{
    static const char *const shapes[] = {"file", "box", "sphere", "quad", "triangles", NULL}; /* enum mr_desc_mesh_kind */
    static const char *const keys[][8] = {{"file", "material", NULL},
                                          {"shape", "min", "max", "material", NULL},
                                          {"shape", "center", "radius", "material", NULL},
                                          {"shape", "points", "material", NULL},
                                          {"shape", "positions", "indices", "normals", "uvs", "material", NULL}};
    static void (*const parsers[])(mr_parse *, const mr_node *, mr_desc_mesh *) = {NULL, parse_box, parse_sphere, parse_quad, parse_triangles};
    mr_reader *reader = &parse->reader;
    mr_node shape = mr_reader_child(reader, node, "shape");
    mesh->kind = shape.json ? mr_read_choice(reader, node, "shape", shapes + 1, 0) + 1 : MR_DESC_FILE;
    mr_reader_keys(reader, node, keys[mesh->kind]);
    if (reader->status) return;
    if (mesh->kind == MR_DESC_FILE) {
        mr_read_need(reader, node, "file", "the path of a model file (or \"shape\")");
        mesh->path = mr_parse_path(parse, node);
    } else {
        parsers[mesh->kind](parse, node, mesh);
    }
}

static void parse_mesh(mr_parse *parse, const mr_node *node, mr_desc_mesh *mesh)
{
    mr_reader *reader = &parse->reader;
    mesh->name = mr_arena_text(reader->arena, node->key);
    if (!mesh->name) (void)mr_reader_no_memory(reader);
    parse_shape(parse, node, mesh);
    mesh->material = mr_read_name(reader, node, "material", &parse->materials, "material");
}

void mr_parse_meshes(mr_parse *parse, const mr_node *root)
{
    mr_node map = mr_reader_child(&parse->reader, root, "meshes"), item = {0};
    mr_description *out = parse->out;
    mr_read_names(&parse->reader, &map, &parse->meshes);
    out->meshes = mr_parse_array(parse, parse->meshes.count, sizeof *out->meshes);
    while (mr_reader_next(&parse->reader, &map, &item)) parse_mesh(parse, &item, &out->meshes[out->mesh_count++]);
}

/* ---- objects ---- */

static mr_affine parse_matrix(mr_reader *reader, const mr_node *transform, const mr_node *matrix)
{
    double m[16] = {0};
    mr_affine out = mr_affine_identity();
    uint32_t count = mr_reader_count(reader, matrix);
    if (!mr_read_is_list(matrix) || (count != 12 && count != 16)) {
        (void)mr_reader_fail(reader, matrix, "a list of 12 or 16 numbers, row by row");
        return out;
    }
    (void)mr_read_numbers(reader, transform, "matrix", m, count, -FAR, FAR);
    if (count == 16 && (m[12] != 0 || m[13] != 0 || m[14] != 0 || m[15] != 1)) (void)mr_reader_fail(reader, matrix, "0, 0, 0, 1 in the last row");
    memcpy(out.m, m, sizeof out.m);
    return out;
}

static vec3 parse_scale(mr_reader *reader, const mr_node *transform)
{
    double s[3] = {1, 1, 1};
    mr_node scale = mr_reader_child(reader, transform, "scale");
    if (mr_read_is_number(&scale)) s[0] = s[1] = s[2] = mr_read_number(reader, transform, "scale", 1, -1e6, 1e6);
    else (void)mr_read_numbers(reader, transform, "scale", s, 3, -1e6, 1e6);
    return v3_from(s);
}

/* Scale, then the rotations, then the translation. */
static mr_affine parse_parts(mr_reader *reader, const mr_node *transform)
{
    double degrees[3] = {0, 0, 0}, translate[3] = {0, 0, 0};
    mr_affine scale = mr_affine_scale(parse_scale(reader, transform));
    (void)mr_read_numbers(reader, transform, "rotate_deg", degrees, 3, -1e6, 1e6);
    (void)mr_read_numbers(reader, transform, "translate", translate, 3, -FAR, FAR);
    mr_affine rotate = mr_affine_rotate_deg(v3_from(degrees)), move = mr_affine_translate(v3_from(translate));
    mr_affine turned = mr_affine_mul(&rotate, &scale);
    return mr_affine_mul(&move, &turned);
}

static mr_affine parse_transform(mr_reader *reader, const mr_node *object)
{
    static const char *const keys[] = {"scale", "rotate_deg", "translate", NULL};
    static const char *const matrix_keys[] = {"matrix", NULL};
    mr_affine inverse;
    mr_node transform = mr_reader_child(reader, object, "transform"), matrix = mr_reader_child(reader, &transform, "matrix");
    if (!transform.json) return mr_affine_identity();
    mr_reader_keys(reader, &transform, matrix.json ? matrix_keys : keys);
    mr_affine out = matrix.json ? parse_matrix(reader, &transform, &matrix) : parse_parts(reader, &transform);
    if (!mr_affine_invert(&inverse, &out)) (void)mr_reader_complain(reader, &transform, "found a transform that flattens everything, expected one with an inverse");
    return out;
}

static void parse_object(mr_parse *parse, const mr_node *node, mr_desc_object *object)
{
    static const char *const keys[] = {"name", "mesh", "material", "tint", "transform", NULL};
    mr_reader *reader = &parse->reader;
    double tint[3] = {1, 1, 1};
    mr_reader_keys(reader, node, keys);
    mr_read_need(reader, node, "mesh", "the name of a mesh of this scene");
    object->name = mr_read_text(reader, node, "name");
    object->mesh = mr_read_name(reader, node, "mesh", &parse->meshes, "mesh");
    object->material = mr_read_name(reader, node, "material", &parse->materials, "material");
    (void)mr_read_color(reader, node, "tint", tint, 1);
    for (size_t c = 0; c < 3; c++) object->tint[c] = (float)tint[c];
    object->to_world = parse_transform(reader, node);
}

void mr_parse_objects(mr_parse *parse, const mr_node *root)
{
    mr_reader *reader = &parse->reader;
    mr_node list = mr_reader_child(reader, root, "objects"), item = {0};
    mr_description *out = parse->out;
    if (!mr_read_is_list(&list)) (void)mr_reader_fail(reader, &list, "a list of objects");
    uint32_t count = mr_reader_count(reader, &list);
    if (!count || count > MR_SCENE_MAX_ITEMS) (void)mr_reader_fail(reader, &list, "1..%d objects", MR_SCENE_MAX_ITEMS);
    out->objects = mr_parse_array(parse, count, sizeof *out->objects);
    while (mr_reader_next(reader, &list, &item)) parse_object(parse, &item, &out->objects[out->object_count++]);
}
