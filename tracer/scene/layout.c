/* Puts triangles, instances and materials into the pack's order and has the trees built.
 *
 * An object becomes part of the world (its triangles transformed once, here) when its mesh is used once or when it emits; otherwise an instance, so that a mesh
 * is stored once however often it is used. Objects whose shadows are transparent are instances too, since it is instances that shadow rays can
 * pass. Spheres are always instances. A tint is a field of an instance; for the world it is multiplied into a copy of the material. */
#include <stdlib.h>
#include <string.h>

#include "tracer/scene/build.h"
#include "tracer/scene/limits.h"

enum { TINT_WINDOW = 64 }; /* how many tinted copies are looked through for an equal one */

static int no_memory(const mr_build *build) { return mr_fail(build->err, MR_FAILED, "%s: no memory for the scene", build->desc->file); }

double mr_emission_luminance(const mr_material *m) { return mr_luminance3f(m->emission); }

/* ---- materials ---- */

/* The description's, then each mesh's own, then the default, then tinted copies. */
static int gather_materials(mr_build *build)
{
    const mr_description *desc = build->desc;
    size_t total = (size_t)desc->material_count + 1;
    build->first_material = calloc(desc->mesh_count + 1, sizeof *build->first_material);
    if (!build->first_material) return no_memory(build);
    for (uint32_t i = 0; i < desc->mesh_count; i++) {
        build->first_material[i] = (uint32_t)total - 1;
        total += build->models[i].material_count;
        if (total > MR_SCENE_MAX_MATERIALS) return mr_fail(build->err, MR_BAD_INPUT, "%s: found too many materials, expected at most %d", desc->file, MR_SCENE_MAX_MATERIALS);
    }
    build->materials = calloc(total, sizeof *build->materials);
    if (!build->materials) return no_memory(build);
    build->material_room = (uint32_t)total;
    for (uint32_t i = 0; i < desc->material_count; i++) build->materials[build->material_count++] = desc->materials[i].m;
    for (uint32_t i = 0; i < desc->mesh_count; i++)
        for (uint32_t k = 0; k < build->models[i].material_count; k++) build->materials[build->material_count++] = build->models[i].materials[k];
    build->materials[build->material_count++] = mr_material_default();
    return MR_OK;
}

static uint32_t default_material(const mr_build *build) { return build->material_room - 1; }

/* The material of a triangle when no object overrides it. */
static uint32_t mesh_material(const mr_build *build, uint32_t mesh, const mr_triangle *t)
{
    if (build->desc->meshes[mesh].material != MR_NONE) return build->desc->meshes[mesh].material;
    if (t->material != MR_NONE) return build->first_material[mesh] + t->material;
    return default_material(build);
}

static bool has_tint(const mr_desc_object *object) { return object->tint[0] != 1 || object->tint[1] != 1 || object->tint[2] != 1; }

/* A copy of the material with the tint multiplied in; equal ones among the last few copies are shared. */
static int tinted_material(mr_build *build, uint32_t *index, const float tint[3])
{
    mr_material m = build->materials[*index];
    for (size_t c = 0; c < 3; c++) m.base_color[c] *= tint[c];
    uint32_t first = default_material(build) + 1;
    if (build->material_count > first + TINT_WINDOW) first = build->material_count - TINT_WINDOW;
    for (uint32_t i = first; i < build->material_count; i++)
        if (!memcmp(&build->materials[i], &m, sizeof m)) {
            *index = i;
            return MR_OK;
        }
    if (build->material_count >= MR_SCENE_MAX_MATERIALS) return mr_fail(build->err, MR_BAD_INPUT, "%s: found too many tinted materials, expected at most %d", build->desc->file, MR_SCENE_MAX_MATERIALS);
    mr_material *more = realloc(build->materials, ((size_t)build->material_count + 1) * sizeof *more);
    if (!more) return no_memory(build);
    build->materials = more;
    build->materials[build->material_count] = m;
    *index = build->material_count++;
    return MR_OK;
}

/* ---- which object goes where ---- */

static bool emits(const mr_build *build, const mr_desc_object *object)
{
    const mr_model *model = &build->models[object->mesh];
    uint32_t last = MR_NONE;
    if (object->material != MR_NONE) return mr_emission_luminance(&build->materials[object->material]) > 0;
    for (uint32_t i = 0; i < model->triangle_count; i++) {
        uint32_t material = mesh_material(build, object->mesh, &model->triangles[i]);
        if (material != last && mr_emission_luminance(&build->materials[material]) > 0) return true;
        last = material;
    }
    return false;
}

