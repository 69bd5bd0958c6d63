/* Which kernels this machine can run, and the best of them. Compiled for the machine's base instruction set, as everything is that
 * is not a kernel. */
#include <stdio.h>
#include <string.h>

#include "tracer/kernel_list.h"

enum { KERNELS_MAX = 5 };

#ifdef __x86_64__
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq");
}
#endif

/* Lists the kernels, worst first; returns their number. */
static unsigned list_kernels(const mr_kernel *list[KERNELS_MAX])
{
    unsigned n = 0;
    list[n++] = &mr_kernel_scalar;
#ifdef __x86_64__
    list[n++] = &mr_kernel_sse;
    if (has_avx2()) list[n++] = &mr_kernel_avx2;
    if (has_avx512()) list[n++] = &mr_kernel_avx512;
#endif
#ifdef __aarch64__
    list[n++] = &mr_kernel_neon;
#endif
    return n;
}

const mr_kernel *mr_kernel_at(unsigned i)
{
    const mr_kernel *list[KERNELS_MAX];
    return i < list_kernels(list) ? list[i] : NULL;
}

static int fail_unknown(const char *name, const mr_kernel *const *list, unsigned n, mr_error *err)
{
    char names[64] = "";
    size_t at = 0;
    for (unsigned i = 0; i < n && at < sizeof names; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", list[i]->name);
    return mr_fail(err, MR_USAGE, "kernel \"%s\": this machine has %s", name, names);
}

int mr_kernel_pick(const mr_kernel **out, const char *name, mr_error *err)
{
    const mr_kernel *list[KERNELS_MAX];
    unsigned n = list_kernels(list);
    if (!name) {
        *out = list[n - 1];
        return MR_OK;
    }
    for (unsigned i = 0; i < n; i++) {
        if (strcmp(list[i]->name, name) != 0) continue;
        *out = list[i];
        return MR_OK;
    }
    return fail_unknown(name, list, n, err);
}
