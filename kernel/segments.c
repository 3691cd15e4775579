/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Descriptor decoding and comparison; see the header. */
#include "kernel/segments.h"

#include "bits.h"
#include "msr.h"

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

#define AR_DPL (3u << AR_DPL_SHIFT)
#define AR_RESERVED ((uint32_t)(MASK(31, 17) | MASK(11, 8)))
#define TYPE_CODE 8u
#define TYPE_READABLE 2u
#define TYPE_CODE64 (AR_P | AR_S | 11u)
#define TYPE_DATA (AR_P | AR_S | 3u)
#define TYPE_LDT (AR_P | 2u)
#define TYPE_TSS (AR_P | 11u)
/* What has to be as it is here, and what may be either way: code conforming no, readable or not; data growing up. */
#define CODE_MASK (AR_UNUSABLE | AR_RESERVED | AR_P | AR_S | AR_L | AR_DB | 13u)
#define DATA_MASK (AR_UNUSABLE | AR_RESERVED | AR_P | AR_S | AR_TYPE_MASK)
#define READ_MASK (AR_RESERVED | AR_P | AR_S | TYPE_ACCESSED)
#define SYSTEM_MASK (AR_UNUSABLE | AR_RESERVED | AR_P | AR_S | AR_TYPE_MASK)
#define SELECTOR_TI 4u
#define CANONICAL_SHIFT 47

/* Nothing, or what can be read. The DPL does not matter: of an unrestricted guest VM entry does not ask for it. */
static inline bool nothing_or_readable(const struct segment *seg)
{
    uint32_t ar = seg->access_rights;
    return (ar & AR_UNUSABLE) ||
           ((ar & READ_MASK) == (AR_P | AR_S | TYPE_ACCESSED) && (ar & (TYPE_CODE | TYPE_READABLE)) != TYPE_CODE);
}

static inline bool is_system(const struct segment *seg, uint32_t kind)
{
    uint64_t top = seg->base >> CANONICAL_SHIFT;
    return ((seg->access_rights ^ kind) & SYSTEM_MASK) == 0 && !(seg->selector & SELECTOR_TI) &&
           (top == 0 || top == MASK(16, 0));
}

bool segments_are_plain(const struct vcpu_state *s)
{
    const struct segment *cs = &s->seg[SREG_CS], *ss = &s->seg[SREG_SS], *ldtr = &s->seg[SREG_LDTR];
    return (s->msr[VMSR_EFER] & EFER_LMA) && !(s->rflags & RFLAGS_VM) &&
           ((cs->access_rights ^ (TYPE_CODE64 | AR_L)) & CODE_MASK) == 0 &&
           ((cs->access_rights ^ ss->access_rights) & AR_DPL) == 0 &&
           ((ss->access_rights & AR_UNUSABLE) || ((ss->access_rights ^ TYPE_DATA) & DATA_MASK) == 0) &&
           nothing_or_readable(&s->seg[SREG_DS]) && nothing_or_readable(&s->seg[SREG_ES]) &&
           nothing_or_readable(&s->seg[SREG_FS]) && nothing_or_readable(&s->seg[SREG_GS]) &&
           ((ldtr->access_rights & AR_UNUSABLE) || is_system(ldtr, TYPE_LDT)) && is_system(&s->seg[SREG_TR], TYPE_TSS);
}
