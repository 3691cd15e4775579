/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See the header. SDM 3A 4.3 "32-Bit Paging", 4.4 "PAE Paging": a PDPTE has neither rights nor an accessed bit. */
#include "kernel/bridge_tables.h"

#include "bits.h"
#include "kernel/gateway_slot32.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_A BIT(5)
#define PTE_ADDRESS MASK(51, 12)

bool bridge_tables_map(struct bridge_tables *t, uint64_t va, uint64_t pa)
{
    bool pae = t->format == PAGING_PAE;
    unsigned bits = pae ? 9 : 10, table = 0;
    if (!t->used)
        t->used = 1;
    for (unsigned level = pae ? 3 : 2;; level--) {
        unsigned slot = (unsigned)(va >> (PAGE_SHIFT + bits * (level - 1))) & (BIT32(bits) - 1);
        uint8_t *at = (uint8_t *)t->pages + table * PAGE_BYTES;
        uint64_t entry = level == 1 ? pa | PTE_P | PTE_A : gateway_slot32_entry(at, t->format, slot);
        if (!(entry & PTE_P)) {
            if (t->used == BRIDGE_TABLE_PAGES)
                return false;
            entry = (t->pa + t->used++ * PAGE_BYTES) | (level == 3 ? PTE_P : PTE_P | PTE_A | PTE_W);
        }
        if (pae)
            ((uint64_t *)(void *)at)[slot] = entry;
        else
            ((uint32_t *)(void *)at)[slot] = (uint32_t)entry;
        if (level == 1)
            return true;
        table = (unsigned)(((entry & PTE_ADDRESS) - t->pa) / PAGE_BYTES);
    }
}
