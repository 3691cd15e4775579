/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See dma_watch.h. Without a lock: begin, holds and end are the leader's, begin with all CPUs stopped. A CPU that still
   finds a device watched when it is not any more keeps a page in vain. */
#include "kernel/dma_watch.h"

#include "bits.h"
#include "ckpt/dma.h"
#include "drivers/pci.h"
#include "io.h"
#include "kernel/bus_masters.h"
#include "kernel/guest_access.h"
#include "kernel/live.h"
#include "kernel/policy.h"
#include "log.h"

#define WATCHED_MAX 8u

static const struct dma_model *const models[] = {&dma_ahci, &dma_ide, &dma_82540em, &dma_82545em, &dma_82574l};

static struct watched {
    const struct dma_model *model;
    uint16_t bdf;
    uint64_t base;
} watched[WATCHED_MAX];
static volatile unsigned watched_count;
static volatile bool lost;
static const char *why = "";

static const struct dma_model *model_of(const struct pci_function *f)
{
    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        const struct dma_model *m = models[i];
        if ((f->class_code & m->class_mask) == m->class_code &&
            (!m->vendor || (m->vendor == f->vendor && m->device == f->device)))
            return m;
    }
    return NULL;
}

/* One that can master the bus but has no registers yet writes nowhere. */
static uint64_t base_of(uint16_t bdf, const struct dma_model *m)
{
    struct pci_bar bar = pci_read_bar(bdf, m->bar);
    uint32_t decodes = m->page_map ? PCI_COMMAND_MEMORY : PCI_COMMAND_IO;
    return bar.io == !m->page_map && pci_read(bdf, PCI_COMMAND, 2) & decodes ? bar.base : 0;
}

enum dma_masters dma_watch_masters(void)
{
    unsigned count = 0;
    const struct pci_function *f;
    why = "";
    for (size_t at = 0; (f = bus_masters_next(&at)); count++)
        if (!model_of(f) || count == WATCHED_MAX) {
            log_line("ckpt", "the guest stands still: %02x:%02x.%x may write memory meanwhile: class=%06x",
                     PCI_BUS(f->bdf), PCI_DEVICE(f->bdf), PCI_FUNCTION(f->bdf), f->class_code);
            return DMA_UNKNOWN;
        }
    return count ? DMA_FOLLOWED : DMA_NOBODY;
}

static uint32_t reg(void *ctx, uint32_t offset)
{
    const struct watched *d = ctx;
    return d->model->page_map ? mmio_read32((hpa_t){d->base + offset}) : io_in32((uint16_t)(d->base + offset));
}

static bool mem(void *ctx, uint64_t gpa, void *to, size_t bytes)
{
    (void)ctx;
    while (bytes) {
        size_t part = min_u64(bytes, PAGE_BYTES - gpa % PAGE_BYTES);
        if (!guest_phys_read(NULL, (gpa_t){gpa}, to, part))
            return false;
        gpa += part;
        bytes -= part;
        to = (uint8_t *)to + part;
    }
    return true;
}

static bool target(void *ctx, uint64_t gpa, uint64_t bytes)
{
    (void)ctx;
    return live_keep(gpa, bytes);
}

static struct dma_view view_of(struct watched *d)
{
    return (struct dma_view){reg, mem, target, d};
}

static void trap_ports(bool on)
{
    for (unsigned i = 0; i < watched_count; i++)
        for (uint32_t p = 0; p < watched[i].model->port_count; p++)
            policy_trap_port((uint16_t)(watched[i].base + p), on);
}

static bool watch_pages(const struct watched *d)
{
    bool done = true;
    for (uint32_t n = 0; done && d->model->page_map >> n; n++)
        if (d->model->page_map >> n & 1)
            done = live_watch(d->base + n * PAGE_BYTES);
    return done;
}

bool dma_watch_begin(void)
{
    const struct pci_function *f;
    enum dma_verdict verdict = DMA_GO;
    unsigned count = 0;
    lost = false;
    for (size_t at = 0; verdict == DMA_GO && (f = bus_masters_next(&at));) {
        const struct dma_model *m = model_of(f);
        struct watched *d = &watched[count];
        if (!m || count == WATCHED_MAX)
            return false; /* since dma_watch_masters() */
        *d = (struct watched){m, f->bdf, base_of(f->bdf, m)};
        if (!d->base)
            continue;
        struct dma_view v = view_of(d);
        verdict = m->given(&v);
        if (verdict == DMA_GO && !watch_pages(d))
            verdict = DMA_LOST;
        if (verdict != DMA_GO)
            log_line("ckpt", "the guest stands still: %s %04x %s", m->name, f->bdf,
                     verdict == DMA_LATER ? "has more memory to write to than the pool holds" : "cannot be followed");
        count++;
    }
    if (verdict != DMA_GO)
        return false;
    watched_count = count;
    trap_ports(true);
    return true;
}

bool dma_watch_holds(void)
{
    const struct pci_function *f;
    for (size_t at = 0; !lost && (f = bus_masters_next(&at));) {
        const struct dma_model *m = model_of(f);
        uint64_t base = m ? base_of(f->bdf, m) : 1;
        if (!base)
            continue;
        unsigned i = 0;
        while (i < watched_count && watched[i].bdf != f->bdf)
            i++;
        if (i == watched_count || watched[i].base != base) {
            why = "a device was switched on while the checkpoint was written: try again";
            lost = true;
        }
    }
    return !lost;
}

void dma_watch_end(void)
{
    trap_ports(false);
    watched_count = 0;
    lost = false; /* the next one may have nobody to follow */
}

const char *dma_watch_why(void)
{
    return why;
}

void dma_watch_lose(void)
{
    lost = true;
    why = "a device was told where to write in a way that cannot be followed: try again";
    live_lose(E_DMA);
}

static struct watched *watched_at(uint64_t at, bool ports)
{
    for (unsigned i = 0; i < watched_count && !lost; i++) {
        const struct dma_model *m = watched[i].model;
        uint64_t offset = at - watched[i].base;
        if (ports ? offset < m->port_count : offset < 32 * PAGE_BYTES && m->page_map >> offset / PAGE_BYTES & 1)
            return &watched[i];
    }
    return NULL;
}

/* False: later. */
static bool allowed(struct watched *d, const struct dma_write *w)
{
    struct dma_view v = view_of(d);
    enum dma_verdict verdict = d->model->write(&v, w);
    if (verdict == DMA_LOST) {
        log_line("ckpt", "%s %04x: a write cannot be followed: offset=%#x value=%#x", d->model->name, d->bdf, w->offset,
                 w->value);
        dma_watch_lose();
    }
    return verdict == DMA_GO;
}

bool dma_watch_covers(uint64_t gpa)
{
    return watched_at(gpa, false);
}

bool dma_watch_write(uint64_t gpa, unsigned bytes, uint64_t value)
{
    struct watched *d = watched_at(gpa, false);
    if (!d || bytes != 4 || gpa % 4) {
        dma_watch_lose();
        return false;
    }
    struct dma_write w = {(uint32_t)(gpa - d->base), (uint32_t)value, bytes};
    if (!allowed(d, &w))
        return false;
    mmio_write32((hpa_t){gpa}, w.value);
    return true;
}

bool dma_watch_port(uint16_t port, unsigned bytes, uint32_t value)
{
    struct watched *d = watched_at(port, true);
    if (!d && watched_at((uint64_t)port + bytes - 1, true)) { /* it begins below */
        dma_watch_lose();
        return false;
    }
    struct dma_write w = {(uint32_t)(port - (d ? d->base : 0)), value, bytes};
    return !d || allowed(d, &w);
}
