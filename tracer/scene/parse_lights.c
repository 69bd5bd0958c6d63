/* scene.json: lights (emissive surfaces are materials, not lights). */
#include "tracer/scene/parse.h"

enum { MAX_LIGHTS = 1024 };

static const double SUN_DIAMETER_DEG = 0.53; /* as seen from the Earth */

/* Elevation above the horizon; azimuth clockwise seen from above, 0 is -z and 90 is +x. */
static vec3 direction_of(double elevation_deg, double azimuth_deg)
{
    double e = elevation_deg * MR_RAD_PER_DEG, a = azimuth_deg * MR_RAD_PER_DEG;
    return v3(cos(e) * sin(a), sin(e), -cos(e) * cos(a));
}

/* A direction as a vector or as two angles. */
static vec3 parse_direction(mr_reader *reader, const mr_node *light, const char *vector, const char *elevation, const char *azimuth)
{
    double v[3] = {0, 0, 0};
    bool has_vector = mr_read_numbers(reader, light, vector, v, 3, -1e9, 1e9);
    mr_node e = mr_reader_child(reader, light, elevation), a = mr_reader_child(reader, light, azimuth), d = mr_reader_child(reader, light, vector);
    if (has_vector && (e.json || a.json)) (void)mr_reader_complain(reader, light, "found %s and angles, expected one of them", vector);
    if (!has_vector && !e.json) (void)mr_reader_fail(reader, &d, "a vector towards the sun (or %s and %s)", elevation, azimuth);
    double elevation_deg = mr_read_number(reader, light, elevation, 0, -90, 90), azimuth_deg = mr_read_number(reader, light, azimuth, 0, -360, 360);
    vec3 direction = has_vector ? v3_unit(v3_from(v)) : direction_of(elevation_deg, azimuth_deg);
    if (!(v3_length(direction) > 0.5)) (void)mr_reader_fail(reader, &d, "a vector that is not zero");
    return direction;
}

/* [r, g, b] or one number for all three. */
static bool parse_power(mr_reader *reader, const mr_node *light, const char *key, double out[3], double most)
{
    mr_node node = mr_reader_child(reader, light, key);
    if (mr_read_is_number(&node)) out[0] = out[1] = out[2] = mr_read_number(reader, light, key, 0, 0, most);
    else (void)mr_read_numbers(reader, light, key, out, 3, 0, most);
    return node.json != NULL;
}

static void parse_sun(mr_parse *parse, const mr_node *node, mr_desc_light *light)
{
    static const char *const keys[] = {"type", "direction", "elevation_deg", "azimuth_deg", "irradiance", "color", "angular_diameter_deg", NULL};
    mr_reader *reader = &parse->reader;
    double color[3] = {1, 1, 1};
    mr_reader_keys(reader, node, keys);
    light->direction = parse_direction(reader, node, "direction", "elevation_deg", "azimuth_deg");
    light->irradiance[0] = light->irradiance[1] = light->irradiance[2] = 1;
    light->from_sky = !parse_power(reader, node, "irradiance", light->irradiance, 1000);
    (void)mr_read_color(reader, node, "color", color, 1000);
    for (size_t c = 0; c < 3; c++) light->irradiance[c] = fmin(light->irradiance[c] * color[c], 1000);
    light->angular_radius_rad = mr_read_number(reader, node, "angular_diameter_deg", SUN_DIAMETER_DEG, 0.1, 90) / 2 * MR_RAD_PER_DEG;
}

static void parse_sky(mr_parse *parse, const mr_node *node, mr_desc_light *light)
{
    static const char *const keys[] = {"type", "sun_direction", "sun_elevation_deg", "sun_azimuth_deg", "turbidity", "intensity", "ground", NULL};
    mr_reader *reader = &parse->reader;
    mr_reader_keys(reader, node, keys);
    light->direction = parse_direction(reader, node, "sun_direction", "sun_elevation_deg", "sun_azimuth_deg");
    light->turbidity = mr_read_number(reader, node, "turbidity", 2, 1, 10);
    light->intensity = mr_read_number(reader, node, "intensity", 1, 0, 1000);
    light->ground[0] = light->ground[1] = light->ground[2] = 0.2;
    (void)mr_read_color(reader, node, "ground", light->ground, 1);
}

static void parse_environment(mr_parse *parse, const mr_node *node, mr_desc_light *light)
{
    static const char *const keys[] = {"type", "file", "intensity", "rotate_deg", NULL};
    mr_reader *reader = &parse->reader;
    mr_reader_keys(reader, node, keys);
    mr_read_need(reader, node, "file", "the path of an HDR, PNG or JPEG image");
    light->path = mr_parse_path(parse, node);
    light->intensity = mr_read_number(reader, node, "intensity", 1, 0, 1000);
    light->rotate_deg = mr_read_number(reader, node, "rotate_deg", 0, -360, 360);
}

static void parse_constant(mr_parse *parse, const mr_node *node, mr_desc_light *light)
{
    static const char *const keys[] = {"type", "radiance", NULL};
    mr_reader_keys(&parse->reader, node, keys);
    mr_read_need(&parse->reader, node, "radiance", "a colour: [r, g, b] of linear numbers or \"#rrggbb\"");
    light->intensity = 1;
    (void)mr_read_color(&parse->reader, node, "radiance", light->radiance, 1e6);
}

static void parse_light(mr_parse *parse, const mr_node *node, mr_desc_light *light)
{
    static const char *const types[] = {"sun", "sky", "environment", "constant", NULL}; /* enum mr_desc_light_kind */
    static void (*const parsers[])(mr_parse *, const mr_node *, mr_desc_light *) = {parse_sun, parse_sky, parse_environment, parse_constant};
    mr_reader *reader = &parse->reader;
    mr_reader_keys(reader, node, (const char *const[]){"type", "direction", "elevation_deg", "azimuth_deg", "irradiance", "color", "angular_diameter_deg",
                                                       "sun_direction", "sun_elevation_deg", "sun_azimuth_deg", "turbidity", "intensity", "ground", "file",
                                                       "rotate_deg", "radiance", NULL});
    mr_read_need(reader, node, "type", "one of \"sun\", \"sky\", \"environment\", \"constant\"");
    light->kind = mr_read_choice(reader, node, "type", types, MR_DESC_SUN);
    if (!reader->status) parsers[light->kind](parse, node, light);
}

void mr_parse_lights(mr_parse *parse, const mr_node *root)
{
    mr_reader *reader = &parse->reader;
    mr_node list = mr_reader_child(reader, root, "lights"), item = {0};
    mr_description *out = parse->out;
    if (!list.json) return;
    if (!mr_read_is_list(&list) || mr_reader_count(reader, &list) > MAX_LIGHTS) (void)mr_reader_fail(reader, &list, "a list of at most %d lights", MAX_LIGHTS);
    out->lights = mr_parse_array(parse, mr_reader_count(reader, &list), sizeof *out->lights);
    bool has_surroundings = false;
    while (mr_reader_next(reader, &list, &item)) {
        mr_desc_light *light = &out->lights[out->light_count++];
        parse_light(parse, &item, light);
        if (light->kind == MR_DESC_SUN) continue;
        if (has_surroundings) (void)mr_reader_complain(reader, &item, "found a second light of the surroundings, expected one sky, environment or constant at most");
        has_surroundings = true;
    }
}
