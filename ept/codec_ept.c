/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. EPT entries: SDM 3C 29.3.2 "EPT Translation Mechanism", tables "Format of an EPT Page-Table Entry" and its
   like. "Ignore PAT" stays 0, so that the guest's own PAT combines with the type as the MTRRs' would. */
#include "bits.h"
#include "ept/second_level.h"

#define EPT_READ BIT(0)
#define EPT_WRITE BIT(1)
#define EPT_EXECUTE BIT(2)
#define EPT_TYPE_SHIFT 3
#define EPT_TYPE_HI 5
#define EPT_LARGE BIT(7)
#define EPT_ACCESSED BIT(8)
#define EPT_DIRTY BIT(9)

_Static_assert(EPT_READ == SL_READ && EPT_WRITE == SL_WRITE && EPT_EXECUTE == SL_EXEC, "rights need no translation");

static uint64_t ept_leaf(hpa_t hpa, unsigned level, unsigned rights, enum mem_type type)
{
    return hpa.v | (rights & SL_RWX) | (uint64_t)type << EPT_TYPE_SHIFT | (level > 1 ? EPT_LARGE : 0);
}

static uint64_t ept_table(hpa_t hpa)
{
    return hpa.v | EPT_READ | EPT_WRITE | EPT_EXECUTE;
}

static bool ept_is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (entry & EPT_LARGE);
}

static unsigned ept_rights(uint64_t leaf)
{
    return (unsigned)(leaf & SL_RWX);
}

static enum mem_type ept_type(uint64_t leaf)
{
    return (enum mem_type)bits_get(leaf, EPT_TYPE_HI, EPT_TYPE_SHIFT);
}

const struct sl_codec codec_ept = {
    .name = "ept",
    .leaf = ept_leaf,
    .table = ept_table,
    .is_leaf = ept_is_leaf,
    .rights = ept_rights,
    .type = ept_type,
    .accessed = EPT_ACCESSED,
    .dirty = EPT_DIRTY,
    .write = EPT_WRITE,
};
