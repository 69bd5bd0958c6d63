/* Reads model files into one mr_model: PLY by ourselves (ply.c), everything else through assimp, every node's meshes with the node's transform, triangles only.
 *
 * Of assimp's steps only the triangulation and the sorting out of points and lines are asked for; joining equal vertices and smoothing normals are ours
 * (model.c), so that every format gets the same. Whatever assimp hands over is checked like any other input; what a crash of it takes along is the caller's to say. */
#include <assimp/cimport.h>
#include <assimp/material.h>
#include <assimp/mesh.h>
#include <assimp/postprocess.h>
#include <assimp/scene.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "tracer/scene/import_alone.h"
#include "tracer/scene/import_materials.h"
#include "tracer/scene/limits.h"
#include "tracer/scene/model.h"
#include "tracer/scene/ply.h"

typedef struct importer {
    const struct aiScene *scene;
    mr_model *model;
    const char *path;
    mr_error *err;
    bool linear_colors; /* vertex colours are linear (glTF); all other formats' are taken as sRGB */
    bool has_normals;   /* every mesh so far had them */
    bool alone;         /* it may read no other file */
    uint32_t nodes;
} importer;

/* ---- the file ---- */

/* assimp keeps its last error in a global string without a lock, so imports take turns. */
static pthread_mutex_t assimp_lock = PTHREAD_MUTEX_INITIALIZER;

static int check_file(const char *path, mr_error *err)
{
    struct stat st;
    FILE *file = stat(path, &st) || !S_ISREG(st.st_mode) ? NULL : fopen(path, "rbe");
    if (!file) return mr_fail(err, MR_BAD_INPUT, "%s: cannot be read: found no such file, or not one we may read", path);
    (void)fclose(file);
    if (st.st_size > 0 && (uint64_t)st.st_size <= MR_SCENE_MAX_FILE_BYTES) return MR_OK;
    return mr_fail(err, MR_BAD_INPUT, "%s: found %lld bytes, expected a model file of 1..%zu", path, (long long)st.st_size, MR_SCENE_MAX_FILE_BYTES);
}

static const struct aiScene *open_scene(const char *path, bool alone, mr_error *err)
{
    struct aiFileIO only = mr_import_only(path);
    const unsigned steps = aiProcess_Triangulate | aiProcess_SortByPType;
    (void)pthread_mutex_lock(&assimp_lock);
    struct aiPropertyStore *properties = aiCreatePropertyStore();
    if (properties) aiSetImportPropertyInteger(properties, AI_CONFIG_PP_SBP_REMOVE, aiPrimitiveType_POINT | aiPrimitiveType_LINE);
    const struct aiScene *scene = aiImportFileExWithProperties(path, steps, alone ? &only : NULL, properties);
    if (!scene) (void)mr_fail(err, MR_BAD_INPUT, "%s: not a model file that can be read: %.300s", path, aiGetErrorString());
    if (properties) aiReleasePropertyStore(properties);
    (void)pthread_mutex_unlock(&assimp_lock);
    return scene;
}

static bool has_ending(const char *path, const char *ending)
{
    const char *dot = strrchr(path, '.');
    return dot && !strcasecmp(dot + 1, ending);
}

/* ---- meshes ---- */

static uint32_t color_byte(float c, bool is_linear)
{
    double x = c > 0 ? fmin((double)c, 1) : 0;
    if (is_linear) x = x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055;
    return (uint32_t)(x * 255 + 0.5);
}

static uint32_t pack_color(const struct aiColor4D *c, bool is_linear)
{
    return color_byte(c->r, is_linear) | color_byte(c->g, is_linear) << 8 | color_byte(c->b, is_linear) << 16 | 255u << 24;
}

static vec3 from_ai(const struct aiVector3D *v) { return v3((double)v->x, (double)v->y, (double)v->z); }

static void add_vertices(importer *in, const struct aiMesh *mesh, const mr_affine *to_world, const mr_affine *inverse)
{
    for (unsigned i = 0; i < mesh->mNumVertices; i++) {
        vec3 n = mesh->mNormals ? mr_affine_normal(inverse, from_ai(&mesh->mNormals[i])) : v3(0, 0, 0);
        const struct aiVector3D *uv = mesh->mTextureCoords[0] ? &mesh->mTextureCoords[0][i] : NULL;
        uint32_t index = mr_model_vertex(in->model, mr_affine_point(to_world, from_ai(&mesh->mVertices[i])), n, uv ? (double)uv->x : 0, uv ? (double)uv->y : 0);
        if (mesh->mColors[0]) in->model->vertices[index].color = pack_color(&mesh->mColors[0][i], in->linear_colors);
    }
}

static int add_faces(importer *in, const struct aiMesh *mesh, uint32_t first, bool mirrored)
{
    for (unsigned i = 0; i < mesh->mNumFaces; i++) {
        const struct aiFace *face = &mesh->mFaces[i];
        if (face->mNumIndices != 3) continue;
        for (unsigned k = 0; k < 3; k++)
            if (face->mIndices[k] >= mesh->mNumVertices)
                return mr_fail(in->err, MR_BAD_INPUT, "%s: triangle %u: found vertex %u, expected 0..%u", in->path, i, face->mIndices[k], mesh->mNumVertices - 1);
        mr_model_triangle(in->model, first + face->mIndices[0], first + face->mIndices[mirrored ? 2 : 1], first + face->mIndices[mirrored ? 1 : 2]);
        in->model->triangles[in->model->triangle_count - 1].material = mesh->mMaterialIndex < in->model->material_count ? mesh->mMaterialIndex : MR_NONE;
    }
    return MR_OK;
}

