/* A gull that rides along on the topmost container: a second, small distance field. Its frame: x forward, y up, feet at 0;
 * metres, half as large again as a real herring gull so that it reads from forty metres. */
#include "scenes/mobydock/mesher.h"
#include "scenes/mobydock/parts.h"
#include "scenes/mobydock/shapes.h"

static const superellipsoid BODY = {{0.00, 0.46, 0}, {0.40, 0.21, 0.19}, 2.1};
static const superellipsoid HEAD = {{0.33, 0.80, 0}, {0.150, 0.140, 0.130}, 2};
static const superellipsoid WING = {{-0.12, 0.50, 0.165}, {0.42, 0.15, 0.055}, 2};
static const superellipsoid EYE = {{0.405, 0.835, 0.100}, {0.026, 0.026, 0.026}, 2};
static const sweep NECK = {
    .spine = {{0.20, 0.55, 0}, {0.28, 0.62, 0}, {0.31, 0.70, 0}, {0.33, 0.80, 0}},
    .radius = {0.15, 0.13, 0.11, 0.11},
    .n = {0, 0, 1},
    .flat = 0.95,
};
static const sweep TAIL = {
    .spine = {{-0.25, 0.46, 0}, {-0.45, 0.47, 0}, {-0.60, 0.46, 0}, {-0.78, 0.45, 0}},
    .radius = {0.14, 0.13, 0.11, 0.10},
    .n = {0, 1, 0},
    .flat = 0.35,
};
static const sweep BEAK = {
    .spine = {{0.44, 0.79, 0}, {0.54, 0.79, 0}, {0.60, 0.78, 0}, {0.65, 0.745, 0}},
    .radius = {0.055, 0.042, 0.036, 0.020},
    .n = {0, 0, 1},
    .flat = 0.8,
};
static const sweep LEG = {
    .spine = {{0.04, 0.32, 0.09}, {0.04, 0.20, 0.09}, {0.04, 0.10, 0.09}, {0.04, 0.02, 0.09}},
    .radius = {0.035, 0.026, 0.024, 0.024},
    .n = {0, 0, 1},
    .flat = 1,
};
static const superellipsoid FOOT = {{0.10, 0.02, 0.09}, {0.12, 0.022, 0.08}, 2};

enum { WHITE = 0xf6f8f9, GREY = 0xa9b6c2, BLACK = 0x1b2126, YELLOW = 0xf2b01e, ORANGE = 0xe8872a };

static double plumage(v3 p)
{
    double d = smin(superellipsoid_distance(p, &BODY), superellipsoid_distance(p, &HEAD), 0.05);
    return smin(smin(d, sweep_distance(p, &NECK), 0.14), sweep_distance(p, &TAIL), 0.10);
}

static double horn(v3 p)
{
    return sweep_distance(p, &BEAK);
}

static double feet(v3 p)
{
    return fmin(sweep_distance(p, &LEG), superellipsoid_distance(p, &FOOT));
}

static double gull(v3 q)
{
    v3 p = V(q.x, q.y, fabs(q.z));
    double d = smin(plumage(p), superellipsoid_distance(p, &WING), 0.03);
    return fmin(fmin(d, superellipsoid_distance(p, &EYE)), fmin(horn(p), feet(p)));
}

/* The colour of whichever part is nearest; grey wings with black tips. */
static rgb feather(v3 q)
{
    v3 p = V(q.x, q.y, fabs(q.z));
    double white = plumage(p), wing = superellipsoid_distance(p, &WING);
    if (superellipsoid_distance(p, &EYE) < white) return rgb_hex(BLACK);
    if (horn(p) < white) return rgb_hex(YELLOW);
    if (feet(p) < white) return rgb_hex(ORANGE);
    if (wing > white) return rgb_hex(WHITE);
    return rgb_mix(rgb_hex(GREY), rgb_hex(BLACK), smoothstep(-0.34, -0.40, p.x));
}

static v3 slope(v3 p)
{
    static const double H = 0.002;
    return V(gull(V(p.x + H, p.y, p.z)) - gull(V(p.x - H, p.y, p.z)), gull(V(p.x, p.y + H, p.z)) - gull(V(p.x, p.y - H, p.z)),
             gull(V(p.x, p.y, p.z + H)) - gull(V(p.x, p.y, p.z - H)));
}

static void finish(vertex *v)
{
    for (int i = 0; i < 3; i++) v->p = madd(v->p, unit(slope(v->p)), -clamp(gull(v->p), -0.01, 0.01));
    v->n = unit(slope(v->p));
    v->c = feather(v->p);
}

void make_gull(mesh *m)
{
    mesh_surface(m, gull, V(-0.95, -0.08, -0.32), V(0.75, 1.02, 0.32), 0.018);
    mesh_finish(m, finish);
}
