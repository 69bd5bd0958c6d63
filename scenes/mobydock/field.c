/* The whale's form: a signed distance field of superellipsoids and sweeps under smooth unions, then creases as displacements.
 * Every number that shapes it stands in the tables below. The order of the operations is the order of whale_field(). */
#include "scenes/mobydock/shapes.h"
#include "scenes/mobydock/whale.h"

const v3 WHALE_LO = {-20.8, -5.8, -9.4}, WHALE_HI = {15.0, 11.4, 9.4};

/* ---- body: a big round head, a boxy trunk that carries the load, a raised tail ----------------------------------------- */

static const superellipsoid HEAD = {{7.4, 0.30, 0}, {6.3, 4.75, 5.15}, 2.10};
static const superellipsoid JAW = {{6.2, -1.60, 0}, {6.85, 2.70, 4.75}, 2.25};
static const superellipsoid TRUNK = {{-1.2, -0.35, 0}, {9.4, 4.00, 4.75}, 2.9};
static const superellipsoid HULL = {{-0.6, 1.10, 0}, {13.6, 5.30, 5.60}, 2.0}; /* rounds the trunk's bilges */
/* It swings to starboard and back to port as it rises: a whale at ease, and flukes clear of the load in the picture. */
static const sweep TAIL = {
    .spine = {{-3.4, -0.6, 0}, {-10.0, -1.5, 0.9}, {-15.2, -2.5, 0.2}, {-15.2, 6.1, -2.5}},
    .radius = {3.70, 3.30, 1.30, 1.00},
    .n = {0, 0, 1},
    .flat = 1.18,
};
static const double K_HEAD = 3.4, K_JAW = 3.0, K_TAIL = 2.8, K_HULL = 1.4;

/* The deck: above DECK_Y, aft of DECK_FRONT, body is pared off. The wall to the head leans forward (run over rise); aft of
 * DECK_AFT the deck falls as FALL * distance^2 and crowns across, so that the back runs down into the tail. */
static const double DECK_FRONT = 5.15, DECK_RAKE = 0.95, DECK_AFT = -7.6, DECK_FALL = 0.12, DECK_CROWN = 0.035;
static const double K_DECK = 0.7, K_NAPE = 2.8, K_TRIM = 0.2;

/* ---- limbs ---------------------------------------------------------------------------------------------------------- */

/* Flukes in the frame of the tail's end: u sideways (|z|), v along the tail, w across the blade. They lean aft and are
 * turned towards the camera's side, so that both lobes show from abeam; a turn of 0 is symmetric. */
static const v3 FLUKE_ROOT = {-15.2, 5.3, -2.5};
static const double FLUKE_LEAN = 0.22, FLUKE_TURN = -0.72; /* radians */
static const double FLUKE_SEAM = 0.30;                     /* metres over which the two lobes' seam is rounded */
static const sweep FLUKE = {
    .spine = {{0, -0.50, 0}, {1.7, 0.35, 0.1}, {3.5, 0.60, 0.15}, {4.9, 2.7, -0.5}},
    .radius = {0.95, 2.20, 1.75, 0.42},
    .n = {0, 0, 1},
    .flat = 0.32,
};
static const double K_FLUKE = 1.0;

static const sweep FIN = {
    .spine = {{5.0, -0.7, 3.8}, {4.3, -0.6, 5.3}, {3.4, -0.95, 6.3}, {2.2, -1.75, 7.0}},
    .radius = {0.80, 1.40, 1.25, 0.80},
    .n = {0.1000, 0.8600, 0.5004},
    .flat = 0.36,
};
static const double K_FIN = 0.9;

/* ---- features: metres, placed by x (and height) on the skin --------------------------------------------------------------- */

static const struct {
    double depth, width, from, to; /* a Gaussian crease; it fades in along x between from and to, at the corner of the smile */
} MOUTH = {0.20, 0.15, 7.6, 8.5};

static const struct {
    double axis_y, depth, count; /* seen from the axis, `count` grooves stand at equal angles between keel and line, on each side */
    double aft[2], fore[2], rim[2]; /* where they fade: along x behind, along x under the chin, and by phase towards the line */
} GROOVE = {-0.2, 0.19, 9, {-7.5, 1.5}, {13.4, 10.6}, {1.00, 0.88}};

static const struct {
    double x, hole, hole_depth, rim_at, rim_width, rim_height;
} BLOWHOLE = {7.7, 0.36, 0.40, 0.56, 0.19, 0.08};

/* The eye sits where the line (x, y) meets the skin; its lid is the upper part of an ellipsoid, cut along level + tilt a +
 * curve a^2 over the forward coordinate a. A cut that is lower to the nose reads as anger, lower aft as calm. */
static const struct {
    double x, y, level, tilt, curve, blend, edge;
    superellipsoid shell;
} EYE = {9.55, 0.95, 0.56, 0.13, -0.42, 0.24, 0.14, {{0, 0, 0}, {0.98, 1.08, 0.42}, 2}};