static int add_mesh(importer *in, const struct aiMesh *mesh, const mr_affine *to_world)
{
    mr_affine inverse;
    uint32_t first = in->model->vertex_count;
    if (!mesh->mVertices || !mr_affine_invert(&inverse, to_world)) return MR_OK; /* scaled to nothing: hidden */
    int status = mr_model_reserve(in->model, mesh->mNumVertices, mesh->mNumFaces, in->path, in->err);
    if (status) return status;
    if (!mesh->mNormals) in->has_normals = false;
    add_vertices(in, mesh, to_world, &inverse);
    return add_faces(in, mesh, first, mr_affine_det(to_world) < 0);
}

static mr_affine node_transform(const struct aiNode *node, const mr_affine *parent)
{
    const struct aiMatrix4x4 *m = &node->mTransformation;
    mr_affine own = {{(double)m->a1, (double)m->a2, (double)m->a3, (double)m->a4, (double)m->b1, (double)m->b2, (double)m->b3, (double)m->b4,
                      (double)m->c1, (double)m->c2, (double)m->c3, (double)m->c4}};
    return mr_affine_mul(parent, &own);
}

/* Depth and number of nodes are bounded: a small file can describe a huge tree. */
static int add_node(importer *in, const struct aiNode *node, const mr_affine *parent, int depth)
{
    mr_affine to_world = node_transform(node, parent);
    int status = MR_OK;
    if (depth > MR_SCENE_MAX_NODE_DEPTH || ++in->nodes > MR_SCENE_MAX_NODES)
        return mr_fail(in->err, MR_BAD_INPUT, "%s: found a hierarchy too deep or too large, expected at most %d levels and %d nodes", in->path,
                       MR_SCENE_MAX_NODE_DEPTH, MR_SCENE_MAX_NODES);
    for (unsigned i = 0; i < node->mNumMeshes && !status; i++)
        if (node->mMeshes[i] < in->scene->mNumMeshes) status = add_mesh(in, in->scene->mMeshes[node->mMeshes[i]], &to_world);
    for (unsigned i = 0; i < node->mNumChildren && !status; i++) status = add_node(in, node->mChildren[i], &to_world, depth + 1);
    return status;
}

static bool has_vertex_colors(const struct aiScene *scene, unsigned material)
{
    for (unsigned i = 0; i < scene->mNumMeshes; i++)
        if (scene->mMeshes[i]->mMaterialIndex == material && scene->mMeshes[i]->mColors[0]) return true;
    return false;
}

static int add_materials(importer *in)
{
    int status = mr_import_materials(in->model, in->scene, in->path, in->alone, in->err);
    for (uint32_t i = 0; i < in->model->material_count && !status; i++)
        if (has_vertex_colors(in->scene, i)) in->model->materials[i].flags |= MR_MATERIAL_VERTEX_COLOR;
    return status;
}

/* Files without an index list give three vertices a triangle: join them, so that smoothing and memory are as they should be. */
static int finish(importer *in)
{
    int status = mr_model_finish(in->model, in->path, in->err);
    if (!status && (uint64_t)in->model->vertex_count >= (uint64_t)in->model->triangle_count * 2) status = mr_model_weld(in->model, in->err);
    if (!status && !in->has_normals) status = mr_model_smooth(in->model, in->err);
    return status;
}

static int import_foreign(mr_model *model, const char *path, bool alone, mr_error *err)
{
    mr_affine one = mr_affine_identity();
    importer in = {.model = model, .path = path, .err = err, .has_normals = true, .alone = alone, .linear_colors = has_ending(path, "gltf") || has_ending(path, "glb")};
    in.scene = open_scene(path, alone, err);
    if (!in.scene) return MR_BAD_INPUT;
    int status = add_materials(&in);
    if (!status && in.scene->mRootNode) status = add_node(&in, in.scene->mRootNode, &one, 0);
    aiReleaseImport(in.scene);
    return status ? status : finish(&in);
}

int mr_model_import_foreign(mr_model *model, const char *path, mr_error *err) { return import_foreign(model, path, false, err); }
int mr_model_import_alone(mr_model *model, const char *path, mr_error *err) { return import_foreign(model, path, true, err); }

/* The formats we mean to take and test: assimp itself would look into any file with any of some forty importers. */
static int check_format(const char *path, mr_error *err)
{
    static const char *const endings[] = {"gltf", "glb", "obj", "stl", "off", "3ds", "dae", "fbx"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (has_ending(path, endings[i])) return MR_OK;
    return mr_fail(err, MR_BAD_INPUT, "%s: not a model file that can be read: expected .ply, .gltf, .glb, .obj, .stl, .off, .3ds, .dae or .fbx", path);
}

int mr_model_import(mr_model *model, const char *path, int (*import)(mr_model *model, const char *path, mr_error *err), mr_error *err)
{
    int status = check_file(path, err);
    if (status) return status;
    if (!has_ending(path, "ply")) {
        status = check_format(path, err);
        return status ? status : (import ? import : mr_model_import_foreign)(model, path, err);
    }
    importer in = {.model = model, .path = path, .err = err, .has_normals = true};
    status = mr_ply_read(model, path, &in.has_normals, err);
    return status ? status : finish(&in);
}
