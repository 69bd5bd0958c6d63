/* Another implementation of bench/rtx.h, from a shared library: two states of our own tracer, say, in one run. */
#include <dlfcn.h>
#include <string.h>

#include "bench/rtx.h"

/* ISO C has no conversion from an object's pointer to a function's; POSIX promises that the bits are the same. */
static int find(void *library, const char *symbol, void *function)
{
    void *found = dlsym(library, symbol);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

int rtx_open(rtx_api *out, const char *path, mr_error *err)
{
    const char *(*name)(void);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return mr_fail(err, MR_BAD_INPUT, "%s", dlerror());
    *out = (rtx_api){.name = "other"};
    if (!find(library, "rtx_build", &out->build) || !find(library, "rtx_intersect", &out->intersect) ||
        !find(library, "rtx_occluded", &out->occluded) || !find(library, "rtx_bytes", &out->bytes) ||
        !find(library, "rtx_free", &out->release)) {
        (void)dlclose(library);
        return mr_fail(
            err, MR_BAD_INPUT,
            "%s: found a library without rtx_build, rtx_intersect, rtx_occluded, rtx_bytes or rtx_free, expected all five", path);
    }
    if (find(library, "rtx_name", &name) && strcmp(name(), rtx_own.name) != 0) out->name = name();
    return MR_OK;
}
