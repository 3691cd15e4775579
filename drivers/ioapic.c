/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See ioapic.h. The guest may stand between its write of IOREGSEL and its access of IOWIN, so IOREGSEL is read
   before and put back after every use. */
#include "drivers/ioapic.h"

#include "io.h"

struct override {
    bool used;
    uint32_t gsi;
    uint64_t entry;
};

static struct ioapic_location unit_at[IOAPIC_UNITS_MAX];
static uint32_t unit_count;
static struct override overrides[IOAPIC_OVERRIDES_MAX];

void ioapic_init(const struct ioapic_location *units, uint32_t count)
{
    unit_count = count < IOAPIC_UNITS_MAX ? count : IOAPIC_UNITS_MAX;
    for (uint32_t i = 0; i < unit_count; i++)
        unit_at[i] = units[i];
    for (uint32_t i = 0; i < IOAPIC_OVERRIDES_MAX; i++)
        overrides[i].used = false;
}

bool ioapic_present(void)
{
    return unit_count > 0;
}

static uint32_t select_get(uint32_t unit)
{
    return mmio_read32((hpa_t){unit_at[unit].base.v + IOAPIC_MMIO_SELECT});
}

static void select_set(uint32_t unit, uint32_t reg)
{
    mmio_write32((hpa_t){unit_at[unit].base.v + IOAPIC_MMIO_SELECT}, reg);
}

static uint32_t reg_read(uint32_t unit, uint32_t reg)
{
    select_set(unit, reg);
    return mmio_read32((hpa_t){unit_at[unit].base.v + IOAPIC_MMIO_WINDOW});
}

static void reg_write(uint32_t unit, uint32_t reg, uint32_t value)
{
    select_set(unit, reg);
    mmio_write32((hpa_t){unit_at[unit].base.v + IOAPIC_MMIO_WINDOW}, value);
}

static uint64_t entry_read(uint32_t unit, uint32_t n)
{
    return reg_read(unit, IOAPIC_REG_ENTRY(n)) | (uint64_t)reg_read(unit, IOAPIC_REG_ENTRY(n) + 1) << 32;
}

static void entry_write(uint32_t unit, uint32_t n, uint64_t entry)
{
    entry &= ~IOAPIC_ENTRY_READ_ONLY;
    reg_write(unit, IOAPIC_REG_ENTRY(n), (uint32_t)(entry | IOAPIC_ENTRY_MASKED));
    reg_write(unit, IOAPIC_REG_ENTRY(n) + 1, (uint32_t)(entry >> 32));
    if (!(entry & IOAPIC_ENTRY_MASKED))
        reg_write(unit, IOAPIC_REG_ENTRY(n), (uint32_t)entry);
}

/* A level entry whose remote IRR is stuck never fires again; going through edge mode clears it (the way Linux does on
   I/O APICs without an EOI register). */
static void entry_clear(uint32_t unit, uint32_t n)
{
    uint64_t entry = entry_read(unit, n) & ~IOAPIC_ENTRY_READ_ONLY;
    reg_write(unit, IOAPIC_REG_ENTRY(n), (uint32_t)((entry | IOAPIC_ENTRY_MASKED) & ~IOAPIC_ENTRY_LEVEL));
    reg_write(unit, IOAPIC_REG_ENTRY(n), (uint32_t)(entry | IOAPIC_ENTRY_MASKED));
}

static uint32_t entry_count(uint32_t unit)
{
    uint32_t n = IOAPIC_ENTRIES(reg_read(unit, IOAPIC_REG_VERSION));
    return n < IOAPIC_ENTRIES_MAX ? n : IOAPIC_ENTRIES_MAX;
}

void ioapic_machine(struct dev_ioapic_machine *machine)
{
    machine->units = unit_count;
    for (uint32_t i = 0; i < unit_count; i++) {
        uint32_t select = select_get(i);
        machine->gsi_base[i] = unit_at[i].gsi_base;
        machine->entries[i] = entry_count(i);
        select_set(i, select);
    }
}

