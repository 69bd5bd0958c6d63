/* A model as the importing process hands it over (tracer/scene/model_bytes.c). What is taken is handed over and taken again, then compiled. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tracer/scene/model.h"

static int opened(const uint8_t *bytes, size_t size) { return open(fuzz_file(bytes, size, ".model"), O_RDWR | O_CLOEXEC); }

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mr_model model = {0}, again = {0};
    mr_error err;
    int file = opened(bytes, size);
    MUST(file >= 0);
    if (mr_model_read(&model, file, "input", &err) == MR_OK) {
        MUST(ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0 && mr_model_write(&model, file, &err) == MR_OK);
        MUST(lseek(file, 0, SEEK_SET) == 0 && mr_model_read(&again, file, "again", &err) == MR_OK);
        MUST(again.triangle_count == model.triangle_count && !memcmp(again.vertices, model.vertices, model.vertex_count * sizeof *model.vertices));
    }
    (void)close(file);
    mr_model_free(&model);
    mr_model_free(&again);
    return 0;
}
