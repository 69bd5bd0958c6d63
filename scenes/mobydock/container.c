/* A container as a set of parts: chamfered boxes, corrugated sheets, rods. It is not a closed surface, so its material is
 * opaque. Colours are factors of the container's own tint: white on painted steel, darker on fittings, nearly black on
 * gaskets and in the castings' holes. */
#include "scenes/mobydock/container.h"
#include "scenes/mobydock/parts.h"

static const double HL = BOX_LENGTH / 2, HW = BOX_WIDTH / 2, H = BOX_HEIGHT;
static const double POST = 0.17, RAIL = 0.13, SET_BACK = 0.02; /* castings stand proud of posts and rails */
enum { STEEL = 255, CASTING = 222, FITTING = 196, ROD = 208, FLOOR = 110, GASKET = 42, HOLE = 34, LOCK = 60 };

#define SKIN 0.045 /* how far a wall's outer folds lie inside the outer measure */
#define FOLD 0.062 /* depth of the side walls' corrugation */
#define SILL 0.12  /* height of the lower rails */
#define WALL_X (BOX_LENGTH / 2 - 0.17 - 0.02)
#define WALL_Z (BOX_WIDTH / 2 - 0.17 - 0.01)

const wall CONTAINER_WALL[WALL_COUNT] = {
    [WALL_LEFT] =
        {{-WALL_X, SILL, BOX_WIDTH / 2 - SKIN}, {1, 0, 0}, {0, 1, 0}, {0, 0, -1}, 2 * WALL_X, BOX_HEIGHT - 2 * SILL, FOLD, 18},
    [WALL_RIGHT] =
        {{WALL_X, SILL, -BOX_WIDTH / 2 + SKIN}, {-1, 0, 0}, {0, 1, 0}, {0, 0, 1}, 2 * WALL_X, BOX_HEIGHT - 2 * SILL, FOLD, 18},
    [WALL_END] =
        {{-BOX_LENGTH / 2 + SKIN, SILL, -WALL_Z}, {0, 0, 1}, {0, 1, 0}, {1, 0, 0}, 2 * WALL_Z, BOX_HEIGHT - 2 * SILL, FOLD, 7},
};

/* ---- solids ------------------------------------------------------------------------------------------------------------ */

/* A polygon of a convex solid about `center`, turned to face outwards whatever order its corners came in. */
static void outward(mesh *m, v3 center, const v3 *p, int n, rgb c)
{
    v3 back[4], normal = cross(sub(p[1], p[0]), sub(p[2], p[0]));
    for (int i = 0; i < n; i++) back[i] = p[n - 1 - i];
    mesh_polygon(m, dot(normal, sub(p[0], center)) < 0 ? back : p, n, c);
}

/* The corner (sx, sy, sz) of a chamfered box, as the face of axis `axis` has it. */
static v3 corner(v3 center, v3 r, double chamfer, const int s[3], int axis)
{
    double dx = r.x - (axis == 0 ? 0 : chamfer), dy = r.y - (axis == 1 ? 0 : chamfer), dz = r.z - (axis == 2 ? 0 : chamfer);
    return add(center, V(s[0] * dx, s[1] * dy, s[2] * dz));
}

/* The face of axis a and its two chamfers towards axis b, on the side of sign. */
static void box_side(mesh *m, v3 o, v3 r, double chamfer, int a, int sign, rgb c)
{
    int b = (a + 1) % 3, d = (a + 2) % 3, s[3];
    v3 face[4];
    s[a] = sign;
    for (int i = 0; i < 4; i++) {
        s[b] = i == 1 || i == 2 ? 1 : -1, s[d] = i >= 2 ? 1 : -1;
        face[i] = corner(o, r, chamfer, s, a);
    }
    outward(m, o, face, 4, c);
    for (s[b] = -1; s[b] <= 1; s[b] += 2) {
        v3 edge[4];
        for (int i = 0; i < 4; i++) s[d] = i == 1 || i == 2 ? 1 : -1, edge[i] = corner(o, r, chamfer, s, i < 2 ? a : b);
        outward(m, o, edge, 4, c);
    }
}

/* A box between two corners with chamfered edges: 44 triangles. */
static void box(mesh *m, v3 lo, v3 hi, double chamfer, int level)
{
    v3 o = mul(add(lo, hi), 0.5), r = mul(sub(hi, lo), 0.5);
    rgb c = rgb_grey(level);
    for (int a = 0; a < 3; a++)
        for (int sign = -1; sign <= 1; sign += 2) box_side(m, o, r, chamfer, a, sign, c);
    for (int i = 0; i < 8; i++) {
        int s[3] = {i & 1 ? 1 : -1, i & 2 ? 1 : -1, i & 4 ? 1 : -1};
        outward(m, o, (v3[]){corner(o, r, chamfer, s, 0), corner(o, r, chamfer, s, 1), corner(o, r, chamfer, s, 2)}, 3, c);
    }
}

