/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Finds and keeps the store's disk; see disk.h. Two disks at most are open at a time, the one to keep and the
   one being looked at, so two pages of DMA memory serve any number of disks. */
#include "drivers/disk.h"

#include "bits.h"
#include "drivers/ahci.h"
#include "drivers/ata.h"
#include "drivers/partition.h"
#include "drivers/pci.h"
#include "hostmem.h"
#include "log.h"

#include <string.h>

#define PCI_FUNCTIONS_MAX 256
#define SELECTOR_MAX 48

struct controller {
    enum disk_kind kind;
    struct ahci_hba ahci;
    struct ata_controller ata;
};

struct slot {
    void *page;
    bool open;
    enum disk_kind kind;
    struct ahci_disk ahci;
    struct ata_disk ata;
};

static struct pci_function functions[PCI_FUNCTIONS_MAX];
static struct slot slots[2];
/* What is kept. */
static struct controller kept;
static struct slot *kept_slot;
static struct block_part kept_part;
static char kept_selector[SELECTOR_MAX];

static enum disk_kind kind_of(const struct pci_function *f)
{
    if (f->class_code == PCI_CLASS_SATA_AHCI)
        return DISK_AHCI;
    return f->class_code >> 8 == PCI_CLASS_IDE ? DISK_ATA : DISK_NONE;
}

static enum err controller_open(uint16_t bdf, enum disk_kind kind, struct controller *c)
{
    c->kind = kind;
    return kind == DISK_AHCI ? ahci_open(bdf, &c->ahci) : ata_open(bdf, &c->ata);
}

static void controller_close(const struct controller *c)
{
    if (c->kind == DISK_AHCI)
        ahci_close(&c->ahci);
    else
        ata_close(&c->ata);
}

static unsigned positions(const struct controller *c)
{
    return c->kind == DISK_AHCI ? AHCI_PORTS_MAX : IDE_CHANNELS * IDE_UNITS;
}

static struct block_dev *slot_dev(struct slot *s)
{
    return s->kind == DISK_AHCI ? &s->ahci.dev : &s->ata.dev;
}

static enum err slot_open(struct controller *c, unsigned position, struct slot *s)
{
    s->kind = c->kind;
    memset(s->page, 0, PAGE_BYTES);
    enum err e = c->kind == DISK_AHCI ? ahci_open_disk(&c->ahci, position, s->page, &s->ahci)
                                      : ata_open_disk(&c->ata, position, s->page, &s->ata);
    s->open = e == E_OK;
    return e;
}

static void slot_close(struct slot *s)
{
    if (!s->open)
        return;
    if (s->kind == DISK_AHCI)
        ahci_close_disk(&s->ahci);
    else
        ata_close_disk(&s->ata);
    s->open = false;
}

/* Look at all disks of one controller; the first with a store stays open in *found, its position in *where. */
static void survey(struct controller *c, const char *selector, struct disk_controller *seen, struct slot **found,
                   unsigned *where, struct block_part *part)
{
    struct slot *next = &slots[0];
    *found = NULL;
    for (unsigned i = 0; i < positions(c); i++) {
        struct block_part p;
        enum err e = slot_open(c, i, next);
        if (e == E_NODISK)
            continue;
        seen->disks |= BIT32(i);
        if (e != E_OK)
            continue;
        e = partition_find(slot_dev(next), selector, &p);
        if (e != E_OK && e != E_NOSTORE)
            log_line("disk", "partitions dev=%s not read: %s", slot_dev(next)->name, err_name(e));
        if (e == E_OK)
            seen->stores |= BIT32(i);
        if (e == E_OK && !*found) {
            *found = next;
            *where = i;
            *part = p;
            next = &slots[1];
        } else {
            slot_close(next);
        }
    }
}

static enum err look_at(const struct pci_function *f, enum disk_kind kind, const char *selector, struct block_part *out,
                        struct disk_report *report)
{
    struct slot *found;
    struct disk_controller seen = {.bdf = f->bdf, .kind = kind};
    unsigned where = 0;
    struct block_part part;
    if (controller_open(f->bdf, kind, &kept) != E_OK)
        return E_NODISK;
    survey(&kept, selector, &seen, &found, &where, &part);
    report->controllers++;
    report->disks += count_ones(seen.disks);

