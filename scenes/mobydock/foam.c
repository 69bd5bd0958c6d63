/* Foam along the water line: some thousand small flat domes, scattered where the skin is near and a slow noise allows it,
 * crowded at the skin and thinning outwards, so that the line is broken and has no edge. */
#include "scenes/mobydock/parts.h"
#include "scenes/mobydock/sea.h"
#include "scenes/mobydock/whale.h"

static const double CELL = 0.055;    /* metres between candidates */
static const double REACH = 0.34;    /* metres from the skin */
static const double LARGEST = 0.055; /* radius of a dome, metres */

/* Smooth value noise of unit amplitude and unit cell. */
static double noise(double x, double z)
{
    double fx = floor(x), fz = floor(z), sx = smoothstep(0, 1, x - fx), sz = smoothstep(0, 1, z - fz), corner[4];
    for (int i = 0; i < 4; i++)
        corner[i] = hash01((unsigned)((int)fx + (i & 1)) * 73856093u ^ (unsigned)((int)fz + (i >> 1)) * 19349663u);
    return mix(mix(corner[0], corner[1], sx), mix(corner[2], corner[3], sx), sz);
}

static void dome(mesh *m, double x, double z, double radius)
{
    enum { SIDES = 7 };
    v3 c = sea_point(x, z), n = sea_normal(x, z), east = unit(cross(n, V(0, 0, 1))), south = cross(east, n);
    int top = mesh_vertex(m, madd(c, n, radius * 0.28 + 0.006), n, rgb_grey(255));
    for (int i = 0; i < SIDES; i++) {
        double a = 2 * PI * i / SIDES, r = radius * (0.8 + 0.4 * hash01((unsigned)(top * 8 + i)));
        v3 out = add(mul(east, cos(a)), mul(south, -sin(a)));
        (void)mesh_vertex(m, madd(madd(c, out, r), n, 0.002), unit(add(n, out)), rgb_grey(255));
    }
    for (int i = 0; i < SIDES; i++) mesh_triangle(m, top, top + 1 + i, top + 1 + (i + 1) % SIDES);
}

static void candidate(mesh *m, int i, int j)
{
    unsigned seed = (unsigned)i * 2654435761u ^ (unsigned)j * 40503u;
    double x = WHALE_LO.x + CELL * (i + hash01(seed)), z = WHALE_LO.z + CELL * (j + hash01(seed + 1));
    double d = hull_distance(x, z);
    if (d < -0.02 || d > REACH) return;
    double patch = smoothstep(0.30, 0.75, 0.65 * noise(x * 0.7, z * 0.7) + 0.35 * noise(x * 2.9 + 40, z * 2.9));
    double near = 1 - d / REACH;
    if (hash01(seed + 2) < patch * near * near * 1.6)
        dome(m, x, z, LARGEST * (0.25 + 0.75 * hash01(seed + 3)) * (0.5 + 0.5 * near));
}

/* Candidates stand on a jittered grid; a coarse cell that is far from the skin is skipped whole. */
void make_foam(mesh *m)
{
    enum { COARSE = 16, HALF = COARSE / 2 };
    int nx = (int)((WHALE_HI.x - WHALE_LO.x) / CELL), nz = (int)((WHALE_HI.z - WHALE_LO.z) / CELL);
    for (int j = 0; j < nz; j += COARSE)
        for (int i = 0; i < nx; i += COARSE) {
            double x = WHALE_LO.x + CELL * (i + HALF), z = WHALE_LO.z + CELL * (j + HALF);
            if (fabs(hull_distance(x, z)) > COARSE * CELL + REACH) continue;
            for (int k = 0; k < COARSE * COARSE; k++) candidate(m, i + k % COARSE, j + k / COARSE);
        }
}
