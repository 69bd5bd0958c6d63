/* Inside the pack's own house: the check without the hash, for the compiler that has just computed it. */
#ifndef MR_PACK_CHECK_H
#define MR_PACK_CHECK_H

#include "tracer/crew.h"
#include "tracer/pack.h"

/* Bytes of one element of a section. */
size_t mr_section_element_bytes(enum mr_section section);

/* A pack's name (pack_hash.c), whatever its hash field holds. size_bytes >= sizeof(mr_pack_header). */
void mr_pack_hash(const void *bytes, size_t size_bytes, mr_crew *crew, uint8_t hash[MR_HASH_BYTES]);

/* Header and section bounds; fills the views. The first step of mr_pack_check. */
int mr_pack_views(mr_pack *out, const void *bytes, size_t size_bytes, const char *name, mr_error *err);

/* Everything that the sections say: indices, ranges, tables, the BVH. */
int mr_pack_check_contents(const mr_pack *pack, mr_crew *crew, const char *name, mr_error *err);

#endif
