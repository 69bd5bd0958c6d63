/* Every limit on what the scene compiler takes from files, in one place, each with its reason. */
#ifndef MR_SCENE_LIMITS_H
#define MR_SCENE_LIMITS_H

enum {
    MR_SCENE_MAX_JSON_BYTES = 64 << 20,     /* a scene.json; big geometry belongs into mesh files */
    MR_SCENE_MAX_DEPTH = 32,                /* nesting of a scene.json; the format itself needs 6 */
    MR_SCENE_MAX_ITEMS = 1 << 20,           /* entries of any one map or list: objects, materials, … */
    MR_SCENE_MAX_NAME = 256,                /* bytes of a name */
    MR_SCENE_MAX_TEXTURE_SIDE = 16384,      /* pixels: one float texture of this size takes 4 GiB, the most we would hold */
    MR_SCENE_MAX_TEXTURES = 4096,
    MR_SCENE_MAX_NODES = 1 << 20,           /* of a model file's hierarchy, counted as walked: a small file can name one mesh often */
    MR_SCENE_MAX_NODE_DEPTH = 256,          /* of the same: our walk is recursive */
    MR_SCENE_MAX_TRIANGLES = 1 << 28,       /* of a scene; a reference in the BVH has 29 bits */
    MR_SCENE_MAX_MATERIALS = 1 << 20,
    MR_SCENE_MAX_LIGHTS = 1 << 26,
    MR_SCENE_MAX_INSTANCES = 1 << 24
};

#define MR_SCENE_MAX_FILE_BYTES ((size_t)4 << 30) /* of a texture or model file */

#endif
