/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. All I/O APICs as a checkpoint holds them. Delivery status and remote IRR are read-only: recorded, not restored;
   a level that is still asserted raises its interrupt again. */
#ifndef SOJOURN_CKPT_DEV_IOAPIC_H
#define SOJOURN_CKPT_DEV_IOAPIC_H

#include "bits.h"
#include "ckpt/dev_common.h"

#define DEV_IOAPIC_VERSION 1
#define IOAPIC_UNITS_MAX 8u
#define IOAPIC_ENTRIES_MAX 120u
/* Intel 82093AA data sheet 3.2 "IOAPIC Registers" */
#define IOAPIC_MMIO_SELECT 0x00u
#define IOAPIC_MMIO_WINDOW 0x10u
#define IOAPIC_REG_ID 0x00u
#define IOAPIC_REG_VERSION 0x01u
#define IOAPIC_REG_ENTRY(n) (0x10u + 2u * (n))
#define IOAPIC_ENTRIES(version) ((uint32_t)bits_get((version), 23, 16) + 1)
#define IOAPIC_ENTRY_DELIVERY_MODE(e) ((uint32_t)bits_get((e), 10, 8))
#define IOAPIC_DELIVERY_FIXED 0u
#define IOAPIC_DELIVERY_LOWEST 1u
#define IOAPIC_ENTRY_DELIVERY_STATUS BIT(12)
#define IOAPIC_ENTRY_REMOTE_IRR BIT(14)
#define IOAPIC_ENTRY_LEVEL BIT(15)
#define IOAPIC_ENTRY_MASKED BIT(16)
#define IOAPIC_ENTRY_READ_ONLY (IOAPIC_ENTRY_DELIVERY_STATUS | IOAPIC_ENTRY_REMOTE_IRR)

struct dev_ioapic_unit {
    uint32_t gsi_base;
    uint32_t id, version, select; /* registers, as read */
    uint64_t entry[IOAPIC_ENTRIES_MAX];
};

struct dev_ioapic_state {
    struct dev_head head;
    uint32_t units;
    uint32_t zero;
    struct dev_ioapic_unit unit[IOAPIC_UNITS_MAX];
};

_Static_assert(sizeof(struct dev_ioapic_unit) == 976, "saved layout");
_Static_assert(sizeof(struct dev_ioapic_state) == 16 + 8 * 976, "saved layout");

/* What must be the same here: how many units, where their interrupts begin, how many entries each has. */
struct dev_ioapic_machine {
    uint32_t units;
    uint32_t gsi_base[IOAPIC_UNITS_MAX], entries[IOAPIC_UNITS_MAX];
};

enum err dev_ioapic_check(const struct dev_ioapic_state *s, const struct dev_ioapic_machine *machine, char *why,
                          size_t why_len) MUST_USE;
void dev_ioapic_show(const struct dev_ioapic_state *s, char *text, size_t len);

#endif
