/* A bare model file: framed by a three-quarter camera, lit by a sun over the photographer's shoulder and a clear sky, standing on a matte ground. */
#include <string.h>

#include "tracer/scene/build.h"

static const double FOV_DEG = 35;
static const double MARGIN = 1.15;          /* air around the model's bounding box in the picture */
static const double GROUND_RADII = 60;      /* half side of the ground in radii of the model: beyond it the sky's own ground goes on */
static const vec3 VIEW = {0.62, 0.34, 1.0}; /* from the model towards the camera */

typedef struct framing {
    vec3 center;
    double radius;
} framing;

static framing frame_of(const mr_model *model)
{
    vec3 lo = v3_fromf(model->lo), hi = v3_fromf(model->hi);
    double radius = v3_length(v3_sub(hi, lo)) / 2;
    return (framing){v3_scale(v3_add(lo, hi), 0.5), fmax(radius, 1e-6)};
}

/* The least distance from the centre at which all corners of the box lie within the picture. tangents: of half the angles of view. */
static double distance_for(const mr_model *model, const mr_settings *s, framing f, double tangent_x, double tangent_y)
{
    double most = 0;
    for (unsigned corner = 0; corner < 8; corner++) {
        vec3 p = v3((double)(corner & 1 ? model->hi : model->lo)[0], (double)(corner & 2 ? model->hi : model->lo)[1], (double)(corner & 4 ? model->hi : model->lo)[2]);
        vec3 d = v3_sub(p, f.center);
        double x = fabs(v3_dot(d, v3_fromf(s->u))), y = fabs(v3_dot(d, v3_fromf(s->v))), towards = v3_dot(d, v3_fromf(s->w));
        most = fmax(most, towards + MARGIN * fmax(x / tangent_x, y / tangent_y));
    }
    return fmax(most, f.radius * 1.01);
}

static void set_camera(mr_settings *s, const mr_model *model, framing f)
{
    double tangent = tan(FOV_DEG / 2 * MR_RAD_PER_DEG);
    (void)mr_settings_look(s, v3_add(f.center, VIEW), f.center, v3(0, 1, 0));
    double distance = distance_for(model, s, f, tangent, tangent * s->height / s->width);
    (void)mr_settings_look(s, v3_add(f.center, v3_scale(v3_unit(VIEW), distance)), f.center, v3(0, 1, 0));
    s->fov_x_rad = (float)(FOV_DEG * MR_RAD_PER_DEG);
    s->focus_distance = (float)distance;
    s->exposure = 1.4f;
}

static void set_lights(mr_desc_light lights[2])
{
    vec3 sun = v3_unit(v3(-0.35, 0.75, 0.8));
    lights[0] = (mr_desc_light){.kind = MR_DESC_SUN, .direction = sun, .from_sky = true, .irradiance = {0.8, 0.8, 0.8}, .angular_radius_rad = 1.5 * MR_RAD_PER_DEG};
    lights[1] = (mr_desc_light){.kind = MR_DESC_SKY, .direction = sun, .turbidity = 2, .intensity = 1, .ground = {0.35, 0.35, 0.35}};
}

/* A quad just below the lowest point, seen from above. */
static void set_ground(mr_desc_mesh *mesh, const mr_model *model, framing f)
{
    double y = (double)model->lo[1] - 0.002 * f.radius, r = GROUND_RADII * f.radius;
    const double points[12] = {f.center.x - r, y, f.center.z + r, f.center.x + r, y, f.center.z + r,
                               f.center.x + r, y, f.center.z - r, f.center.x - r, y, f.center.z - r};
    *mesh = (mr_desc_mesh){.name = "ground", .kind = MR_DESC_QUAD, .material = 0};
    memcpy(mesh->numbers, points, sizeof points);
}

static void set_ground_material(mr_desc_material *material)
{
    *material = (mr_desc_material){.name = "ground", .m = mr_material_default()};
    for (size_t c = 0; c < 3; c++) material->m.base_color[c] = 0.35f;
    material->m.roughness = 0.9f;
}

static mr_desc_object place(uint32_t mesh) { return (mr_desc_object){.mesh = mesh, .material = MR_NONE, .tint = {1, 1, 1}, .to_world = mr_affine_identity()}; }

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int compile_around(mr_pack *out, mr_model *model, const char *path, const mr_scene_options *options, mr_error *err)
{
    framing f = frame_of(model);
    mr_desc_material material;
    mr_desc_light lights[2];
    mr_desc_mesh meshes[2] = {{.name = "", .path = path, .kind = MR_DESC_FILE, .material = MR_NONE, .loaded = model}};
    mr_desc_object objects[2] = {place(0), place(1)};
    mr_description desc = {.file = path, .settings = mr_settings_default(file_name(path)), .materials = &material, .material_count = 1, .meshes = meshes,
                           .mesh_count = 2, .objects = objects, .object_count = 2, .lights = lights, .light_count = 2};
    set_camera(&desc.settings, model, f);
    set_lights(lights);
    set_ground(&meshes[1], model, f);
    set_ground_material(&material);
    return mr_scene_compile(out, &desc, options, err);
}

int mr_scene_auto(mr_pack *out, const char *path, const mr_scene_options *options, mr_error *err)
{
    mr_model model = {0};
    int status = mr_model_import(&model, path, options->import, err);
    if (!status) status = compile_around(out, &model, path, options, err);
    mr_model_free(&model);
    return status;
}
