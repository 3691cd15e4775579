/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Descriptor decoding and comparison; see the header. */
#include "kernel/segments.h"

#include "bits.h"

#define TYPE_ACCESSED 1u
#define TYPE_TSS_BUSY 2u

void segment_set_base(uint64_t descriptor[2], uint64_t base)
{
    descriptor[0] &= ~(MASK(39, 16) | MASK(63, 56));
    descriptor[0] |= bits_get(base, 23, 0) << 16 | bits_get(base, 31, 24) << 56;
    descriptor[1] = base >> 32;
}

bool segment_same(enum sreg which, const struct segment *held, const struct segment *would_load, bool bases)
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
    if (!bases && (which == SREG_FS || which == SREG_GS))
        return held->limit == would_load->limit;
    return held->limit == would_load->limit && held->base == would_load->base;
}