/* The same in all four quarters of the ground plan: |x| and |z| between the given bounds. */
static void box_in_quarters(mesh *m, v3 lo, v3 hi, double chamfer, int level)
{
    for (int i = 0; i < 4; i++) {
        double x0 = i & 1 ? lo.x : -hi.x, x1 = i & 1 ? hi.x : -lo.x, z0 = i & 2 ? lo.z : -hi.z, z1 = i & 2 ? hi.z : -lo.z;
        box(m, V(x0, lo.y, z0), V(x1, hi.y, z1), chamfer, level);
    }
}

/* An upright rod of twelve sides with smooth normals, open at its ends. */
static void rod(mesh *m, double x, double z, double y0, double y1, double radius)
{
    enum { SIDES = 12 };
    int base = m->vertices;
    for (int i = 0; i <= SIDES; i++) {
        v3 n = V(sin(2 * PI * i / SIDES), 0, cos(2 * PI * i / SIDES)), foot = madd(V(x, y0, z), n, radius);
        (void)mesh_vertex(m, foot, n, rgb_grey(ROD));
        (void)mesh_vertex(m, V(foot.x, y1, foot.z), n, rgb_grey(ROD));
    }
    for (int i = 0; i < SIDES; i++) {
        int a = base + 2 * i;
        mesh_triangle(m, a, a + 2, a + 3);
        mesh_triangle(m, a, a + 3, a + 1);
    }
}

/* ---- walls ------------------------------------------------------------------------------------------------------------- */

static const double FOLD_AT[5] = {0, 0.27, 0.50, 0.77, 1}, FOLD_IN[5] = {0, 0, 1, 1, 0}; /* one pitch of the trapezoid */

static double pitch(const wall *w)
{
    return w->length / w->pitches;
}

double wall_inset(const wall *w, double s)
{
    double t = s / pitch(w) - floor(s / pitch(w));
    int k = 0;
    while (k < 3 && t > FOLD_AT[k + 1]) k++;
    return w->depth * mix(FOLD_IN[k], FOLD_IN[k + 1], (t - FOLD_AT[k]) / (FOLD_AT[k + 1] - FOLD_AT[k]));
}

double wall_break(const wall *w, double s)
{
    double period = floor(s / pitch(w) + 1e-9), t = s / pitch(w) - period;
    int k = 1;
    while (k < 4 && FOLD_AT[k] <= t + 1e-6) k++;
    return (period + FOLD_AT[k]) * pitch(w);
}

v3 wall_point(const wall *w, double s, double y, double lift)
{
    return madd(madd(madd(w->origin, w->along, s), w->up, y), w->in, wall_inset(w, s) - lift);
}

static void corrugate(mesh *m, const wall *w)
{
    double s = 0;
    while (s < w->length - 1e-6) {
        double next = wall_break(w, s), end = fmin(next, w->length) - 1e-9;
        mesh_quad(m, wall_point(w, s + 1e-9, 0, 0), wall_point(w, end, 0, 0), wall_point(w, end, w->height, 0),
                  wall_point(w, s + 1e-9, w->height, 0), rgb_grey(STEEL));
        s = next;
    }
}

/* ---- parts ------------------------------------------------------------------------------------------------------------- */

/* The oblong hole of a casting's face, a dark octagon 3 mm proud; axis 0 x, 1 y, 2 z. */
static void hole(mesh *m, v3 c, int axis, int sign)
{
    v3 p[8], inner = c;
    for (int i = 0; i < 8; i++) {
        double t = 2 * PI * (i + 0.5) / 8, a = 0.034 * cos(t), b = 0.054 * sin(t);
        p[i] = add(c, axis == 0 ? V(0, a, b) : axis == 1 ? V(b, 0, a) : V(a, b, 0));
    }
    if (axis == 0)
        inner.x -= sign;
    else if (axis == 1)
        inner.y -= sign;
    else
        inner.z -= sign;
    v3 back[8];
    for (int i = 0; i < 8; i++) back[i] = p[7 - i];
    v3 normal = cross(sub(p[1], p[0]), sub(p[2], p[0]));
    mesh_polygon(m, dot(normal, sub(c, inner)) < 0 ? back : p, 8, rgb_grey(HOLE));
}

/* ISO 1161 castings, 178 x 162 x 118 mm, rounded up a little so that they read at a distance; holes; a twist lock below. */
static void castings(mesh *m)
{
    static const double CX = 0.20, CY = 0.135, CZ = 0.19;
    for (int top = 0; top < 2; top++) {
        double y = top ? H - CY : 0;
        box_in_quarters(m, V(HL - CX, y, HW - CZ), V(HL, y + CY, HW), 0.014, CASTING);
        for (int i = 0; i < 4; i++) {
            int sx = i & 1 ? 1 : -1, sz = i & 2 ? 1 : -1;
            double x = sx * (HL - CX / 2), z = sz * (HW - CZ / 2);
            hole(m, V(sx * (HL + 0.003), y + CY / 2, z), 0, sx);
            hole(m, V(x, y + CY / 2, sz * (HW + 0.003)), 2, sz);
            if (top) hole(m, V(x, H + 0.003, z), 1, 1);
        }
    }
    box_in_quarters(m, V(HL - 0.17, -BOX_GAP, HW - 0.16), V(HL - 0.02, 0, HW - 0.03), 0.006, LOCK);
}