static bool shadows_pass(const mr_build *build, const mr_desc_object *object)
{
    uint32_t material = object->material != MR_NONE ? object->material : build->desc->meshes[object->mesh].material;
    return material != MR_NONE && build->materials[material].flags & MR_MATERIAL_TRANSPARENT_SHADOW;
}

static uint32_t choose_use(const mr_build *build, const mr_desc_object *object, uint32_t users)
{
    if (build->desc->meshes[object->mesh].kind == MR_DESC_SPHERE) return MR_USE_SPHERE;
    if (emits(build, object)) return MR_USE_WORLD;
    return shadows_pass(build, object) || users > 1 ? MR_USE_INSTANCE : MR_USE_WORLD;
}

/* The lists of instances are threaded backwards, so that each is in the objects' order. users: how many objects each mesh has. */
static void fill_uses(mr_build *build, uint32_t *users)
{
    const mr_description *desc = build->desc;
    for (uint32_t m = 0; m < desc->mesh_count; m++) build->first_user[m] = MR_NONE;
    for (uint32_t i = 0; i < desc->object_count; i++) users[desc->objects[i].mesh]++;
    for (uint32_t i = desc->object_count; i-- > 0;) {
        uint32_t mesh = desc->objects[i].mesh;
        build->use[i] = choose_use(build, &desc->objects[i], users[mesh]);
        if (build->use[i] != MR_USE_INSTANCE) continue;
        build->next_user[i] = build->first_user[mesh];
        build->first_user[mesh] = i;
    }
}

static int choose_uses(mr_build *build)
{
    const mr_description *desc = build->desc;
    uint32_t *users = calloc(desc->mesh_count + 1, sizeof *users);
    build->use = calloc(desc->object_count + 1, sizeof *build->use);
    build->next_user = calloc(desc->object_count + 1, sizeof *build->next_user);
    build->first_user = calloc(desc->mesh_count + 1, sizeof *build->first_user);
    bool fine = users && build->use && build->next_user && build->first_user;
    if (fine) fill_uses(build, users);
    free(users);
    return fine ? MR_OK : no_memory(build);
}

static bool is_instanced(const mr_build *build, uint32_t mesh) { return build->first_user[mesh] != MR_NONE; }

/* Exact sizes of all arrays, so that each is allocated once. */
static int allocate(mr_build *build)
{
    const mr_description *desc = build->desc;
    uint64_t triangles = 0, vertices = 0, instances = 1;
    for (uint32_t i = 0; i < desc->object_count; i++) {
        const mr_model *model = &build->models[desc->objects[i].mesh];
        instances += build->use[i] != MR_USE_WORLD;
        triangles += build->use[i] == MR_USE_WORLD ? model->triangle_count : 0;
        vertices += build->use[i] == MR_USE_WORLD ? model->vertex_count : 0;
    }
    for (uint32_t m = 0; m < desc->mesh_count; m++) {
        if (!is_instanced(build, m)) continue;
        triangles += build->models[m].triangle_count;
        vertices += build->models[m].vertex_count;
    }
    if (triangles > MR_SCENE_MAX_TRIANGLES || vertices > (uint64_t)MR_SCENE_MAX_TRIANGLES * 3 || instances > MR_SCENE_MAX_INSTANCES)
        return mr_fail(build->err, MR_BAD_INPUT, "%s: found %llu triangles and %llu instances, expected at most %d and %d", desc->file,
                       (unsigned long long)triangles, (unsigned long long)instances, MR_SCENE_MAX_TRIANGLES, MR_SCENE_MAX_INSTANCES);
    build->vertices = malloc((size_t)vertices * sizeof *build->vertices + 1);
    build->triangles = malloc((size_t)triangles * sizeof *build->triangles + 1);
    build->instances = calloc((size_t)instances, sizeof *build->instances);
    build->mesh_bounds = calloc((size_t)instances, sizeof *build->mesh_bounds);
    return build->vertices && build->triangles && build->instances && build->mesh_bounds ? MR_OK : no_memory(build);
}

/* ---- triangles ---- */

static const char *object_name(const mr_desc_object *object) { return object->name ? object->name : "an object without a name"; }

