/* The kernels that exist: one build of tracer/kernel.c each, chosen from in tracer/kernel_pick.c. */
#ifndef MR_KERNEL_LIST_H
#define MR_KERNEL_LIST_H

#include "tracer/kernel.h"

extern const mr_kernel mr_kernel_scalar;
#ifdef __x86_64__
extern const mr_kernel mr_kernel_sse, mr_kernel_avx2, mr_kernel_avx512;
#endif
#ifdef __aarch64__
extern const mr_kernel mr_kernel_neon;
#endif

#endif
