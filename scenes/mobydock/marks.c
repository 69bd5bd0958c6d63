/* Lettering, painted on as geometry: strokes of a stencil alphabet, laid 2 mm proud of the steel and cut at the folds of the
 * corrugation, so that letters bend with the wall as paint does. */
#include <stdio.h>
#include <string.h>

#include "scenes/mobydock/container.h"
#include "scenes/mobydock/parts.h"

static const double LIFT = 0.002;   /* metres; far above float rounding at 15 m, too thin to cast a shadow */
static const double ADVANCE = 0.86; /* from one letter to the next, in letter heights */
static const double WEIGHT = 0.155; /* width of a stroke, in letter heights */

/* A glyph's strokes on a grid 4 wide and 6 high, two digits an end: "0006" goes from (0, 0) to (0, 6). */
static const struct {
    char letter;
    const char *strokes;
} FONT[] = {
    {'M', "0006 0623 2346 4640"},
    {'O', "0105 0516 1636 3645 4541 4130 3010 1001"},
    {'B', "0006 0636 3645 4544 4433 0333 3342 4241 4130 3000"},
    {'Y', "0623 4623 2320"},
    {'U', "0601 0110 1030 3041 4146"},
    {'G', "4536 3616 1605 0501 0110 1030 3041 4143 4323"},
    {'0', "0105 0516 1636 3645 4541 4130 3010 1001"},
    {'1', "0526 2620 1030"},
    {'2', "0516 1636 3645 4544 4400 0040"},
    {'3', "0516 1636 3645 4544 4433 3313 3342 4241 4130 3010 1001"},
    {'4', "3036 3602 0242"},
    {'5', "4606 0603 0333 3342 4241 4130 3010 1001"},
    {'6', "4536 3616 1605 0501 0110 1030 3041 4142 4233 3303"},
    {'7', "0646 4610"},
    {'8', "1333 3344 4445 4536 3616 1605 0504 0413 1302 0201 0110 1030 3041 4142 4233"},
    {'9', "4303 0305 0516 1636 3645 4541 4130 3010 1001"},
};

static const char *glyph(char letter)
{
    for (size_t i = 0; i < sizeof FONT / sizeof *FONT; i++)
        if (FONT[i].letter == letter) return FONT[i].strokes;
    return "";
}

/* The part of a convex polygon with sign * (x - limit) >= 0 (Sutherland & Hodgman 1974); returns its corners' count. */
static int clip(const v3 *in, int n, double limit, int sign, v3 *out)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        v3 a = in[i], b = in[(i + 1) % n];
        double da = sign * (a.x - limit), db = sign * (b.x - limit);
        if (da >= 0) out[count++] = a;
        if ((da < 0) != (db < 0)) out[count++] = mix3(a, b, da / (da - db));
    }
    return count;
}

/* Lays a convex polygon of the plane (x along the wall, y up) on a wall, fold by fold. */
static void lay(mesh *m, const wall *w, const v3 *p, int n)
{
    double s = 1e9, to = -1e9;
    for (int i = 0; i < n; i++) s = fmin(s, p[i].x), to = fmax(to, p[i].x);
    while (s < to - 1e-6) {
        double next = fmin(wall_break(w, s), to);
        v3 half[12], piece[12];
        int count = clip(p, n, s + 1e-7, 1, half);
        count = clip(half, count, next - 1e-7, -1, piece);
        for (int i = 0; i < count; i++) piece[i] = wall_point(w, piece[i].x, piece[i].y, LIFT);
        if (count >= 3) mesh_polygon(m, piece, count, rgb_grey(255));
        s = next;
    }
}

/* A stroke from a to b with square ends that reach half its weight beyond. */
static void stroke(mesh *m, const wall *w, v3 a, v3 b, double weight)
{
    v3 along = mul(unit(sub(b, a)), weight / 2), side = V(-along.y, along.x, 0);
    a = sub(a, mul(along, 0.7)), b = add(b, mul(along, 0.7));
    lay(m, w, (v3[]){sub(a, side), sub(b, side), add(b, side), add(a, side)}, 4);
}

static void text(mesh *m, const wall *w, const char *string, double s, double y, double height)
{
    double unit_x = height * 0.62 / 4, unit_y = height / 6;
    for (; *string; string++, s += height * ADVANCE)
        for (const char *g = glyph(*string); strlen(g) >= 4; g += g[4] ? 5 : 4)
            stroke(m, w, V(s + (g[0] - '0') * unit_x, y + (g[1] - '0') * unit_y, 0),
                   V(s + (g[2] - '0') * unit_x, y + (g[3] - '0') * unit_y, 0), height * WEIGHT);
}

/* The doors' raised panels as a flat wall: from the left leaf's hinge to the right one's, seen from outside. */
static const wall DOORS = {
    {BOX_LENGTH / 2 - DOOR_FACE, 0, BOX_WIDTH / 2}, {0, 0, -1}, {0, 1, 0}, {-1, 0, 0}, BOX_WIDTH, BOX_HEIGHT, 0, 1};

/* Owner's code and a serial number as on a real container, size and type code below; MOBY in letters a man high along the sides. */
void make_marks(mesh *m, int index)
{
    char serial[16];
    (void)snprintf(serial, sizeof serial, "%06u", (unsigned)(412007 + index * 7331) % 1000000u);
    const wall *end = &CONTAINER_WALL[WALL_END];
    text(m, &DOORS, "MOBU", 1.36, 2.035, 0.13);
    text(m, &DOORS, serial, 1.36, 1.585, 0.13);
    text(m, &DOORS, "22G1", 1.36, 1.135, 0.13);
    text(m, end, "MOBU", end->length - 0.62, end->height - 0.32, 0.13);
    text(m, end, serial, end->length - 0.84, end->height - 0.54, 0.13);
    for (int i = WALL_LEFT; i <= WALL_RIGHT; i++) {
        const wall *w = &CONTAINER_WALL[i];
        text(m, w, "MOBY", (w->length - 3.52) / 2, 0.62, 1.10);
        text(m, w, serial, w->length - 1.00, w->height - 0.30, 0.14);
    }
}
