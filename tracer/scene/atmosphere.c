/* See atmosphere.h.
 *
 * Model: Nishita et al. 1993 ("Display of the Earth Taking into Account Atmospheric Scattering") with the constants of Bruneton & Neyret 2008 (2017 edition, with
 * ozone) at 680, 550 and 440 nm for R, G and B. Light scattered more than once is estimated as isotropic, by the geometric series of Hillaire 2020 ("A
 * Scalable and Production Ready Sky and Atmosphere Rendering Technique", section 5.5); without it a low sun's sky would be too dark overhead.
 *
 * The observer stands at 100 m in a plane-symmetric world: radiance depends on the elevation and on the azimuth from the sun only, and is symmetric
 * in it, so half of the directions are enough. Everything runs in double in a fixed order. */
#include "tracer/scene/atmosphere.h"

#include <stdlib.h>
#include <string.h>

static const double GROUND_M = 6360e3, TOP_M = 6420e3, EYE_M = 100; /* radii; height of the observer */
static const double RAYLEIGH_SCALE_M = 8000, MIE_SCALE_M = 1200;
static const double RAYLEIGH[3] = {5.802e-6, 13.558e-6, 33.1e-6}; /* scattering at sea level, 1/m */
static const double MIE_ALBEDO = 0.92;                    /* share of the haze's extinction that scatters */
static const double MIE_COLOR[3] = {0.759, 1.0, 1.337};   /* haze extinction against 550 nm: wavelength^-1.3 (Angstrom 1929) */
static const double OZONE[3] = {0.650e-6, 1.881e-6, 0.085e-6}; /* absorption at 25 km, 1/m */
static const double MIE_G = 0.76; /* forward bias of the Cornette-Shanks phase function */

enum { DEPTH_HEIGHTS = 64, DEPTH_ANGLES = 128, DEPTH_STEPS = 40, VIEW_STEPS = 32, MULTI_HEIGHTS = 16, MULTI_DIRECTIONS = 64, MULTI_STEPS = 16 };

/* Tables for one sky. */
typedef struct atmosphere {
    double mie[3]; /* the haze's extinction at sea level, 1/m */
    vec3 sun;
    double (*transmittance)[DEPTH_ANGLES][3]; /* [height][angle]: of the way to space */
    double multi[MULTI_HEIGHTS][3];           /* radiance of light scattered more than once, per unit of solar irradiance */
} atmosphere;

typedef struct densities {
    double rayleigh, mie, ozone; /* relative to their coefficients' levels */
} densities;

static densities densities_at(double height_m)
{
    double h = fmax(height_m, 0);
    return (densities){exp(-h / RAYLEIGH_SCALE_M), exp(-h / MIE_SCALE_M), fmax(0, 1 - fabs(h - 25e3) / 15e3)};
}

static void extinction(const atmosphere *a, const densities *d, double out[3])
{
    for (size_t c = 0; c < 3; c++) out[c] = RAYLEIGH[c] * d->rayleigh + a->mie[c] * d->mie + OZONE[c] * d->ozone;
}

/* Distance from radius r along a direction with cosine mu to the zenith, to the sphere of radius `to` from inside it. */
static double distance_out(double r, double mu, double to) { return -r * mu + sqrt(fmax(0, to * to - r * r * (1 - mu * mu))); }

/* Whether the ray from radius r meets the ground, and where. */
static int hits_ground(double r, double mu, double *distance)
{
    double under = GROUND_M * GROUND_M - r * r * (1 - mu * mu);
    if (mu >= 0 || under < 0) return 0;
    *distance = fmax(0, -r * mu - sqrt(under));
    return 1;
}

static double radius_along(double r, double mu, double t) { return sqrt(r * r + t * t + 2 * r * mu * t); }

/* The table's axes: height by its square root (detail below), the zenith's cosine from a little below the horizon of that height to 1, squared. */
static double least_mu(double r) { return -sqrt(fmax(0, 1 - GROUND_M * GROUND_M / (r * r))); }
static double table_radius(int i) { return GROUND_M + (TOP_M - GROUND_M) * pow(i / (double)(DEPTH_HEIGHTS - 1), 2); }

static double table_mu(double r, int j)
{
    double x = j / (double)(DEPTH_ANGLES - 1), low = least_mu(r);
    return low + (1 - low) * x * x;
}

