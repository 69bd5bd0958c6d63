/* Model files through assimp, each of the formats we take: the first byte chooses. assimp is not built for fuzzing and has faults of its own, which is why
 * mobyray imports in a process of its own; so only what happens in our code counts here, with whatever assimp hands over. What happens while assimp reads ends
 * this process quietly (tests/fuzz/run.sh lets libFuzzer start another). */
#include <sanitizer/common_interface_defs.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tracer/scene/model.h"

static const char *const endings[] = {".gltf", ".glb", ".obj", ".stl", ".off", ".3ds", ".dae", ".fbx"};
static int in_assimp;

static void on_death(void)
{
    if (!in_assimp) return;
    (void)fputs("(assimp's own: passed over)\n", stderr);
    _exit(0);
}

/* Between these two only assimp runs. */
struct aiScene;
const struct aiScene *__real_aiImportFileExWithProperties(const char *path, unsigned flags, void *io, const void *properties);
const struct aiScene *__wrap_aiImportFileExWithProperties(const char *path, unsigned flags, void *io, const void *properties)
{
    in_assimp = 1;
    const struct aiScene *scene = __real_aiImportFileExWithProperties(path, flags, io, properties);
    in_assimp = 0;
    return scene;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mr_model model = {0};
    mr_error err;
    __sanitizer_set_death_callback(on_death);
    if (size < 2) return 0;
    const char *path = fuzz_file(bytes + 1, size - 1, endings[bytes[0] % (sizeof endings / sizeof *endings)]);
    (void)mr_model_import(&model, path, NULL, &err);
    mr_model_free(&model);
    return 0;
}
