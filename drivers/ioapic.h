/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The I/O APICs, and the host's loan of single entries: while the host has an entry in NMI mode, the guest's own
   value is kept here as an override; a capture reports that, a restore changes that, the hardware entry is left alone.
 */
#ifndef SOJOURN_DRIVERS_IOAPIC_H
#define SOJOURN_DRIVERS_IOAPIC_H

#include "ckpt/dev_ioapic.h"

#define IOAPIC_OVERRIDES_MAX 8

struct ioapic_location {
    hpa_t base; /* from the ACPI MADT */
    uint32_t gsi_base;
};

void ioapic_init(const struct ioapic_location *units, uint32_t count);
bool ioapic_present(void);
void ioapic_machine(struct dev_ioapic_machine *machine);

/* The entry of one global system interrupt, IOREGSEL preserved. E_NOTFOUND: no I/O APIC has it. */
enum err ioapic_read_entry(uint32_t gsi, uint64_t *entry) MUST_USE;
/* Masks first, then high half, then low half: never a mixture of old and new. */
enum err ioapic_write_entry(uint32_t gsi, uint64_t entry) MUST_USE;

/* The guest's own entry behind the host's. E_FULL: no slot. */
enum err ioapic_set_override(uint32_t gsi, uint32_t lo, uint32_t hi) MUST_USE;
bool ioapic_get_override(uint32_t gsi, uint32_t *lo, uint32_t *hi);
void ioapic_clear_override(uint32_t gsi);

enum err ioapic_capture(struct dev_ioapic_state *s) MUST_USE;
enum err ioapic_quiesce(void) MUST_USE;
enum err ioapic_restore(const struct dev_ioapic_state *s) MUST_USE;

#endif