static void compute_transmittance(const atmosphere *a, double r, double mu, double out[3])
{
    double length = distance_out(r, mu, TOP_M), sum[3] = {0, 0, 0}, previous = 0;
    for (int i = 0; i < DEPTH_STEPS; i++) { /* steps grow away from the start, where the air is densest for the rays that matter */
        double next = length * pow((i + 1) / (double)DEPTH_STEPS, 2), e[3];
        densities d = densities_at(radius_along(r, mu, (previous + next) / 2) - GROUND_M);
        extinction(a, &d, e);
        for (size_t c = 0; c < 3; c++) sum[c] += e[c] * (next - previous);
        previous = next;
    }
    for (size_t c = 0; c < 3; c++) out[c] = exp(-sum[c]);
}

static void fill_transmittance(atmosphere *a)
{
    for (int i = 0; i < DEPTH_HEIGHTS; i++)
        for (int j = 0; j < DEPTH_ANGLES; j++) compute_transmittance(a, table_radius(i), table_mu(table_radius(i), j), a->transmittance[i][j]);
}

static double clamped(double x, double most) { return x > 0 ? fmin(x, most) : 0; }

/* Transmittance to space from radius r, zenith cosine mu; 0 below the horizon. Bilinear. */
static void transmittance(const atmosphere *a, double r, double mu, double out[3])
{
    double low = least_mu(r);
    out[0] = out[1] = out[2] = 0;
    if (mu < low) return;
    double y = clamped(sqrt(fmax(0, (r - GROUND_M) / (TOP_M - GROUND_M))) * (DEPTH_HEIGHTS - 1), DEPTH_HEIGHTS - 1.001);
    double x = clamped(sqrt((mu - low) / (1 - low)) * (DEPTH_ANGLES - 1), DEPTH_ANGLES - 1.001);
    int i = (int)y, j = (int)x;
    double fy = y - i, fx = x - j;
    for (size_t c = 0; c < 3; c++)
        out[c] = (1 - fy) * ((1 - fx) * a->transmittance[i][j][c] + fx * a->transmittance[i][j + 1][c]) +
                 fy * ((1 - fx) * a->transmittance[i + 1][j][c] + fx * a->transmittance[i + 1][j + 1][c]);
}

static double rayleigh_phase(double cosine) { return 3 / (16 * MR_PI) * (1 + cosine * cosine); }

static double mie_phase(double cosine) /* Cornette & Shanks 1992 */
{
    double g2 = MIE_G * MIE_G;
    return 3 / (8 * MR_PI) * (1 - g2) * (1 + cosine * cosine) / ((2 + g2) * pow(1 + g2 - 2 * MIE_G * cosine, 1.5));
}

/* ---- light scattered more than once ---- */

/* Walks a ray with isotropic phase: radiance of light scattered once for a sun of irradiance 1, and the share of an isotropic unit radiance that scatters back. */
static void walk_isotropic(const atmosphere *a, double r, vec3 dir, double once[3], double share[3])
{
    double length = distance_out(r, dir.y, TOP_M), through[3] = {1, 1, 1}, t = 0;
    (void)hits_ground(r, dir.y, &length);
    for (int i = 0; i < MULTI_STEPS; i++) {
        double next = length * pow((i + 1) / (double)MULTI_STEPS, 2), mid = (t + next) / 2, e[3], lit[3];
        vec3 p = v3_add(v3(0, r, 0), v3_scale(dir, mid));
        double rp = v3_length(p);
        densities d = densities_at(rp - GROUND_M);
        extinction(a, &d, e);
        transmittance(a, rp, v3_dot(p, a->sun) / rp, lit);
        for (size_t c = 0; c < 3; c++) {
            double scatter = RAYLEIGH[c] * d.rayleigh + MIE_ALBEDO * a->mie[c] * d.mie, pass = exp(-e[c] * (next - t));
            double gain = through[c] * scatter * (e[c] > 0 ? (1 - pass) / e[c] : next - t);
            once[c] += gain * lit[c] / (4 * MR_PI);
            share[c] += gain;
            through[c] *= pass;
        }
        t = next;
    }
}

/* Directions of a spherical Fibonacci lattice. */
static vec3 lattice(int i, int count)
{
    double y = 1 - (2 * i + 1) / (double)count, s = sqrt(1 - y * y), azimuth = i * MR_PI * (3 - sqrt(5));
    return v3(s * cos(azimuth), y, s * sin(azimuth));
}

