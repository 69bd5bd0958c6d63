/* The eyes: shallow ellipsoids ("buttons") stacked on the skin in the eye's frame: white, iris, pupil, and two catch lights
 * that stay in place whatever the light does, as on a toy. */
#include "scenes/mobydock/parts.h"
#include "scenes/mobydock/whale.h"

enum { AROUND = 72, OVER = 24 };

typedef struct button {
    double forward, up, out;  /* centre in the eye's frame, metres */
    double wide, high, thick; /* radii */
    unsigned center, rim;     /* sRGB, in the middle and at the edge */
    double rim_from;          /* share of the radius at which the rim's colour starts */
} button;

static const button BUTTONS[] = {
    {0.00, 0.00, 0.00, 0.76, 0.86, 0.16, 0xfafcfd, 0xfafcfd, 1},         /* the white */
    {0.05, -0.03, 0.045, 0.645, 0.745, 0.185, 0x0b3f86, 0x071a38, 0.80}, /* the iris and its dark limbus */
    {0.06, -0.01, 0.080, 0.47, 0.565, 0.19, 0x04080f, 0x050d1c, 0.85},   /* the pupil */
    {0.26, 0.25, 0.225, 0.185, 0.200, 0.055, 0xffffff, 0xffffff, 1},     /* the catch light, up and forward */
    {-0.17, -0.31, 0.215, 0.085, 0.090, 0.050, 0xd8f1ff, 0xd8f1ff, 1},   /* a second one, down and aft */
};

static v3 flip(v3 a, int side)
{
    return V(a.x, a.y, a.z * side);
}

static void put_button(mesh *m, const frame *f, const button *b, int side)
{
    v3 c = madd(madd(madd(f->origin, f->forward, b->forward), f->up, b->up), f->out, b->out);
    int base = m->vertices;
    for (int j = 0; j <= OVER; j++)
        for (int i = 0; i <= AROUND; i++) {
            double th = 0.55 * PI * j / OVER, ph = 2 * PI * i / AROUND, s = sin(th), x = s * cos(ph), y = s * sin(ph), z = cos(th);
            v3 p = madd(madd(madd(c, f->forward, x * b->wide), f->up, y * b->high), f->out, z * b->thick);
            v3 n = unit(add(add(mul(f->forward, x / b->wide), mul(f->up, y / b->high)), mul(f->out, z / b->thick)));
            rgb color = rgb_mix(rgb_hex(b->center), rgb_hex(b->rim), smoothstep(b->rim_from, 1, s));
            (void)mesh_vertex(m, flip(p, side), flip(n, side), color);
        }
    for (int j = 0; j < OVER; j++)
        for (int i = 0; i < AROUND; i++) {
            int a = base + j * (AROUND + 1) + i, d = a + AROUND + 1, l = side > 0 ? d : a + 1, r = side > 0 ? a + 1 : d;
            if (j > 0) mesh_triangle(m, a, l, r);
            mesh_triangle(m, a + 1, side > 0 ? d : d + 1, side > 0 ? d + 1 : d);
        }
}

void make_eyes(mesh *m)
{
    frame f = whale_eye();
    for (int side = -1; side <= 1; side += 2)
        for (unsigned i = 0; i < sizeof BUTTONS / sizeof *BUTTONS; i++) put_button(m, &f, &BUTTONS[i], side);
}
