/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. NPT entries: those of long-mode paging, APM 2 5.3 "Long-Mode Page Translation", as used by APM 2 15.25.5
   "Nested Table Walk", which says "the nested page table walk ... is treated as a user access": U/S must be set.
   There is no memory type: the guest's MTRRs and PAT apply with the host PAT's entry 0, write-back. */
#include "bits.h"
#include "ept/second_level.h"

#define PTE_P BIT(0)
#define PTE_RW BIT(1)
#define PTE_US BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_NX BIT(63)

static uint64_t npt_leaf(hpa_t hpa, unsigned level, unsigned rights, enum mem_type type)
{
    (void)type;
    uint64_t entry = hpa.v | PTE_US | (level > 1 ? PTE_PS : 0);
    if (rights & SL_READ)
        entry |= PTE_P;
    if (rights & SL_WRITE)
        entry |= PTE_RW;
    if (!(rights & SL_EXEC))
        entry |= PTE_NX;
    return entry;
}

static uint64_t npt_table(hpa_t hpa)
{
    return hpa.v | PTE_P | PTE_RW | PTE_US;
}

static bool npt_is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (entry & PTE_PS);
}

static unsigned npt_rights(uint64_t leaf)
{
    if (!(leaf & PTE_P))
        return 0;
    return SL_READ | (leaf & PTE_RW ? SL_WRITE : 0) | (leaf & PTE_NX ? 0 : SL_EXEC);
}

static enum mem_type npt_type(uint64_t leaf)
{
    (void)leaf;
    return MEM_WB;
}

const struct sl_codec codec_npt = {
    .name = "npt",
    .leaf = npt_leaf,
    .table = npt_table,
    .is_leaf = npt_is_leaf,
    .rights = npt_rights,
    .type = npt_type,
    .accessed = PTE_A,
    .dirty = PTE_D,
    .write = PTE_RW,
};