static double multi_height(int i) { return EYE_M + (TOP_M - GROUND_M - 2 * EYE_M) * pow(i / (double)(MULTI_HEIGHTS - 1), 2); }

/* Second order from the mean of the first over all directions; all further orders as a geometric series. */
static void fill_multi(atmosphere *a)
{
    for (int i = 0; i < MULTI_HEIGHTS; i++) {
        double once[3] = {0, 0, 0}, share[3] = {0, 0, 0};
        for (int k = 0; k < MULTI_DIRECTIONS; k++) walk_isotropic(a, GROUND_M + multi_height(i), lattice(k, MULTI_DIRECTIONS), once, share);
        for (size_t c = 0; c < 3; c++) a->multi[i][c] = once[c] / MULTI_DIRECTIONS / (1 - fmin(0.95, share[c] / MULTI_DIRECTIONS));
    }
}

static void multi_at(const atmosphere *a, double height_m, double out[3])
{
    double x = clamped(sqrt(fmax(0, (height_m - EYE_M) / (TOP_M - GROUND_M - 2 * EYE_M))) * (MULTI_HEIGHTS - 1), MULTI_HEIGHTS - 1.001);
    int i = (int)x;
    for (size_t c = 0; c < 3; c++) out[c] = a->multi[i][c] + (x - i) * (a->multi[i + 1][c] - a->multi[i][c]);
}

/* ---- the view ---- */

/* What one step along a view ray adds. All but the sun's transmittance depends on the elevation alone, so it is computed once for a row of texels. */
typedef struct view_step {
    double t, r;                      /* distance from the eye and radius at its middle */
    double rayleigh[3], mie[3];       /* scattered towards the eye per unit of phase and irradiance */
} view_step;

typedef struct view_row {
    view_step step[VIEW_STEPS];
    double multi[3]; /* radiance of light scattered more than once, of the whole ray */
} view_row;

static void prepare_row(const atmosphere *a, double mu, view_row *row)
{
    double r = GROUND_M + EYE_M, length = distance_out(r, mu, TOP_M), through[3] = {1, 1, 1}, t = 0;
    *row = (view_row){0};
    for (int i = 0; i < VIEW_STEPS; i++) {
        view_step *step = &row->step[i];
        double next = length * pow((i + 1) / (double)VIEW_STEPS, 2), e[3], multi[3];
        step->t = (t + next) / 2;
        step->r = radius_along(r, mu, step->t);
        densities d = densities_at(step->r - GROUND_M);
        extinction(a, &d, e);
        multi_at(a, step->r - GROUND_M, multi);
        for (size_t c = 0; c < 3; c++) {
            double pass = exp(-e[c] * (next - t)), weight = through[c] * (e[c] > 0 ? (1 - pass) / e[c] : next - t);
            step->rayleigh[c] = RAYLEIGH[c] * d.rayleigh * weight;
            step->mie[c] = MIE_ALBEDO * a->mie[c] * d.mie * weight;
            row->multi[c] += (step->rayleigh[c] + step->mie[c]) * multi[c];
            through[c] *= pass;
        }
        t = next;
    }
}

/* Radiance of the sky in a direction above the horizon, for a sun of irradiance 1. */
static void sky_radiance(const atmosphere *a, const view_row *row, vec3 dir, double out[3])
{
    double cosine = v3_dot(dir, a->sun), phase_r = rayleigh_phase(cosine), phase_m = mie_phase(cosine), lit[3];
    memcpy(out, row->multi, sizeof row->multi);
    for (int i = 0; i < VIEW_STEPS; i++) {
        const view_step *step = &row->step[i];
        transmittance(a, step->r, (a->sun.y * (GROUND_M + EYE_M) + cosine * step->t) / step->r, lit);
        for (size_t c = 0; c < 3; c++) out[c] += lit[c] * (step->rayleigh[c] * phase_r + step->mie[c] * phase_m);
    }
}

/* Turbidity is the optical depth of air and haze over that of air alone, straight up, at 550 nm (Preetham et al. 1999). */
static atmosphere with_haze(const mr_sky *sky)
{
    atmosphere a = {.sun = sky->sun};
    for (size_t c = 0; c < 3; c++) a.mie[c] = (sky->turbidity - 1) * RAYLEIGH[1] * RAYLEIGH_SCALE_M / MIE_SCALE_M * MIE_COLOR[c];
    return a;
}

