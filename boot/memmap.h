/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The physical memory map: sorted, merged, free of overlaps, and edited so that the hidden range is missing
   from what the guest is given. Types are the numbers of ACPI 15 "System Address Map Interfaces". */
#ifndef SOJOURN_BOOT_MEMMAP_H
#define SOJOURN_BOOT_MEMMAP_H

#include "err.h"
#include "types.h"

enum memmap_type { MEMMAP_RAM = 1, MEMMAP_RESERVED = 2, MEMMAP_ACPI = 3, MEMMAP_NVS = 4, MEMMAP_BAD = 5 };

struct memmap_entry {
    uint64_t base, end; /* end: first byte after */
    uint32_t type;      /* enum memmap_type, or a number the loader knows and we do not */
    uint32_t zero;
};

/* Room for every piece that overlapping entries of a full loader map can be cut into. */
#define MEMMAP_MAX 520

struct memmap {
    uint32_t count;
    struct memmap_entry
        entry[MEMMAP_MAX]; /* ascending, disjoint, never empty; neighbours differ in type or touch not */
};

#define MEMMAP_BELOW_4G (1ull << 32)
/* What a guest needs at the least beside the hidden range, or the machine counts as too small (measured: Debian's
   cloud kernel runs from 72 MiB and not from 64). */
#define MEMMAP_GUEST_MIN_BYTES (64ull << 20)

/* Build map from entries in any order; where they overlap the more reserved type wins. E_NOMEM: more than MEMMAP_MAX
   pieces. */
enum err memmap_build(struct memmap *map, const struct memmap_entry *entries, size_t count) MUST_USE;
/* Give [base, end) the type, whatever it was. E_NOMEM: no room for the new pieces; the map is then unchanged. */
enum err memmap_set(struct memmap *map, uint64_t base, uint64_t end, uint32_t type) MUST_USE;
/* Bytes of usable RAM, page-wise (partial pages do not count). */
uint64_t memmap_usable_bytes(const struct memmap *map);
/* The hidden memory a machine with so much usable RAM gets: 8 MiB + RAM / 100, up to a multiple of 2 MiB. */
uint64_t memmap_hidden_bytes(uint64_t usable_bytes);
/* Where to hide: bytes (a multiple of 2 MiB) at a 2 MiB boundary at the top of the highest RAM below 4 GiB that can
   hold them. Changes nothing; memmap_set(..., MEMMAP_RESERVED) carves. E_NOMEM with the numbers in why. */
enum err memmap_choose_hidden(const struct memmap *map, uint64_t bytes, uint64_t *base, char *why,
                              size_t why_bytes) MUST_USE;
/* As above without the guest's minimum: a place for the host on a machine too small to hide, for a native start. */
enum err memmap_choose_top(const struct memmap *map, uint64_t bytes, uint64_t *base) MUST_USE;
/* Where the log goes, apart from the rest: a boot loader keeps whole files at the top of RAM, so a log that is to
   outlive a warm reset cannot be there. The middle of the largest RAM below 4 GiB, 2 MiB aligned, the same at every
   boot. E_NOMEM: no RAM of MEMMAP_LOG_MIN_BYTES in one piece; then the log shares the hidden range. */
#define MEMMAP_LOG_MIN_BYTES (192ull << 20)
enum err memmap_choose_log(const struct memmap *map, uint64_t bytes, uint64_t *base) MUST_USE;
/* Is all of [base, end) of this type? */
bool memmap_is(const struct memmap *map, uint64_t base, uint64_t end, uint32_t type);

#endif
