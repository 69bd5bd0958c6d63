#include "tracer/texture.h"

static float srgb_decode(float x)
{
    return x <= 0.04045f ? x / 12.92f : mr_pow((x + 0.055f) / 1.055f, 2.4f);
}

void mr_texels_init(mr_texels *texels, const mr_pack *pack)
{
    texels->pack = pack;
    for (int i = 0; i < 256; i++) {
        texels->from_linear[i] = (float)i / 255.0f;
        texels->from_srgb[i] = srgb_decode(texels->from_linear[i]);
    }
}
