/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What a segment register would hold after loading a selector: SDM 3A 3.4.5 "Segment Descriptors", 3.5 "System
   Descriptor Types", 3.4.2 "Segment Selectors". Used to capture a native CPU, whose hidden parts cannot be read, and to
   tell whether a virtual one can be left without changing them. */
#ifndef SOJOURN_KERNEL_SEGMENTS_H
#define SOJOURN_KERNEL_SEGMENTS_H

#include "bits.h"
#include "err.h"
#include "types.h"
#include "vcpu_state.h"

/* Reads len bytes of guest-linear memory; false: not mapped. */
struct linear_reader {
    bool (*read)(void *ctx, uint64_t va, void *out, size_t len);
    void *ctx;
};

#define SEGMENT_SELECTOR_TI BIT32(2)
#define SEGMENT_SELECTOR_OFFSET(s) ((uint32_t)(s) & ~7u)

/* A null or absent selector's register. */
static inline struct segment segment_unusable(uint16_t selector)
{
    return (struct segment){.selector = selector, .access_rights = AR_UNUSABLE};
}

/* Decode an 8-byte (or, for system descriptors in long mode, 16-byte) descriptor. Inline, as what follows: each transition
   does it for eight registers. */
static inline struct segment segment_decode(uint16_t selector, uint64_t low, uint64_t high)
{
    struct segment s = {.selector = selector};
    uint32_t limit = (uint32_t)(bits_get(low, 15, 0) | bits_get(low, 51, 48) << 16);
    s.access_rights = (uint32_t)(bits_get(low, 47, 40) | bits_get(low, 55, 52) << 12);
    s.limit = s.access_rights & AR_G ? (limit << PAGE_SHIFT) | (PAGE_BYTES - 1) : limit;
    s.base = bits_get(low, 39, 16) | bits_get(low, 63, 56) << 24;
    if (!(s.access_rights & AR_S))
        s.base |= bits_get(high, 31, 0) << 32;
    return s;
}

/* Change the base in a 16-byte system descriptor. */
void segment_set_base(uint64_t descriptor[2], uint64_t base);

/* The register that loading selector gives, from the GDT or, with TI set, the LDT. E_GDT: not readable or beyond the
   limit. System descriptors (LDTR, TR): long mode's 16 bytes. raw: the descriptor as it is there. */
MUST_USE static inline enum err segment_load(const struct linear_reader *r, const struct table_register *gdtr,
                                             const struct segment *ldtr, uint16_t selector, bool system,
                                             struct segment *out, uint64_t raw[2])
{
    uint64_t table = gdtr->base, limit = gdtr->limit;
    *out = segment_unusable(selector);
    if (!(selector & ~3u))
        return E_OK;
    if (selector & SEGMENT_SELECTOR_TI) {
        if (ldtr->access_rights & AR_UNUSABLE)
            return E_GDT;
        table = ldtr->base;
        limit = ldtr->limit;
    }
    raw[0] = raw[1] = 0;
    size_t len = system ? 2 * sizeof raw[0] : sizeof raw[0];
    if (SEGMENT_SELECTOR_OFFSET(selector) + len - 1 > limit ||
        !r->read(r->ctx, table + SEGMENT_SELECTOR_OFFSET(selector), raw, len))
        return E_GDT;
    *out = segment_decode(selector, raw[0], raw[1]);
    return out->access_rights & AR_P ? E_OK : E_GDT;
}

/* Are the segment registers as 64-bit kernels and their processes in 64-bit code have them, so that no rule of VM entry
   can be broken by them (SDM 3C 27.3.1.2 "Checks on Guest Segment Registers", APM 2 15.5.1 "Basic Operation")? They come
   from the guest's tables, which may have changed since the CPU loaded them; false: look at the rules one by one. Bases
   that are MSRs do not count. */
bool segments_are_plain(const struct vcpu_state *s);

/* Are the parts equal that matter? which: the register. bases: in long mode those of FS and GS are MSRs and do not count. */
bool segment_same(enum sreg which, const struct segment *held, const struct segment *would_load, bool bases);

#endif
