/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The memory type that the MTRRs give to a range: under EPT they no longer act by themselves, so the EPT entry
   has to repeat them (SDM 3C 29.3.7 "EPT and Memory Typing"). SDM 3A 12.11 "Memory Type Range Registers (MTRRs)",
   12.11.4.1 "MTRR Precedences". */
#include "bits.h"
#include "ept/second_level.h"

#define MTRR_DEF_TYPE_TYPE MASK(7, 0)
#define MTRR_DEF_TYPE_FE BIT(10)
#define MTRR_DEF_TYPE_E BIT(11)
#define MTRR_PHYSBASE_TYPE MASK(7, 0)
#define MTRR_PHYSMASK_VALID BIT(11)
#define MTRR_ADDRESS MASK(51, 12)

#define FIXED_LIMIT 0x100000u
#define FIX64K_END 0x80000u
#define FIX16K_END 0xc0000u

/* SDM 3A 12.11.2.2 "Fixed Range MTRRs": one byte each, eight to a register. */
static enum mem_type fixed_type(const struct vcpu_state *s, uint64_t addr)
{
    unsigned first, slot;
    if (addr < FIX64K_END) {
        first = VMSR_MTRR_FIX64K;
        slot = (unsigned)(addr / 0x10000);
    } else if (addr < FIX16K_END) {
        first = VMSR_MTRR_FIX16K_0;
        slot = (unsigned)((addr - FIX64K_END) / 0x4000);
    } else {
        first = VMSR_MTRR_FIX4K_0;
        slot = (unsigned)((addr - FIX16K_END) / 0x1000);
    }
    return (enum mem_type)(s->msr[first + slot / 8] >> (slot % 8 * 8) & 0xff);
}

/* "If two or more variable memory ranges match: same type, that type; UC wins; WT and WB give WT; other overlaps are
   undefined": there the safe one, UC. */
static enum mem_type combine(enum mem_type a, enum mem_type b)
{
    if (a == b)
        return a;
    if ((a == MEM_WT && b == MEM_WB) || (a == MEM_WB && b == MEM_WT))
        return MEM_WT;
    return MEM_UC;
}

/* bytes is a power of two and gpa a multiple of it, so a mask bit below bytes means a boundary inside the range. */
enum mem_type mtrr_type(const struct vcpu_state *s, gpa_t gpa, uint64_t bytes)
{
    uint64_t def = s->msr[VMSR_MTRR_DEF_TYPE];
    if (!(s->msr_present & BIT(VMSR_MTRR_DEF_TYPE)))
        return MEM_WB; /* no MTRRs at all: page attributes alone decide, as under a write-back range */
    if (!(def & MTRR_DEF_TYPE_E))
        return MEM_UC;
    if (gpa.v < FIXED_LIMIT && (def & MTRR_DEF_TYPE_FE))
        return bytes > PAGE_BYTES ? MEM_MIXED : fixed_type(s, gpa.v);

    enum mem_type type = MEM_MIXED; /* no match so far */
    bool partial = false;
    for (uint32_t i = 0; i < s->mtrr_count && i < VCPU_MTRR_VARIABLE_MAX; i++) {
        uint64_t mask = s->mtrr_mask[i] & MTRR_ADDRESS;
        if (!(s->mtrr_mask[i] & MTRR_PHYSMASK_VALID) || ((gpa.v ^ s->mtrr_base[i]) & mask & ~(bytes - 1)))
            continue;
        if (mask & (bytes - 1)) {
            partial = true;
            continue;
        }
        enum mem_type this = (enum mem_type)(s->mtrr_base[i] & MTRR_PHYSBASE_TYPE);
        type = type == MEM_MIXED ? this : combine(type, this);
    }
    if (type == MEM_UC)
        return MEM_UC; /* nothing overlaps UC away */
    if (partial)
        return MEM_MIXED;
    return type == MEM_MIXED ? (enum mem_type)(def & MTRR_DEF_TYPE_TYPE) : type;
}