/* One vertex through the transform; false beyond the limits. */
static bool place_vertex(const mr_affine *to_world, const mr_affine *inverse, const mr_vertex *from, mr_vertex *to)
{
    vec3 p = mr_affine_point(to_world, v3_fromf(from->p));
    *to = *from;
    v3_store(to->p, p);
    v3_store(to->n, v3_unit(mr_affine_normal(inverse, v3_fromf(from->n))));
    return fabs(p.x) <= (double)MR_MAX_COORDINATE && fabs(p.y) <= (double)MR_MAX_COORDINATE && fabs(p.z) <= (double)MR_MAX_COORDINATE;
}

static int place_vertices(mr_build *build, const mr_desc_object *object)
{
    const mr_model *model = &build->models[object->mesh];
    mr_affine inverse = mr_affine_identity();
    (void)mr_affine_invert(&inverse, &object->to_world);
    for (uint32_t i = 0; i < model->vertex_count; i++)
        if (!place_vertex(&object->to_world, &inverse, &model->vertices[i], &build->vertices[build->vertex_count + i]))
            return mr_fail(build->err, MR_BAD_INPUT, "%s: objects: %.100s: found a vertex beyond %g m, expected a smaller scene", build->desc->file,
                           object_name(object), (double)MR_MAX_COORDINATE);
    return MR_OK;
}

/* The world's copy of an object. A mirroring transform turns the winding, so that the outside stays outside. */
static int add_world_object(mr_build *build, const mr_desc_object *object)
{
    const mr_model *model = &build->models[object->mesh];
    bool mirrored = mr_affine_det(&object->to_world) < 0, tinted = has_tint(object);
    uint32_t last_from = MR_NONE, last_to = MR_NONE;
    int status = place_vertices(build, object);
    for (uint32_t i = 0; i < model->triangle_count && !status; i++) {
        const mr_triangle *t = &model->triangles[i];
        uint32_t material = object->material != MR_NONE ? object->material : mesh_material(build, object->mesh, t), first = build->vertex_count;
        if (material != last_from) {
            last_from = last_to = material;
            if (tinted) status = tinted_material(build, &last_to, object->tint);
        }
        build->triangles[build->triangle_count++] =
            (mr_triangle){{first + t->v[0], first + t->v[mirrored ? 2 : 1], first + t->v[mirrored ? 1 : 2]}, last_to};
    }
    build->vertex_count += model->vertex_count;
    return status;
}

/* Whether an instance of the mesh gives it a material that may have holes. */
static bool instances_have_holes(const mr_build *build, uint32_t mesh)
{
    for (uint32_t i = build->first_user[mesh]; i != MR_NONE; i = build->next_user[i]) {
        uint32_t material = build->desc->objects[i].material;
        if (material != MR_NONE && build->materials[material].alpha_cutoff > 0) return true;
    }
    return false;
}

static int add_mesh(mr_build *build, uint32_t mesh, uint32_t *root, float bounds[6])
{
    const mr_model *model = &build->models[mesh];
    uint32_t first_vertex = build->vertex_count, first = build->triangle_count;
    memcpy(build->vertices + first_vertex, model->vertices, model->vertex_count * sizeof *model->vertices);
    for (uint32_t i = 0; i < model->triangle_count; i++) {
        const uint32_t *v = model->triangles[i].v;
        build->triangles[first + i] = (mr_triangle){{first_vertex + v[0], first_vertex + v[1], first_vertex + v[2]}, mesh_material(build, mesh, &model->triangles[i])};
    }
    build->vertex_count += model->vertex_count;
    build->triangle_count += model->triangle_count;
    mr_bvh_set_holes(build->bvh, build->materials, instances_have_holes(build, mesh));
    return mr_bvh_add_mesh(build->bvh, build->vertices, build->triangles, first, model->triangle_count, root, bounds, build->err);
}

/* ---- instances ---- */

static bool stays_in_reach(const mr_affine *to_world, const float bounds[6])
{
    for (unsigned corner = 0; corner < 8; corner++) {
        vec3 p = mr_affine_point(to_world, v3((double)bounds[corner & 1 ? 3 : 0], (double)bounds[corner & 2 ? 4 : 1], (double)bounds[corner & 4 ? 5 : 2]));
        if (!(fmax(fabs(p.x), fmax(fabs(p.y), fabs(p.z))) <= (double)MR_MAX_COORDINATE)) return false;
    }
    return true;
}

