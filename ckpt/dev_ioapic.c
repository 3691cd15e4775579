/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_ioapic.h. */
#include "ckpt/dev_ioapic.h"

#include "str.h"

#define VECTOR_FIRST_LEGAL 0x10u /* SDM 3A 10.5.2 "Valid Interrupt Vectors" */

static enum err check_unit(const struct dev_ioapic_unit *u, uint32_t index, char *why, size_t why_len)
{
    for (uint32_t n = 0; n < IOAPIC_ENTRIES_MAX; n++) {
        uint64_t e = u->entry[n];
        if (n >= IOAPIC_ENTRIES(u->version)) {
            if (e)
                return dev_refuse(E_DEVICE, why, why_len, "ioapic %u: entry %u does not exist but has a value",
                                  (unsigned)index, (unsigned)n);
            continue;
        }
        bool vectored = IOAPIC_ENTRY_DELIVERY_MODE(e) <= IOAPIC_DELIVERY_LOWEST;
        if (!(e & IOAPIC_ENTRY_MASKED) && vectored && (e & MASK(7, 0)) < VECTOR_FIRST_LEGAL)
            return dev_refuse(E_DEVICE, why, why_len, "ioapic %u: entry %u is open with illegal vector %02x",
                              (unsigned)index, (unsigned)n, (unsigned)(e & MASK(7, 0)));
    }
    return E_OK;
}

enum err dev_ioapic_check(const struct dev_ioapic_state *s, const struct dev_ioapic_machine *machine, char *why,
                          size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_IOAPIC_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->units > IOAPIC_UNITS_MAX || s->zero)
        return dev_refuse(E_DEVICE, why, why_len, "ioapic: impossible number of units");
    if (s->units != machine->units)
        return dev_refuse(E_LAYOUT, why, why_len, "ioapic: %u units, this machine has %u", (unsigned)s->units,
                          (unsigned)machine->units);
    for (uint32_t i = 0; i < s->units; i++) {
        const struct dev_ioapic_unit *u = &s->unit[i];
        if (IOAPIC_ENTRIES(u->version) > IOAPIC_ENTRIES_MAX)
            return dev_refuse(E_DEVICE, why, why_len, "ioapic %u: impossible number of entries", (unsigned)i);
        if (u->gsi_base != machine->gsi_base[i] || IOAPIC_ENTRIES(u->version) != machine->entries[i])
            return dev_refuse(E_LAYOUT, why, why_len, "ioapic %u: %u entries from GSI %u, this machine has %u from %u",
                              (unsigned)i, (unsigned)IOAPIC_ENTRIES(u->version), (unsigned)u->gsi_base,
                              (unsigned)machine->entries[i], (unsigned)machine->gsi_base[i]);
        e = check_unit(u, i, why, why_len);
        if (e)
            return e;
    }
    return E_OK;
}

void dev_ioapic_show(const struct dev_ioapic_state *s, char *text, size_t len)
{
    unsigned open = 0, total = 0, remote = 0;
    for (uint32_t i = 0; i < s->units && i < IOAPIC_UNITS_MAX; i++)
        for (uint32_t n = 0; n < IOAPIC_ENTRIES(s->unit[i].version) && n < IOAPIC_ENTRIES_MAX; n++) {
            total++;
            open += !(s->unit[i].entry[n] & IOAPIC_ENTRY_MASKED);
            remote += (s->unit[i].entry[n] & IOAPIC_ENTRY_REMOTE_IRR) != 0;
        }
    str_format(text, len, "%u units, %u of %u entries open, %u levels in service", (unsigned)s->units, open, total,
               remote);
}
