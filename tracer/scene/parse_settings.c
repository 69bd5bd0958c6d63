/* scene.json: camera, film and integrator. */
#include <stdio.h>
#include <string.h>

#include "tracer/render.h"
#include "tracer/scene/parse.h"

static const double FILM_WIDTH_MM = 36; /* of the classic small-picture film, which focal_mm counts on */

mr_settings mr_settings_default(const char *name)
{
    mr_settings s = {.fov_x_rad = (float)(40 * MR_RAD_PER_DEG), .focus_distance = 10, .width = 960, .height = 540, .spp = 64, .max_bounces = 8,
                     .roulette_after = 3, .exposure = 1, .tone_map = MR_TONE_FILMIC, .filter = MR_FILTER_BLACKMAN_HARRIS, .filter_radius = 1.5f};
    (void)snprintf(s.name, sizeof s.name, "%s", name);
    return s;
}

bool mr_settings_look(mr_settings *settings, vec3 position, vec3 target, vec3 up)
{
    vec3 w = v3_unit(v3_sub(position, target)), u = v3_cross(up, w);
    if (!(v3_length(w) > 0.5) || !(v3_length(u) > 1e-6 * v3_length(up))) return false;
    u = v3_unit(u);
    v3_store(settings->position, position);
    v3_store(settings->u, u);
    v3_store(settings->v, v3_cross(w, u));
    v3_store(settings->w, w);
    return true;
}

/* Either fov_deg or focal_mm; the focal length in mm, of a 36 mm wide film, follows from either. */
static double parse_focal_mm(mr_reader *reader, const mr_node *camera, mr_settings *s)
{
    double fov_deg = mr_read_number(reader, camera, "fov_deg", 40, 0.1, 170), focal_mm = mr_read_number(reader, camera, "focal_mm", 0, 1, 100000);
    mr_node fov = mr_reader_child(reader, camera, "fov_deg"), focal = mr_reader_child(reader, camera, "focal_mm");
    if (fov.json && focal.json) (void)mr_reader_complain(reader, camera, "found fov_deg and focal_mm, expected one of them");
    if (!focal.json) focal_mm = FILM_WIDTH_MM / 2 / tan(fov_deg * MR_RAD_PER_DEG / 2);
    s->fov_x_rad = (float)(2 * atan(FILM_WIDTH_MM / 2 / focal_mm));
    return focal_mm;
}

static void parse_lens(mr_reader *reader, const mr_node *camera, mr_settings *s)
{
    double focal_mm = parse_focal_mm(reader, camera, s);
    double f_number = mr_read_number(reader, camera, "f_number", 0, 0.1, 1e6), radius = mr_read_number(reader, camera, "lens_radius", 0, 0, 1000);
    mr_node number = mr_reader_child(reader, camera, "f_number"), focal = mr_reader_child(reader, camera, "focal_mm"),
            lens = mr_reader_child(reader, camera, "lens_radius");
    if (number.json && lens.json) (void)mr_reader_complain(reader, camera, "found f_number and lens_radius, expected one of them");
    if (number.json && !focal.json) (void)mr_reader_complain(reader, camera, "found f_number without focal_mm, expected both");
    s->lens_radius = (float)(number.json ? focal_mm / 1000 / f_number / 2 : radius);
}

/* Focus: a distance along the view, or a point through whose plane it lies; otherwise the target's. */
static void parse_focus(mr_reader *reader, const mr_node *camera, vec3 target, mr_settings *s)
{
    double point[3] = {target.x, target.y, target.z};
    bool has_point = mr_read_numbers(reader, camera, "focus_point", point, 3, -MR_MAX_COORDINATE, MR_MAX_COORDINATE);
    mr_node distance = mr_reader_child(reader, camera, "focus_distance"), at = mr_reader_child(reader, camera, "focus_point");
    if (distance.json && has_point) (void)mr_reader_complain(reader, camera, "found focus_distance and focus_point, expected one of them");
    double along = v3_dot(v3_sub(v3_fromf(s->position), v3_from(point)), v3_fromf(s->w));
    if (!(along >= 1e-6) && !distance.json) (void)mr_reader_fail(reader, &at, "a point in front of the camera");
    s->focus_distance = (float)mr_read_number(reader, camera, "focus_distance", along, 1e-6, 1e9);
}