static bool find(uint32_t gsi, uint32_t *unit, uint32_t *n)
{
    for (uint32_t i = 0; i < unit_count; i++) {
        uint32_t select = select_get(i), count = entry_count(i);
        select_set(i, select);
        if (gsi >= unit_at[i].gsi_base && gsi - unit_at[i].gsi_base < count) {
            *unit = i;
            *n = gsi - unit_at[i].gsi_base;
            return true;
        }
    }
    return false;
}

enum err ioapic_read_entry(uint32_t gsi, uint64_t *entry)
{
    uint32_t unit, n;
    if (!find(gsi, &unit, &n))
        return E_NOTFOUND;
    uint32_t select = select_get(unit);
    *entry = entry_read(unit, n);
    select_set(unit, select);
    return E_OK;
}

enum err ioapic_write_entry(uint32_t gsi, uint64_t entry)
{
    uint32_t unit, n;
    if (!find(gsi, &unit, &n))
        return E_NOTFOUND;
    uint32_t select = select_get(unit);
    entry_write(unit, n, entry);
    select_set(unit, select);
    return E_OK;
}

static struct override *override_of(uint32_t gsi)
{
    for (uint32_t i = 0; i < IOAPIC_OVERRIDES_MAX; i++)
        if (overrides[i].used && overrides[i].gsi == gsi)
            return &overrides[i];
    return NULL;
}

enum err ioapic_set_override(uint32_t gsi, uint32_t lo, uint32_t hi)
{
    struct override *o = override_of(gsi);
    for (uint32_t i = 0; !o && i < IOAPIC_OVERRIDES_MAX; i++)
        if (!overrides[i].used)
            o = &overrides[i];
    if (!o)
        return E_FULL;
    *o = (struct override){true, gsi, (uint64_t)hi << 32 | lo};
    return E_OK;
}

bool ioapic_get_override(uint32_t gsi, uint32_t *lo, uint32_t *hi)
{
    const struct override *o = override_of(gsi);
    if (!o)
        return false;
    *lo = (uint32_t)o->entry;
    *hi = (uint32_t)(o->entry >> 32);
    return true;
}

void ioapic_clear_override(uint32_t gsi)
{
    struct override *o = override_of(gsi);
    if (o)
        o->used = false;
}

enum err ioapic_capture(struct dev_ioapic_state *s)
{
    s->head = DEV_HEAD(DEV_IOAPIC_VERSION, struct dev_ioapic_state);
    s->units = unit_count;
    for (uint32_t i = 0; i < unit_count; i++) {
        struct dev_ioapic_unit *u = &s->unit[i];
        u->select = select_get(i);
        u->gsi_base = unit_at[i].gsi_base;
        u->id = reg_read(i, IOAPIC_REG_ID);
        u->version = reg_read(i, IOAPIC_REG_VERSION);
        uint32_t count = entry_count(i);
        for (uint32_t n = 0; n < count; n++) {
            const struct override *o = override_of(u->gsi_base + n);
            u->entry[n] = o ? o->entry : entry_read(i, n);
        }
        select_set(i, u->select);
    }
    return E_OK;
}

enum err ioapic_quiesce(void)
{
    for (uint32_t i = 0; i < unit_count; i++) {
        uint32_t select = select_get(i), count = entry_count(i);
        for (uint32_t n = 0; n < count; n++)
            if (!override_of(unit_at[i].gsi_base + n))
                reg_write(i, IOAPIC_REG_ENTRY(n), reg_read(i, IOAPIC_REG_ENTRY(n)) | (uint32_t)IOAPIC_ENTRY_MASKED);
        select_set(i, select);
    }
    return E_OK;
}

enum err ioapic_restore(const struct dev_ioapic_state *s)
{
    for (uint32_t i = 0; i < unit_count && i < s->units; i++) {
        const struct dev_ioapic_unit *u = &s->unit[i];
        uint32_t count = entry_count(i);
        reg_write(i, IOAPIC_REG_ID, u->id);
        for (uint32_t n = 0; n < count; n++) {
            struct override *o = override_of(u->gsi_base + n);
            if (o) {
                o->entry = u->entry[n] & ~IOAPIC_ENTRY_READ_ONLY;
                continue;
            }
            entry_clear(i, n);
            entry_write(i, n, u->entry[n]);
        }
        select_set(i, u->select);
    }
    return E_OK;
}
