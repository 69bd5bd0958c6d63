/* PLY models, to the finished model. */
#include "tests/fuzz/fuzz.h"
#include "tracer/scene/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mr_model model = {0};
    mr_error err;
    (void)mr_model_import(&model, fuzz_file(bytes, size, ".ply"), NULL, &err);
    mr_model_free(&model);
    return 0;
}