static frame eye;

static double deck(v3 p, double d)
{
    double aft = fmax(DECK_AFT - p.x, 0);
    double front = (p.x - DECK_FRONT - DECK_RAKE * (p.y - DECK_Y)) / sqrt(1 + DECK_RAKE * DECK_RAKE);
    double keep = smax(DECK_Y - DECK_FALL * aft * aft - DECK_CROWN * aft * p.z * p.z - p.y, front, 0.8);
    d = smax(d, -keep, mix(K_DECK, K_NAPE, smoothstep(DECK_Y + 0.1, DECK_Y + 1.2, p.y)));
    d = smin(d, sweep_distance(p, &TAIL), K_TAIL);
    /* The union with the tail swells the deck by a hand's breadth: trimmed flat again under the stack. */
    return smax(d, -smax(smax(DECK_Y + K_TRIM / 6 - p.y, DECK_AFT - 0.9 - p.x, 0.5), front, 0.8), K_TRIM);
}

static double body(v3 p)
{
    double trunk = smax(superellipsoid_distance(p, &TRUNK), superellipsoid_distance(p, &HULL), K_HULL);
    double d = smin(superellipsoid_distance(p, &HEAD), trunk, K_HEAD);
    return deck(p, smin(d, superellipsoid_distance(p, &JAW), K_JAW));
}

static v3 mirrored(v3 p)
{
    return V(p.x, p.y, fabs(p.z));
}

static v3 to_fluke(v3 p)
{
    v3 r = sub(p, FLUKE_ROOT);
    double ct = cos(FLUKE_TURN), st = sin(FLUKE_TURN), cl = cos(FLUKE_LEAN), sl = sin(FLUKE_LEAN);
    v3 q = V(ct * r.x + st * r.z, r.y, ct * r.z - st * r.x);
    return V(sqrt(q.z * q.z + FLUKE_SEAM * FLUKE_SEAM), -sl * q.x + cl * q.y, cl * q.x + sl * q.y);
}

/* Smooth union with a sweep, which costs nothing where the sweep is too far away to matter. */
static double join(double d, v3 p, const sweep *s, double k)
{
    return sweep_bound(p, s) > d + k ? d : smin(d, sweep_distance(p, s), k);
}

/* Height of the mouth's line at x: low in front, rising into the smile's corner. */
static double mouth_y(double x)
{
    double t = clamp((13.4 - x) / 5.3, 0, 1.3);
    return -0.85 - 0.50 * sin(t * 2.3) + 1.15 * t * t * t;
}

static double mouth(v3 p)
{
    double fade = smoothstep(MOUTH.from, MOUTH.to, p.x);
    return fade > 0 ? MOUTH.depth * fade * gauss((p.y - mouth_y(p.x)) / MOUTH.width) : 0;
}

/* The height that the outermost groove follows, a hand under the colour's edge. */
static double groove_line(double x)
{
    return mix(-1.45, -1.60, smoothstep(3, 13, x));
}

/* 0 at the keel, 1 at the groove line. */
static double groove_phase(v3 p)
{
    double y = p.y - GROOVE.axis_y, line = groove_line(p.x) - GROOVE.axis_y, r = hypot(y, p.z) + 1e-9;
    return acos(clamp(-y / r, -1, 1)) / acos(clamp(-line / 4.6, -0.99, 0.99));
}

static double groove_strength(v3 p)
{
    double fade = smoothstep(GROOVE.aft[0], GROOVE.aft[1], p.x) * smoothstep(GROOVE.fore[0], GROOVE.fore[1], p.x);
    if (p.y > -0.4 || fade == 0) return 0;
    return fade * smoothstep(GROOVE.rim[0], GROOVE.rim[1], groove_phase(p));
}

static double grooves(v3 p)
{
    double s = groove_strength(p);
    if (s == 0) return 0;
    double wave = 0.5 + 0.5 * cos(2 * PI * GROOVE.count * groove_phase(p));
    return GROOVE.depth * s * wave * wave * wave;
}

static double blowhole(v3 p)
{
    double x = p.x - BLOWHOLE.x, r = sqrt(x * x / 1.6 + p.z * p.z), h = r / BLOWHOLE.hole;
    if (p.y < 2 || r > 2) return 0;
    return BLOWHOLE.hole_depth * gauss(h * h) - BLOWHOLE.rim_height * gauss((r - BLOWHOLE.rim_at) / BLOWHOLE.rim_width);
}

static double eyelid(v3 m, double d)
{
    v3 q = sub(m, eye.origin);
    if (dot(q, q) > 4) return d;
    double a = dot(q, eye.forward), b = dot(q, eye.up), c = dot(q, eye.out);
    double cut = EYE.level + EYE.tilt * a + EYE.curve * a * a - b;
    return smin(d, smax(superellipsoid_distance(V(a, b, c), &EYE.shell), cut, EYE.edge), EYE.blend);
}

