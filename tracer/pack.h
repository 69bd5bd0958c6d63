/* The scene pack: everything a worker needs to trace a scene, in one flat relocatable blob.
 *
 * The scene compiler (tracer/scene/) writes it once, on the coordinator's side; a worker verifies it once and traces it in
 * place. All integers and floats are little-endian; every section starts on a multiple of 64 bytes; there is no pointer in
 * it, only indices and offsets, and mr_pack_check() has looked at each of them before anyone follows one.
 *
 *   mr_pack_header | settings | BVH | triangles | vertices | instances | materials | textures | texels | lights |
 *   light table | environment | environment tables
 *
 * A pack is named by a hash of its bytes, a tree of BLAKE2b-256 over blocks (tracer/pack_hash.c), taken with the header's hash field
 * as zeros: the same scene compiled twice has the same name, and a damaged copy does not have it.
 *
 * Lengths are metres, right-handed, +y up; colours are linear Rec. 709 (sRGB primaries); radiance is in arbitrary but
 * consistent units (W / (m^2 sr) if the scene says so). */
#ifndef MR_PACK_H
#define MR_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "tracer/error.h"

#define MR_NONE 0xFFFFFFFFu   /* no index: no texture, no light, no hit */
#define MR_SPHERE 0xFFFFFFFEu /* mr_hit.triangle of a hit on a sphere instance */

enum { MR_HASH_BYTES = 32, MR_PACK_VERSION = 6, MR_PACK_ALIGN = 64, MR_HASH_BLOCK = 1 << 18 /* bytes */ };
#define MR_PACK_MAGIC "MRAYPACK"

/* What a pack may hold, so that no product of three overflows a float and every conversion to an integer is defined. */
#define MR_MAX_COORDINATE 1e9f /* metres: of a vertex, a translation, the camera */
#define MR_MAX_UV 1e6f         /* texture coordinates */
#define MR_MAX_RADIANCE 1e9f   /* of emission, texels times scale, a sun's disc, in each channel */
enum { MR_MAX_BOUNCES = 1024, MR_MAX_TEXTURE_SIDE = 32768 };

enum mr_section {
    MR_SECTION_SETTINGS,     /* 1 x mr_settings */
    MR_SECTION_BVH,          /* bytes: see tracer/bvh.h */
    MR_SECTION_TRIANGLES,    /* mr_triangle */
    MR_SECTION_VERTICES,     /* mr_vertex */
    MR_SECTION_INSTANCES,    /* mr_instance; instance 0 is always the world: the identity, geometry traced without transform */
    MR_SECTION_MATERIALS,    /* mr_material, at least one */
    MR_SECTION_TEXTURES,     /* mr_texture */
    MR_SECTION_TEXELS,       /* bytes */
    MR_SECTION_LIGHTS,       /* mr_light */
    MR_SECTION_LIGHT_TABLE,  /* mr_alias, one a light, by power */
    MR_SECTION_ENVIRONMENT,  /* 0 or 1 x mr_environment */
    MR_SECTION_ENV_TABLE,    /* floats: see mr_environment */
    MR_SECTION_COUNT
};

typedef struct mr_pack_section {
    uint64_t offset; /* bytes from the start of the pack, a multiple of MR_PACK_ALIGN */
    uint64_t count;  /* elements; the element's size follows from the kind (1 for bytes) */
} mr_pack_section;

typedef struct mr_pack_header {
    char magic[8];               /* MR_PACK_MAGIC without its terminator */
    uint32_t version;            /* MR_PACK_VERSION */
    uint32_t section_count;      /* MR_SECTION_COUNT */
    uint64_t size_bytes;         /* of the whole pack */
    uint8_t hash[MR_HASH_BYTES]; /* the pack's name: see tracer/pack_hash.c */
    mr_pack_section section[MR_SECTION_COUNT];
} mr_pack_header;

enum mr_tone_map { MR_TONE_LINEAR, MR_TONE_FILMIC, MR_TONE_ACES };
enum mr_filter { MR_FILTER_BOX, MR_FILTER_TENT, MR_FILTER_GAUSSIAN, MR_FILTER_BLACKMAN_HARRIS };

/* Camera, film and integrator. The camera looks from position along -w; u is to the right, v up, all of unit length. */
typedef struct mr_settings {
    float position[3], u[3], v[3], w[3];
    float fov_x_rad;        /* horizontal field of view at width : height; tracer/camera.h says what other shapes see */
    float lens_radius;      /* metres; 0 is a pinhole */
    float focus_distance;   /* metres from the lens to the plane of focus, along -w */
    uint32_t width, height; /* default picture size, pixels */
    uint32_t spp;           /* default samples a pixel */
    uint32_t max_bounces;   /* path segments after the camera's; 0: only what the camera sees directly */
    uint32_t roulette_after;/* bounces before Russian roulette may end a path */
    float clamp_indirect;   /* greatest radiance one indirect sample may add, 0: no limit (unbiased) */
    float exposure;         /* linear radiance is multiplied by this before the tone curve */
    uint32_t tone_map;      /* enum mr_tone_map */
    uint32_t filter;        /* enum mr_filter */
    float filter_radius;    /* pixels */
    uint32_t pad[1];
    char name[64];          /* NUL-terminated */
    float bounds_lo[3], bounds_hi[3]; /* of all geometry, world */
    uint32_t pad2[2];
} mr_settings;