void mr_parse_camera(mr_parse *parse, const mr_node *root)
{
    static const char *const keys[] = {"position", "target",      "up",             "fov_deg",     "focal_mm",
                                       "f_number", "lens_radius", "focus_distance", "focus_point", NULL};
    mr_reader *reader = &parse->reader;
    mr_settings *s = &parse->out->settings;
    mr_node camera = mr_reader_child(reader, root, "camera");
    mr_reader_keys(reader, &camera, keys);
    double position[3] = {0, 0, 0}, target[3] = {0, 0, -1}, up[3] = {0, 1, 0};
    mr_read_need(reader, &camera, "position", "a list of 3 numbers");
    mr_read_need(reader, &camera, "target", "a list of 3 numbers");
    (void)mr_read_numbers(reader, &camera, "position", position, 3, -MR_MAX_COORDINATE, MR_MAX_COORDINATE);
    (void)mr_read_numbers(reader, &camera, "target", target, 3, -MR_MAX_COORDINATE, MR_MAX_COORDINATE);
    (void)mr_read_numbers(reader, &camera, "up", up, 3, -1e6, 1e6);
    if (reader->status) return;
    if (!mr_settings_look(s, v3_from(position), v3_from(target), v3_from(up)))
        (void)mr_reader_complain(reader, &camera, "found a target at the position, or up along the view, expected a direction to look");
    parse_lens(reader, &camera, s);
    parse_focus(reader, &camera, v3_from(target), s);
}

static void parse_size(mr_reader *reader, const mr_node *film, mr_settings *s)
{
    double size[2] = {s->width, s->height};
    mr_node node = mr_reader_child(reader, film, "size");
    (void)mr_read_numbers(reader, film, "size", size, 2, 1, MR_MAX_SIDE);
    if (size[0] != floor(size[0]) || size[1] != floor(size[1])) (void)mr_reader_fail(reader, &node, "whole numbers of pixels");
    s->width = (uint32_t)size[0];
    s->height = (uint32_t)size[1];
}

void mr_parse_film(mr_parse *parse, const mr_node *root)
{
    static const char *const keys[] = {"size", "spp", "exposure", "tone_map", "filter", "filter_radius", NULL};
    static const char *const tone_maps[] = {"linear", "filmic", "aces", NULL};                       /* enum mr_tone_map */
    static const char *const filters[] = {"box", "tent", "gaussian", "blackman-harris", NULL};       /* enum mr_filter */
    mr_reader *reader = &parse->reader;
    mr_settings *s = &parse->out->settings;
    mr_node film = mr_reader_child(reader, root, "film");
    if (!film.json) return;
    mr_reader_keys(reader, &film, keys);
    parse_size(reader, &film, s);
    s->spp = mr_read_integer(reader, &film, "spp", s->spp, 1, MR_MAX_SPP);
    s->exposure = (float)exp2(mr_read_number(reader, &film, "exposure", 0, -30, 30));
    s->tone_map = mr_read_choice(reader, &film, "tone_map", tone_maps, s->tone_map);
    s->filter = mr_read_choice(reader, &film, "filter", filters, s->filter);
    s->filter_radius = (float)mr_read_number(reader, &film, "filter_radius", (double)s->filter_radius, 0.1, 16);
}

void mr_parse_integrator(mr_parse *parse, const mr_node *root)
{
    static const char *const keys[] = {"max_bounces", "roulette_after", "clamp_indirect", NULL};
    mr_reader *reader = &parse->reader;
    mr_settings *s = &parse->out->settings;
    mr_node integrator = mr_reader_child(reader, root, "integrator");
    if (!integrator.json) return;
    mr_reader_keys(reader, &integrator, keys);
    s->max_bounces = mr_read_integer(reader, &integrator, "max_bounces", s->max_bounces, 0, MR_MAX_BOUNCES);
    s->roulette_after = mr_read_integer(reader, &integrator, "roulette_after", s->roulette_after, 0, MR_MAX_BOUNCES);
    s->clamp_indirect = (float)mr_read_number(reader, &integrator, "clamp_indirect", 0, 0, 1e6);
}
