/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Descriptor decoding and comparison; see the header. */
#include "kernel/segments.h"

#include "bits.h"

#define SELECTOR_TI BIT32(2)
#define SELECTOR_INDEX(s) ((uint32_t)(s) & ~7u)
#define TYPE_ACCESSED 1u
#define TYPE_TSS_BUSY 2u

struct segment segment_unusable(uint16_t selector)
{
    return (struct segment){.selector = selector, .access_rights = AR_UNUSABLE};
}

struct segment segment_decode(uint16_t selector, uint64_t low, uint64_t high)
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

void segment_set_base(uint64_t descriptor[2], uint64_t base)
{
    descriptor[0] &= ~(MASK(39, 16) | MASK(63, 56));
    descriptor[0] |= bits_get(base, 23, 0) << 16 | bits_get(base, 31, 24) << 56;
    descriptor[1] = base >> 32;
}

enum err segment_load(const struct linear_reader *r, const struct table_register *gdtr, const struct segment *ldtr,
                      uint16_t selector, bool system, struct segment *out, uint64_t raw[2])
{
    uint64_t table = gdtr->base, limit = gdtr->limit;
    *out = segment_unusable(selector);
    if (!(selector & ~3u))
        return E_OK;
    if (selector & SELECTOR_TI) {
        if (ldtr->access_rights & AR_UNUSABLE)
            return E_GDT;
        table = ldtr->base;
        limit = ldtr->limit;
    }
    raw[0] = raw[1] = 0;
    size_t len = system ? 2 * sizeof raw[0] : sizeof raw[0];
    if (SELECTOR_INDEX(selector) + len - 1 > limit || !r->read(r->ctx, table + SELECTOR_INDEX(selector), raw, len))
        return E_GDT;
    *out = segment_decode(selector, raw[0], raw[1]);
    return out->access_rights & AR_P ? E_OK : E_GDT;
}

bool segment_same_in_long_mode(enum sreg which, const struct segment *held, const struct segment *would_load)
{
    bool held_null = held->access_rights & AR_UNUSABLE, load_null = would_load->access_rights & AR_UNUSABLE;
    /* The CPU keeps SS "usable" with a null selector in ring 0; a null DS stays null whatever its hidden part says. */
    if (held_null || load_null)
        return which == SREG_SS || (held->selector & ~3u) == 0 || held_null == load_null;
    uint32_t rights_mask = ~AR_TYPE_MASK | (AR_TYPE_MASK & ~TYPE_ACCESSED);
    if (which == SREG_TR)
        rights_mask &= ~TYPE_TSS_BUSY;
    if ((held->access_rights & rights_mask) != (would_load->access_rights & rights_mask))
        return false;
    if (which == SREG_FS || which == SREG_GS)
        return held->limit == would_load->limit;
    return held->limit == would_load->limit && held->base == would_load->base;
}