static void frame_members(mesh *m)
{
    double x = HL - SET_BACK, z = HW - SET_BACK, top = H - SET_BACK;
    box_in_quarters(m, V(x - POST, 0.10, z - POST), V(x, H - 0.10, z), 0.018, STEEL);
    for (int s = -1; s <= 1; s += 2) {
        double z0 = s > 0 ? z - RAIL : -z, x0 = s > 0 ? x - RAIL : -x;
        box(m, V(-HL + POST, 0.03, z0), V(HL - POST, 0.18, z0 + RAIL), 0.018, STEEL);
        box(m, V(-HL + POST, top - 0.11, z0), V(HL - POST, top, z0 + RAIL), 0.018, STEEL);
        box(m, V(x0, 0.03, -HW + POST), V(x0 + RAIL, 0.18, HW - POST), 0.018, STEEL);
        box(m, V(x0, top - 0.12, -HW + POST), V(x0 + RAIL, top, HW - POST), 0.018, STEEL);
    }
}

static void sheets(mesh *m)
{
    static const wall ROOF = {{-BOX_LENGTH / 2 + 0.12, BOX_HEIGHT - 0.045, BOX_WIDTH / 2 - 0.1},
                              {1, 0, 0},
                              {0, 0, -1},
                              {0, -1, 0},
                              BOX_LENGTH - 0.24,
                              BOX_WIDTH - 0.2,
                              0.03,
                              17};
    for (int i = 0; i < WALL_COUNT; i++) corrugate(m, &CONTAINER_WALL[i]);
    corrugate(m, &ROOF);
    double x = HL - 0.1, z = HW - 0.1;
    mesh_quad(m, V(-x, 0.06, -z), V(x, 0.06, -z), V(x, 0.06, z), V(-x, 0.06, z), rgb_grey(FLOOR));
}

/* A locking bar with its brackets, cams and handle, at z on the leaf of side s. */
static void locking_bar(mesh *m, int s, double z, double handle_y)
{
    static const double BRACKET_Y[4] = {0.10, 0.62, 1.95, BOX_HEIGHT - 0.09};
    rod(m, HL - 0.022, z, 0.05, H - 0.04, 0.024);
    for (int i = 0; i < 4; i++) {
        double tall = i == 0 || i == 3 ? 0.045 : 0.030;
        box(m, V(HL - 0.10, BRACKET_Y[i] - tall, z - 0.055), V(HL - 0.001, BRACKET_Y[i] + tall, z + 0.055), 0.010, FITTING);
    }
    double z0 = s > 0 ? z - 0.02 : z - 0.36;
    box(m, V(HL - 0.045, handle_y - 0.022, z0), V(HL - 0.012, handle_y + 0.022, z0 + 0.38), 0.008, FITTING);
    double keeper = z + s * 0.30;
    box(m, V(HL - 0.075, handle_y - 0.06, keeper - 0.03), V(HL - 0.030, handle_y + 0.035, keeper + 0.03), 0.008, FITTING);
}

/* One door leaf: a plate, five raised panels, four hinges, two locking bars. */
static void leaf(mesh *m, int s)
{
    static const double LOW = 0.195, HIGH = BOX_HEIGHT - 0.155;
    double plate = HL - DOOR_FACE - 0.028, z0 = s > 0 ? 0.014 : -WALL_Z + 0.002, z1 = s > 0 ? WALL_Z - 0.002 : -0.014;
    box(m, V(plate - 0.05, LOW, z0), V(plate, HIGH, z1), 0.012, 250);
    for (int i = 0; i < 5; i++) {
        double y = LOW + (HIGH - LOW) * (i + 0.5) / 5;
        box(m, V(plate - 0.02, y - 0.155, z0 + 0.05), V(HL - DOOR_FACE, y + 0.155, z1 - 0.05), 0.022, STEEL);
    }
    for (int i = 0; i < 4; i++) {
        double y = 0.40 + i * 0.59, z = s > 0 ? WALL_Z - 0.06 : -WALL_Z - 0.03;
        box(m, V(HL - 0.09, y - 0.05, z), V(HL - 0.012, y + 0.05, z + 0.09), 0.010, CASTING);
    }
    locking_bar(m, s, s * 0.26, 1.14);
    locking_bar(m, s, s * 0.74, 1.02);
}

static void doors(mesh *m)
{
    double x = HL - 0.13, z = WALL_Z + 0.03;
    mesh_quad(m, V(x, 0.1, z), V(x, 0.1, -z), V(x, H - 0.1, -z), V(x, H - 0.1, z), rgb_grey(GASKET));
    leaf(m, -1);
    leaf(m, 1);
}

void make_container(mesh *m)
{
    castings(m);
    frame_members(m);
    sheets(m);
    doors(m);
}