static int open_atmosphere(atmosphere *a, const mr_sky *sky, mr_error *err)
{
    *a = with_haze(sky);
    a->transmittance = calloc(DEPTH_HEIGHTS, sizeof *a->transmittance);
    if (!a->transmittance) return mr_fail(err, MR_FAILED, "no memory for the sky's tables");
    fill_transmittance(a);
    fill_multi(a);
    return MR_OK;
}

void mr_sky_sun_transmittance(const mr_sky *sky, double rgb[3])
{
    atmosphere a = with_haze(sky);
    rgb[0] = rgb[1] = rgb[2] = 0;
    if (sky->sun.y > 0) compute_transmittance(&a, GROUND_M + EYE_M, sky->sun.y, rgb);
}

/* Column of azimuth phi from -pi to pi, by atan2(x, -z), at the texel's centre; row of the angle from straight up. */
static vec3 texel_direction(uint32_t row, uint32_t column)
{
    double theta = (row + 0.5) * MR_PI / MR_SKY_HEIGHT, phi = ((column + 0.5) / MR_SKY_WIDTH * 2 - 1) * MR_PI;
    return v3(sin(theta) * sin(phi), cos(theta), -sin(theta) * cos(phi));
}

/* Solid angle of a texel of that row, exactly. */
static double texel_solid_angle(uint32_t row)
{
    return 2 * MR_PI / MR_SKY_WIDTH * (cos(row * MR_PI / MR_SKY_HEIGHT) - cos((row + 1) * MR_PI / MR_SKY_HEIGHT));
}

/* Upper half, in a frame where the sun's azimuth is 0 (x = 0, towards -z): then columns c and width - 1 - c are alike. */
static void fill_rows(const atmosphere *a, double factor, float *texels, double irradiance[3])
{
    for (uint32_t row = 0; row < MR_SKY_HEIGHT / 2; row++) {
        view_row view;
        prepare_row(a, texel_direction(row, 0).y, &view);
        for (uint32_t column = 0; column < MR_SKY_WIDTH / 2; column++) {
            double rgb[3];
            vec3 dir = texel_direction(row, column);
            float *left = texels + 4 * (row * MR_SKY_WIDTH + column), *right = texels + 4 * (row * MR_SKY_WIDTH + MR_SKY_WIDTH - 1 - column);
            sky_radiance(a, &view, dir, rgb);
            for (size_t c = 0; c < 3; c++) {
                left[c] = right[c] = (float)(rgb[c] * factor);
                irradiance[c] += 2 * rgb[c] * factor * dir.y * texel_solid_angle(row);
            }
            left[3] = right[3] = 1;
        }
    }
}

/* Lower half. Its first row repeats the sky's last: look-ups are bilinear, and a dark band above a horizon that geometry does not quite reach
 * would be seen, while a bright one half a degree below it is not. */
static void fill_ground(const float rgba[4], float *texels)
{
    const size_t first = MR_SKY_HEIGHT / 2 * MR_SKY_WIDTH;
    for (size_t i = 4 * first; i < 4 * (first + MR_SKY_WIDTH); i++) texels[i] = texels[i - 4 * MR_SKY_WIDTH];
    for (size_t i = first + MR_SKY_WIDTH; i < MR_SKY_HEIGHT * MR_SKY_WIDTH; i++)
        for (size_t c = 0; c < 4; c++) texels[4 * i + c] = rgba[c];
}

int mr_sky_bake(const mr_sky *sky, mr_image *image, mr_error *err)
{
    atmosphere a;
    mr_sky turned = *sky;
    turned.sun = v3(0, sky->sun.y, -sqrt(fmax(0, 1 - sky->sun.y * sky->sun.y)));
    int status = mr_image_new_float(image, MR_SKY_WIDTH, MR_SKY_HEIGHT, MR_WRAP_REPEAT, err);
    if (status) return status;
    status = open_atmosphere(&a, &turned, err);
    if (status) {
        mr_image_free(image);
        return status;
    }
    double factor = MR_SOLAR_IRRADIANCE * sky->intensity, irradiance[3] = {0, 0, 0}, sun[3];
    float ground[4] = {0, 0, 0, 1};
    fill_rows(&a, factor, image->texels, irradiance);
    mr_sky_sun_transmittance(sky, sun);
    for (size_t c = 0; c < 3; c++) ground[c] = (float)(sky->ground[c] / MR_PI * (irradiance[c] + factor * sun[c] * fmax(0, sky->sun.y)));
    fill_ground(ground, image->texels);
    free(a.transmittance);
    return MR_OK;
}
