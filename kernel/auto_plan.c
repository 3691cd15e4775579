/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See the header. */
#include "kernel/auto_plan.h"

#define LOST_US 200000u /* its NMI was one with another */

bool auto_plan_due(uint64_t due_us, uint64_t now_us, bool armed, bool native)
{
    uint64_t patience_us = armed ? LOST_US : 0;
    return now_us >= due_us && now_us - due_us >= patience_us && !(armed && native);
}

uint64_t auto_plan_next(uint64_t due_us, uint64_t now_us, uint64_t every_us)
{
    return due_us + ((now_us - due_us) / every_us + 1) * every_us;
}

uint64_t auto_plan_most(uint64_t keep)
{
    uint64_t most = keep + keep / 2;
    return most < STORE_CHAIN_MAX ? most : 0;
}

bool auto_plan_full(uint32_t chain, uint64_t keep)
{
    return !auto_plan_most(keep) && chain >= keep;
}

static const struct disk_entry *below(const struct store *s, const struct disk_entry *e)
{
    return e->parent ? store_find(s, e->parent) : NULL;
}

uint64_t auto_plan_surplus(const struct store *s, uint64_t keep, uint64_t most)
{
    uint64_t seen = 0, surplus = 0;
    if (!most)
        return 0;
    for (const struct disk_entry *e = store_find(s, STORE_LATEST); e; e = below(s, e))
        if ((e->flags & (ENTRY_FLAG_AUTOMATIC | ENTRY_FLAG_PINNED)) == ENTRY_FLAG_AUTOMATIC && !format_is_rest(e) &&
            seen++ >= keep && !surplus && store_heir(s, e->id))
            surplus = e->id;
    return seen >= most ? surplus : 0;
}
