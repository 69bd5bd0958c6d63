/* Memory for what is large: in pages of 2 MiB where the system gives them, which are cheaper to come by and to find. */
#ifndef MR_PAGES_H
#define MR_PAGES_H

#include <stddef.h>

/* Aligned to 64 at least, not cleared; free() it. NULL without memory. */
void *mr_pages_alloc(size_t bytes);

#endif