static int add_instance(mr_build *build, const mr_desc_object *object, const mr_affine *to_world, mr_instance instance, const float bounds[6])
{
    mr_affine inverse;
    if (!mr_affine_invert(&inverse, to_world) || !stays_in_reach(to_world, bounds))
        return mr_fail(build->err, MR_BAD_INPUT, "%s: objects: %.100s: found a transform that flattens it or carries it beyond %g m", build->desc->file,
                       object_name(object), (double)MR_MAX_COORDINATE);
    mr_affine_store(instance.to_world, to_world);
    mr_affine_store(instance.to_object, &inverse);
    memcpy(instance.tint, object->tint, sizeof instance.tint);
    memcpy(build->mesh_bounds[build->instance_count], bounds, 6 * sizeof *bounds);
    build->instances[build->instance_count++] = instance;
    return MR_OK;
}

static int add_mesh_instances(mr_build *build, uint32_t mesh)
{
    uint32_t root = 0;
    float bounds[6];
    int status = add_mesh(build, mesh, &root, bounds);
    for (uint32_t i = build->first_user[mesh]; i != MR_NONE && !status; i = build->next_user[i]) {
        const mr_desc_object *object = &build->desc->objects[i];
        mr_instance instance = {.kind = MR_INSTANCE_MESH, .flags = shadows_pass(build, object) ? MR_INSTANCE_NO_SHADOW : 0, .material = object->material,
                                .light = MR_NONE, .bvh_root = root};
        status = add_instance(build, object, &object->to_world, instance, bounds);
    }
    return status;
}

static int add_sphere(mr_build *build, const mr_desc_object *object)
{
    static const float bounds[6] = {-1, -1, -1, 1, 1, 1};
    const mr_desc_mesh *mesh = &build->desc->meshes[object->mesh];
    uint32_t material = object->material != MR_NONE ? object->material : mesh->material != MR_NONE ? mesh->material : default_material(build);
    mr_affine move = mr_affine_translate(v3_from(mesh->numbers)), scale = mr_affine_scale(v3(mesh->numbers[3], mesh->numbers[3], mesh->numbers[3]));
    mr_affine unit = mr_affine_mul(&move, &scale), to_world = mr_affine_mul(&object->to_world, &unit);
    mr_instance instance = {.kind = MR_INSTANCE_SPHERE, .flags = shadows_pass(build, object) ? MR_INSTANCE_NO_SHADOW : 0, .material = material, .light = MR_NONE};
    return add_instance(build, object, &to_world, instance, bounds);
}

static void add_world_instance(mr_build *build)
{
    mr_affine one = mr_affine_identity();
    mr_instance *world = &build->instances[build->instance_count++];
    *world = (mr_instance){.kind = MR_INSTANCE_MESH, .material = MR_NONE, .light = MR_NONE, .tint = {1, 1, 1}};
    mr_affine_store(world->to_world, &one);
    mr_affine_store(world->to_object, &one);
}

static int fill(mr_build *build)
{
    const mr_description *desc = build->desc;
    int status = MR_OK;
    add_world_instance(build);
    for (uint32_t i = 0; i < desc->object_count && !status; i++)
        if (build->use[i] == MR_USE_WORLD) status = add_world_object(build, &desc->objects[i]);
    build->world_triangles = build->triangle_count;
    for (uint32_t m = 0; m < desc->mesh_count && !status; m++)
        if (is_instanced(build, m)) status = add_mesh_instances(build, m);
    for (uint32_t i = 0; i < desc->object_count && !status; i++)
        if (build->use[i] == MR_USE_SPHERE) status = add_sphere(build, &desc->objects[i]);
    return status;
}

/* Bounds of an empty world (nothing but degenerate triangles) are a point. */
static void set_bounds(mr_settings *settings, const float bounds[6])
{
    bool fine = true;
    for (size_t a = 0; a < 3; a++) fine = fine && bounds[a] <= bounds[a + 3];
    for (size_t a = 0; a < 3 && fine; a++) {
        settings->bounds_lo[a] = bounds[a];
        settings->bounds_hi[a] = bounds[a + 3];
    }
}

int mr_build_layout(mr_build *build)
{
    float bounds[6] = {0, 0, 0, 0, 0, 0};
    int status = gather_materials(build);
    if (!status) status = choose_uses(build);
    if (!status) status = allocate(build);
    if (!status) {
        build->bvh = mr_bvh_new(build->options->quality, build->options->threads);
        status = build->bvh ? fill(build) : no_memory(build);
    }
    if (!status) {
        mr_bvh_set_holes(build->bvh, build->materials, false);
        status = mr_bvh_finish(build->bvh, build->vertices, build->triangles, 0, build->world_triangles, build->instances, build->instance_count,
                               (const float(*)[6])build->mesh_bounds, bounds, build->err);
    }
    if (!status) set_bounds(&build->settings, bounds);
    return status;
}
