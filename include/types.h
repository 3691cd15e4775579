/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. The integer types, and the two kinds of physical address that must never mix. */
#ifndef SOJOURN_TYPES_H
#define SOJOURN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guest-physical and host-physical addresses. Mixing them is a compile error. */
typedef struct {
    uint64_t v;
} gpa_t;

typedef struct {
    uint64_t v;
} hpa_t;

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12
#define LARGE_PAGE_BYTES 0x200000u

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PACKED __attribute__((packed))
#define ALIGNED(n) __attribute__((aligned(n)))
#define MUST_USE __attribute__((warn_unused_result))
/* Called on a path that a way in does not take: the function, and the branches that lead to it, are kept out of the code
   that every way in checks (kernel/door.ld). */
#define SELDOM __attribute__((noinline, cold))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* What LGDT and LIDT read, SGDT and SIDT write: SDM 3A 3.5.1 "Segment Descriptor Tables". */
struct PACKED pseudo_descriptor {
    uint16_t limit;
    uint64_t base;
};

#endif