    bool ours = disk_controller_ours(&seen);
    if (found && (ours || report->store.kind == DISK_NONE)) {
        report->store = seen;
        report->position = where;
        report->ours = ours;
        memcpy(report->name, slot_dev(found)->name, sizeof report->name);
    }
    if (found && ours) {
        kept_slot = found;
        kept_part = *out = part;
        return E_OK;
    }
    if (found) {
        log_line("disk", "store dev=%s shares its controller: disks=0x%x stores=0x%x", slot_dev(found)->name,
                 (unsigned)seen.disks, (unsigned)seen.stores);
        slot_close(found);
    }
    controller_close(&kept);
    kept.kind = DISK_NONE;
    return found ? E_SHARED : seen.disks ? E_NOSTORE : E_NODISK;
}

/* Of two outcomes, the one that tells more. */
static enum err better(enum err a, enum err b)
{
    static const enum err order[] = {E_OK, E_SHARED, E_NOSTORE};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return a;
}

enum err disk_find_store(const char *selector, struct block_part *out, struct disk_report *report)
{
    memset(out, 0, sizeof *out);
    memset(report, 0, sizeof *report);
    if (kept_slot)
        return E_ALREADY;
    if (!partition_selector_ok(selector) || strlen(selector) >= sizeof kept_selector)
        return E_OPTION;
    memcpy(kept_selector, selector, strlen(selector) + 1);
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        if (!slots[i].page)
            slots[i].page = pool_alloc_pages(1);
        if (!slots[i].page)
            return E_NOMEM;
    }

    size_t count = pci_scan(functions, ARRAY_LEN(functions));
    if (count > ARRAY_LEN(functions)) {
        log_line("disk", "pci functions=%u, only %u looked at", (unsigned)count, (unsigned)ARRAY_LEN(functions));
        count = ARRAY_LEN(functions);
    }
    enum err result = E_NODISK;
    for (size_t i = 0; i < count && result != E_OK; i++) {
        enum disk_kind kind = kind_of(&functions[i]);
        if (kind != DISK_NONE)
            result = better(result, look_at(&functions[i], kind, selector, out, report));
    }
    log_line("disk", "store %s controllers=%u disks=%u dev=%s first=%llu sectors=%llu", err_name(result),
             report->controllers, report->disks, report->name, (unsigned long long)out->first,
             (unsigned long long)out->count);
    return result;
}

enum err disk_wake(void)
{
    if (!kept_slot)
        return E_NOSTORE;
    bool ahci = kept.kind == DISK_AHCI;
    uint16_t bdf = ahci ? kept.ahci.bdf : kept.ata.bdf;
    unsigned index = ahci ? AHCI_ABAR_INDEX : IDE_BUS_MASTER_BAR;
    struct pci_bar bar = pci_read_bar(bdf, index);
    pci_enable(bdf, (ahci ? PCI_COMMAND_MEMORY : PCI_COMMAND_IO) | PCI_COMMAND_BUS_MASTER);
    if (bar.io != !ahci || bar.base != (ahci ? kept.ahci.abar.v : kept.ata.channel[0].bus_master)) {
        log_line("disk", "reopen bdf=%04x BAR%u moved", bdf, index);
        return E_GONE;
    }
    return E_OK;
}

static enum err reopen_disk(void)
{
    if (kept.kind == DISK_AHCI)
        return ahci_disk_intact(&kept_slot->ahci) ? E_OK : ahci_reopen_disk(&kept.ahci, &kept_slot->ahci);
    return ata_disk_intact(&kept_slot->ata) ? E_OK : ata_reopen_disk(&kept_slot->ata);
}

enum err disk_reopen(void)
{
    enum err e = reopen_disk();
    if (e != E_OK)
        return e;
    struct block_part now;
    e = partition_find(slot_dev(kept_slot), kept_selector, &now);
    if (e == E_OK && (now.first != kept_part.first || now.count != kept_part.count))
        e = E_NOSTORE;
    if (e != E_OK)
        log_line("disk", "reopen dev=%s partition: %s", slot_dev(kept_slot)->name, err_name(e));
    return e;
}

void disk_release(void)
{
    if (!kept_slot)
        return;
    slot_close(kept_slot);
    controller_close(&kept);
    kept_slot = NULL;
    kept.kind = DISK_NONE;
}