typedef struct mr_triangle {
    uint32_t v[3];     /* vertices, anticlockwise seen from outside */
    uint32_t material;
} mr_triangle;

typedef struct mr_vertex {
    float p[3];     /* position, in the instance's own space */
    float n[3];     /* unit shading normal, or zeros: use the triangle's own */
    float uv[2];    /* texture coordinates, v up */
    uint32_t color; /* sRGB 8-bit r | g << 8 | b << 16 | 255 << 24; a factor of the base colour, where the material asks */
} mr_vertex;

enum mr_instance_kind { MR_INSTANCE_MESH, MR_INSTANCE_SPHERE /* the unit sphere about the origin */ };
enum { MR_INSTANCE_NO_SHADOW = 1 }; /* flags: shadow rays pass (its material has MR_MATERIAL_TRANSPARENT_SHADOW) */

typedef struct mr_instance {
    float to_world[12];  /* 3 rows of 4: linear part and translation */
    float to_object[12]; /* its inverse */
    uint32_t kind;       /* enum mr_instance_kind */
    uint32_t flags;
    uint32_t material;   /* instead of the triangles' own, or MR_NONE; a sphere always has one */
    uint32_t light;      /* of an emissive sphere, or MR_NONE */
    float tint[3];       /* factor of the base colour */
    uint32_t bvh_root;   /* reference of the mesh's root in the BVH section; 0 for the world and for spheres */
} mr_instance;

enum {
    MR_MATERIAL_VERTEX_COLOR = 1,       /* base colour is multiplied by the vertices' */
    MR_MATERIAL_TRANSPARENT_SHADOW = 2, /* a dielectric that shadow rays cross without bending (water, thin glass) */
    MR_MATERIAL_GLASS = 4,              /* smooth dielectric: no base, reflects and refracts as a mirror does */
    MR_MATERIAL_FLAT = 8                /* ignore vertex normals */
};

/* The principled material (Burley 2012, 2015, reduced): a metal or a dielectric base under an optional clear coat. */
typedef struct mr_material {
    float base_color[3];
    uint32_t base_texture;       /* RGB(A) */
    float metallic, roughness;   /* 0..1; GGX alpha is roughness squared */
    uint32_t surface_texture;    /* G: factor of roughness, B: of metallic (as glTF packs them) */
    uint32_t normal_texture;     /* tangent space */
    float emission[3];           /* radiance, both sides of spheres' outside, front side of triangles */
    uint32_t emission_texture;
    float ior;                   /* of the dielectric, 1..4 */
    float transmission;          /* 0..1: share of the dielectric base that transmits instead of scattering */
    float clearcoat, clearcoat_roughness; /* 0..1; its index is 1.5 */
    float absorption[3];         /* inside a transmitting body, 1/metre (Beer-Lambert) */
    uint32_t flags;
    float normal_scale;
    uint32_t first_light;        /* of an emissive material's triangles: see mr_light */
    float alpha_cutoff;          /* > 0: a triangle is a hole wherever base_texture's alpha is below; 0..2, above 1: nothing of it is left */
    uint32_t pad[1];
} mr_material;

enum mr_texel_format { MR_TEXEL_SRGB8, MR_TEXEL_LINEAR8, MR_TEXEL_FLOAT, MR_TEXEL_HALF /* the environment's alone */ };
enum mr_wrap { MR_WRAP_REPEAT, MR_WRAP_CLAMP };

typedef struct mr_texture {
    uint64_t offset;         /* bytes into MR_SECTION_TEXELS, a multiple of 16 */
    uint32_t width, height;  /* rows from the top */
    uint32_t format;         /* enum mr_texel_format: 4 channels, RGBA, of 1, 4 or 2 bytes */
    uint32_t wrap;           /* enum mr_wrap */
} mr_texture;

static inline size_t mr_texel_bytes(uint32_t format) { return format == MR_TEXEL_FLOAT ? 16 : format == MR_TEXEL_HALF ? 8 : 4; }

enum mr_light_kind { MR_LIGHT_TRIANGLE, MR_LIGHT_SPHERE, MR_LIGHT_SUN, MR_LIGHT_ENVIRONMENT };

/* Light kinds and what their fields hold. Emissive triangles are always world geometry (never instanced), and
 * the lights of all triangles that emit are sorted by triangle, so that a hit's light is found by bisection over `index`.
 * Lights stand in the order of their kinds. A sphere that is not scaled uniformly and a triangle that may have holes
 * have no light: only paths that meet them find their emission. */
typedef struct mr_light {
    uint32_t kind;     /* enum mr_light_kind */
    uint32_t index;    /* triangle or instance; 0 otherwise */
    float probability; /* of being chosen: the light table's own, so that a hit knows the chance it had */
    float area;        /* of a triangle, m^2; cosine of the angular radius of a sun */
    float direction[3];/* triangle: unit normal; sun: unit vector towards it */
    float radiance[3]; /* of a surface (its material's emission), of a sun's disc */
    uint32_t texture;  /* triangle: factor of its radiance, or MR_NONE; MR_NONE otherwise */
    uint32_t pad;
} mr_light;

