/* Textures: PNG, JPEG and HDR through stb_image. */
#include "tests/fuzz/fuzz.h"
#include "tracer/scene/texture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mr_image image = {.texels = NULL};
    mr_error err;
    if (mr_image_decode(&image, bytes, size, "input", 1, MR_WRAP_REPEAT, &err) == MR_OK) {
        MUST(image.width >= 1 && image.height >= 1 && image.texels);
        const uint8_t *texels = image.texels;
        volatile uint8_t last = texels[mr_image_bytes(&image) - 1];
        (void)last;
        mr_image_free(&image);
    }
    return 0;
}