double whale_field(v3 p)
{
    v3 m = mirrored(p);
    double d = body(p);
    if (fabs(d) < 1.5) d += mouth(p) + grooves(m);
    d = join(d, m, &FIN, K_FIN);
    d = join(d, to_fluke(p), &FLUKE, K_FLUKE);
    return eyelid(m, d + blowhole(p));
}

static v3 gradient(double (*f)(v3), v3 p)
{
    static const double H = 0.004; /* well under the narrowest crease, well over rounding */
    v3 g = V(f(V(p.x + H, p.y, p.z)) - f(V(p.x - H, p.y, p.z)), f(V(p.x, p.y + H, p.z)) - f(V(p.x, p.y - H, p.z)),
             f(V(p.x, p.y, p.z + H)) - f(V(p.x, p.y, p.z - H)));
    return mul(g, 0.5 / H);
}

v3 whale_gradient(v3 p)
{
    return gradient(whale_field, p);
}

v3 whale_project(v3 p, double step)
{
    for (int i = 0; i < 3; i++) {
        double d = whale_field(p);
        if (fabs(d) < 1e-4) break;
        v3 g = whale_gradient(p);
        p = madd(p, g, -clamp(d / (dot(g, g) + 1e-9), -step, step));
    }
    return p;
}

void whale_init(void)
{
    v3 p = V(EYE.x, EYE.y, 8);
    for (int i = 0; i < 200; i++) p.z -= 0.8 * body(p);
    eye.origin = p;
    eye.out = unit(gradient(body, p));
    eye.up = unit(sub(V(0, 1, 0), mul(eye.out, eye.out.y)));
    eye.forward = cross(eye.up, eye.out);
}

frame whale_eye(void)
{
    return eye;
}

/* ---- skin: blue above, near white below, a crisp edge between as on a moulded toy ----------------------------------------- */

/* The paint that looks #0db7ed in the scene's warm sun: a little less green than that itself. */
static const unsigned BLUE = 0x0cacee, PALE = 0xf4f9fb, DEEP = 0x0a90d6;
static const double EDGE = 0.035; /* half the width of the colour's edge, metres: two pixels of the poster */

/* Height of the colour's edge over x: the mouth in front, a long calm line down to the tail behind. It leaves the mouth before
 * the smile's corner, which ends in the blue. */
static double belly_line(double x)
{
    static const double CHEEK = -0.50, WAIST = -1.20, STERN = -1.9;
    if (x > 1) return mix(WAIST, smin(mouth_y(x) - 0.05, CHEEK, 0.7), smoothstep(1.5, 8.0, x));
    return mix(WAIST, STERN, smoothstep(-2, -12.0, x));
}

/* How far p lies outside the fin's cuff, where its blue ends on the belly. */
static double fin_cuff(v3 p)
{
    return sweep_bound(p, &FIN) > 1 ? 1 : sweep_distance(p, &FIN) - 0.16;
}

rgb whale_color(v3 p)
{
    double above = p.y - belly_line(p.x), cuff = fin_cuff(mirrored(p));
    double t = smoothstep(-EDGE, EDGE, above), fin = smoothstep(EDGE, -EDGE, cuff);
    rgb blue = rgb_mix(rgb_hex(BLUE), rgb_hex(DEEP), 0.6 * smoothstep(1.5, 5.5, p.y));
    return rgb_mix(rgb_hex(PALE), blue, fmax(t, fin));
}

/* ---- where triangles are worth their price ------------------------------------------------------------------------------ */

static double grade(double fine, double coarse, double near, double far, double distance)
{
    return mix(fine, coarse, smoothstep(near, far, distance));
}

double whale_edge_length(v3 p)
{
    v3 m = mirrored(p);
    double e = p.y < SEA_Y - 1 ? 0.35 : p.x > 5 ? 0.19 : 0.25;
    if (p.y > 4.2 && p.x < -9) e = 0.09; /* flukes */
    double cuff = fin_cuff(m);
    if (cuff < 0.4) e = fmin(grade(0.05, 0.10, 0.05, 0.3, fabs(cuff)), 0.10);
    if (p.x > MOUTH.from - 0.3) e = fmin(e, grade(0.042, e, 0.25, 0.7, fabs(p.y - mouth_y(p.x))));
    if (groove_strength(m) > 0) e = fmin(e, p.y > SEA_Y - 1 ? 0.08 : 0.16);
    if (p.y > SEA_Y - 1) e = fmin(e, grade(0.040, e, 0.06, 0.5, fabs(p.y - belly_line(p.x))));
    e = fmin(e, grade(0.038, e, 1.05, 1.7, length(sub(m, eye.origin))));
    if (p.y > 2) e = fmin(e, grade(0.05, e, 0.9, 1.8, hypot(p.x - BLOWHOLE.x, p.z)));
    return fmin(e, grade(0.10, e, 0.1, 0.5, fabs(p.y - SEA_Y))); /* the water line */
}
