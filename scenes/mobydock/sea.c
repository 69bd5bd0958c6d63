/* The sea: trochoidal waves (Gerstner 1804; see Fournier & Reeves 1986, "A simple model of ocean waves") of many lengths, damped
 * where they reach the hull, with a meniscus and ripple rings that the hull sends out. The mesh is a log-polar grid about the
 * camera's foot, so that cells are of one size in the picture, refined along the hull. */
#include "scenes/mobydock/sea.h"

#include <stddef.h>

#include "scenes/mobydock/mesher.h"
#include "scenes/mobydock/parts.h"
#include "scenes/mobydock/whale.h"

/* The mesh: a fan about the camera's foot. */
static const struct {
    double inner, middle, outer; /* radii, metres: the near edge of the picture, behind the whale, the horizon */
    double step, far_step;       /* of the radius, relative, below and above `middle` */
    double heading, half_width;  /* of the fan that the camera sees, radians: from (1, 0) in (x, z) */
    int columns, coarse_columns; /* in the fan; in the rest of the circle, which only reflections see */
} FAN = {5.0, 75, 6000, 0.009, 0.022, 2.236, 0.56, 132, 36};

/* ---- waves -------------------------------------------------------------------------------------------------------------- */

enum { WAVES = 22 };

static const struct {
    double longest, ratio;  /* lengths: longest * ratio^i, metres */
    double slope;           /* of each, amplitude * 2 pi / length: calm */
    double heading, spread; /* where they run, and how far they stray from it, radians; short ones stray farther */
    double steepness;       /* 0 sine waves, 1 sharp crests */
} WIND = {27.0, 0.80, 0.0185, 2.3, 1.05, 0.75};

static const struct {
    double calm, calm_reach;         /* what is left of the waves at the hull; how far the lee reaches */
    double meniscus, meniscus_reach; /* height and reach of the water that clings to the skin */
    double ring, ring_length, ring_reach;
} HULL_EFFECT = {0.35, 3.0, 0.045, 0.10, 0.020, 0.95, 2.2};

typedef struct wave {
    double kx, kz, amplitude, phase, pull; /* pull: horizontal over vertical motion */
} wave;

static wave waves[WAVES]; /* filled once by sea_init */

static wave wave_of(int i)
{
    double length = WIND.longest * pow(WIND.ratio, i), k = 2 * PI / length, stray = 2 * hash01(101u + (unsigned)i) - 1;
    double heading = WIND.heading + WIND.spread * stray * (0.5 + 0.5 * i / WAVES);
    return (wave){k * cos(heading), k * sin(heading), WIND.slope / k, 2 * PI * hash01(701u + (unsigned)i), WIND.steepness};
}

void sea_init(void)
{
    for (int i = 0; i < WAVES; i++) waves[i] = wave_of(i);
}

double hull_distance(double x, double z)
{
    if (x < WHALE_LO.x - 6 || x > WHALE_HI.x + 6 || fabs(z) > WHALE_HI.z + 6) return 100;
    return whale_field(V(x, SEA_Y, z));
}

static double hull_lift(double d)
{
    double out = fmax(d, 0);
    return HULL_EFFECT.meniscus * exp(-out / HULL_EFFECT.meniscus_reach) +
           HULL_EFFECT.ring * cos(2 * PI * d / HULL_EFFECT.ring_length) * exp(-out / HULL_EFFECT.ring_reach);
}

/* Edge of the mesh's cells at (x, z). */
static double cell_size(double x, double z)
{
    double r = hypot(x - VIEW_X, z - VIEW_Z);
    return r * mix(FAN.step, FAN.far_step, smoothstep(0.7 * FAN.middle, 1.3 * FAN.middle, r));
}

/* A wave is left out where fewer than three cells would carry it: the sea goes smooth towards the horizon. */
static double resolved(const wave *w, double cell)
{
    return smoothstep(2.5, 5, 2 * PI / (hypot(w->kx, w->kz) * cell));
}

v3 sea_point(double x, double z)
{
    double d = hull_distance(x, z), lee = mix(HULL_EFFECT.calm, 1, smoothstep(0, HULL_EFFECT.calm_reach, d)),
           cell = cell_size(x, z);
    v3 p = V(x, SEA_Y + hull_lift(d), z);
    for (int i = 0; i < WAVES; i++) {
        wave w = waves[i];
        double phase = w.kx * x + w.kz * z + w.phase, a = w.amplitude * lee * resolved(&w, cell), k = hypot(w.kx, w.kz),
               pull = w.pull * smoothstep(0, 1, d);
        p = add(p, V(-w.kx / k * a * pull * sin(phase), a * cos(phase), -w.kz / k * a * pull * sin(phase)));
    }
    return p;
}

v3 sea_normal(double x, double z)
{
    static const double H = 0.01;
    return unit(cross(sub(sea_point(x, z + H), sea_point(x, z - H)), sub(sea_point(x + H, z), sea_point(x - H, z))));
}

/* ---- mesh ---------------------------------------------------------------------------------------------------------------- */

static v3 polar(double r, double angle)
{
    return V(VIEW_X + r * cos(angle), 0, VIEW_Z + r * sin(angle));
}

static void sheet(mesh *m, double from, double to, int columns, double stretch)
{
    int base = m->vertices, rings = 0;
    double r = FAN.inner;
    while (r < FAN.outer) {
        for (int i = 0; i <= columns; i++)
            (void)mesh_vertex(m, polar(r, mix(from, to, (double)i / columns)), V(0, 1, 0), rgb_grey(255));
        r *= 1 + stretch * (r < FAN.middle ? FAN.step : FAN.far_step);
        rings++;
    }
    for (int j = 0; j + 1 < rings; j++)
        for (int i = 0; i < columns; i++) {
            int a = base + j * (columns + 1) + i, b = a + columns + 1;
            mesh_triangle(m, a, a + 1, b);
            mesh_triangle(m, a + 1, b + 1, b);
        }
}

/* Fine where the meniscus and the first ring stand, and no finer than the fan elsewhere. */
static double sea_edge_length(v3 p)
{
    double d = hull_distance(p.x, p.z);
    if (d < -0.5 || d > 4) return 1e9;
    return d < 0.3 ? 0.075 : mix(0.12, 0.8, smoothstep(0.3, 4, d));
}

/* Water inside the body is never seen: its triangles are dropped. */
static void drop_inside(mesh *m)
{
    int kept = 0;
    for (int i = 0; i < m->triangles; i++) {
        const int *v = m->t[i].v;
        v3 c = mul(add(add(m->v[v[0]].p, m->v[v[1]].p), m->v[v[2]].p), 1.0 / 3);
        if (hull_distance(c.x, c.z) > -0.6) m->t[kept++] = m->t[i];
    }
    m->triangles = kept;
}

static void float_up(vertex *v)
{
    double x = v->p.x, z = v->p.z;
    v->p = sea_point(x, z);
    v->n = sea_normal(x, z);
}

void make_sea(mesh *m)
{
    sheet(m, FAN.heading - FAN.half_width, FAN.heading + FAN.half_width, FAN.columns, 1);
    sheet(m, FAN.heading + FAN.half_width, FAN.heading - FAN.half_width + 2 * PI, FAN.coarse_columns, 6);
    mesh_refine(m, &(refinement){sea_edge_length, NULL, 5});
    drop_inside(m);
    mesh_finish(m, float_up);
}