/* Alias method (Walker 1977; Vose 1991): choose cell i uniformly, keep it when u < threshold, otherwise take alias. */
typedef struct mr_alias {
    float threshold;
    uint32_t alias;
} mr_alias;

/* Radiance from infinity: an equirectangular map. Row 0 is straight up; column c is the direction whose azimuth
 * atan2(x, -z) runs from -pi (c = 0) to pi, so the map's middle is -z. Texels are MR_TEXEL_HALF (IEEE binary16; below the least
 * normal one is 0) in a texture, used with bilinear filtering (columns wrap, rows clamp). The texture has one column more than the
 * map: its last repeats its first, so that two neighbours always lie side by side. The map is importance-sampled as piecewise constant over a grid of cells, which is
 * coarser than the texels where that loses little: env table = row_cdf[rows + 1], row_cosine[rows + 1], column_cdf[rows][columns + 1].
 * Each CDF rises from 0 to 1; row r spans the polar angles (from straight up) pi r / rows to pi (r + 1) / rows, row_cosine[r] is the
 * cosine of its upper edge. Within a cell azimuth and that cosine are uniform. */
typedef struct mr_environment {
    uint32_t texture;    /* index */
    uint32_t light;      /* index of its light */
    float scale[3];      /* factor of the texels */
    float to_local[9];   /* rows: rotates a world direction into the map's frame */
    uint32_t columns, rows; /* cells; at most 2^30 table entries */
} mr_environment;

/* A pack in memory, checked: the blob and typed views into it. All pointers point into base. */
typedef struct mr_pack {
    const uint8_t *base;
    size_t size_bytes;
    const mr_pack_header *header;
    const mr_settings *settings;
    const uint8_t *bvh;
    const mr_triangle *triangles;
    const mr_vertex *vertices;
    const mr_instance *instances;
    const mr_material *materials;
    const mr_texture *textures;
    const uint8_t *texels;
    const mr_light *lights;
    const mr_alias *light_table;
    const mr_environment *environment; /* NULL: none */
    const float *env_table;
    size_t bvh_bytes;
    uint32_t triangle_count, vertex_count, instance_count, material_count, texture_count, light_count;
    void *owned; /* what mr_pack_close must free, or NULL */
} mr_pack;

/* Checks a blob in O(n) and fills the views. Nothing of it is trusted before: header, hash, section bounds, every index,
 * every BVH reference (bounds, order, depth), every float that could hang or crash the tracer. The bytes are borrowed and must be
 * aligned to MR_PACK_ALIGN, stay unchanged and outlive the pack. `name` stands in the message. MR_BAD_INPUT when anything is wrong. */
int mr_pack_check(mr_pack *out, const void *bytes, size_t size_bytes, const char *name, mr_error *err);

/* Hashes a pack while its bytes arrive, in order, in pieces of any size, so that no time is left to spend when the last one is there:
 *
 *     mr_pack_hash_begin(&hasher, size_bytes);        before the first; the size that was announced
 *     mr_pack_hash_add(&hasher, piece, n);            for each piece, as it is copied to its place
 *     mr_pack_hash_end(&hasher, hash);                when size_bytes have come
 *     mr_pack_check_hashed(&pack, bytes, size_bytes, hash, name, err);
 *
 * No allocation, nothing to free; it may be dropped at any time but must stay where it was begun. */
typedef struct mr_pack_hasher {
    uint8_t room[64 + 2 * 384]; /* libsodium's states, aligned by hand */
    uint64_t done_bytes;
} mr_pack_hasher;

void mr_pack_hash_begin(mr_pack_hasher *hasher, uint64_t size_bytes);
void mr_pack_hash_add(mr_pack_hasher *hasher, const void *bytes, size_t size_bytes);
void mr_pack_hash_end(mr_pack_hasher *hasher, uint8_t hash[MR_HASH_BYTES]);

/* mr_pack_check of bytes whose hash the caller has taken himself since they came from outside: it is compared with the header's, all the rest is
 * checked as ever. */
int mr_pack_check_hashed(mr_pack *out, const void *bytes, size_t size_bytes, const uint8_t hash[MR_HASH_BYTES], const char *name, mr_error *err);

/* Reads a pack file and checks it. Close with mr_pack_close. */
int mr_pack_open(mr_pack *out, const char *path, mr_error *err);

/* Writes the pack to a temporary file beside path and renames it. */
int mr_pack_save(const mr_pack *pack, const char *path, mr_error *err);

/* Frees what the pack owns. A zeroed pack is fine. */
void mr_pack_close(mr_pack *pack);

/* Writes 2 * MR_HASH_BYTES hexadecimal digits and a terminator. */
void mr_hash_hex(const uint8_t hash[MR_HASH_BYTES], char hex[2 * MR_HASH_BYTES + 1]);

#endif
