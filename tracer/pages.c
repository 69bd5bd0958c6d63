/* See pages.h. */
#include "tracer/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { ALIGN = 64, LARGE_PAGE = 2 << 20 };

void *mr_pages_alloc(size_t bytes)
{
    size_t align = bytes >= 2 * (size_t)LARGE_PAGE ? LARGE_PAGE : ALIGN;
    if (bytes > SIZE_MAX - align) return NULL;
    size_t room = (bytes + align - 1) / align * align;
    void *at = aligned_alloc(align, room ? room : align);
    if (at && align == LARGE_PAGE) (void)madvise(at, room, MADV_HUGEPAGE);
    return at;
}
