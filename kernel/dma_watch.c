/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See dma_watch.h. Without a lock: begin, holds and end are the leader's, begin with all CPUs stopped. A CPU that still
   finds a device watched when it is not any more keeps a page in vain. */
#include "kernel/dma_watch.h"

#include "bits.h"
#include "ckpt/dma.h"
#include "drivers/pci.h"
#include "drivers/virtio.h"
#include "io.h"
#include "kernel/bus_masters.h"
#include "kernel/guest_access.h"
#include "kernel/live.h"
#include "kernel/policy.h"
#include "log.h"

#define WATCHED_MAX 8u
#define RINGS_MAX 32u
#define NOT_THERE 1u
#define UNKNOWN_MAX 6u /* of which anybody asks */

static const struct dma_model *const models[] = {
    &dma_ahci, &dma_ide, &dma_82540em, &dma_82545em, &dma_82574l, &dma_virtio_net, &dma_virtio_net_transitional};

static struct watched {
    const struct dma_model *model;
    uint16_t bdf;
    uint64_t base;
} watched[WATCHED_MAX];
static struct watched_ring {
    struct watched *owner;
    struct dma_ring ring;
} rings[RINGS_MAX];
static volatile unsigned watched_count, ring_count;
static const struct pci_function *unknown[UNKNOWN_MAX];
static unsigned unknown_count;
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

/* 0: it has no registers yet, and writes nowhere. NOT_THERE: those it has are not where the model knows them. */
static uint64_t base_of(uint16_t bdf, const struct dma_model *m)
{
    lock_take(&policy_pci_lock);
    uint64_t base = m->structure ? virtio_structure(bdf, m->structure) : 0;
    struct pci_bar bar = pci_read_bar(bdf, m->bar);
    uint32_t command = pci_read(bdf, PCI_COMMAND, 2);
    lock_release(&policy_pci_lock);
    if (!(command & (PCI_COMMAND_MEMORY | PCI_COMMAND_IO)))
        return 0;
    if (!(command & (m->page_map ? PCI_COMMAND_MEMORY : PCI_COMMAND_IO)))
        return NOT_THERE;
    if (m->structure)
        return base % PAGE_BYTES || !base ? NOT_THERE : base;
    return bar.io == !m->page_map ? bar.base : NOT_THERE;
}

enum dma_masters dma_watch_masters(void)
{
    unsigned known = 0;
    const struct pci_function *f;
    why = "";
    unknown_count = 0;
    for (size_t at = 0; (f = bus_masters_next(&at));) {
        const struct dma_model *m = model_of(f);
        if (m && base_of(f->bdf, m) != NOT_THERE && known < WATCHED_MAX)
            known++;
        else if (unknown_count < UNKNOWN_MAX)
            unknown[unknown_count++] = f;
    }
    return unknown_count ? DMA_UNKNOWN : known ? DMA_FOLLOWED : DMA_NOBODY;
}

const struct pci_function *dma_watch_unknown(unsigned i)
{
    return i < unknown_count ? unknown[i] : NULL;
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

static uint32_t field(void *ctx, uint32_t offset, unsigned bytes)
{
    const struct watched *d = ctx;
    return (uint32_t)mmio_read((hpa_t){d->base + offset}, bytes);
}

static void set_field(void *ctx, uint32_t offset, unsigned bytes, uint32_t value)
{
    const struct watched *d = ctx;
    mmio_write((hpa_t){d->base + offset}, bytes, value);
}

static bool ring(void *ctx, const struct dma_ring *r)
{
    bool done = ring_count < RINGS_MAX;
    for (uint64_t at = align_down(r->avail, PAGE_BYTES); done && at < r->avail + r->avail_bytes; at += PAGE_BYTES)
        done = live_watch(at);
    if (done)
        rings[ring_count++] = (struct watched_ring){ctx, *r};
    return done;
}

static struct dma_view view_of(struct watched *d)
{
    return (struct dma_view){reg, mem, target, field, set_field, ring, d};
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
    ring_count = 0;
    for (size_t at = 0; verdict == DMA_GO && (f = bus_masters_next(&at));) {
        const struct dma_model *m = model_of(f);
        struct watched *d = &watched[count];
        if (!m || count == WATCHED_MAX) { /* since dma_watch_masters() */
            verdict = DMA_LOST;
            break;
        }
        *d = (struct watched){m, f->bdf, base_of(f->bdf, m)};
        if (!d->base)
            continue;
        struct dma_view v = view_of(d);
        verdict = d->base == NOT_THERE ? DMA_LOST : m->given(&v);
        if (verdict == DMA_GO && !watch_pages(d))
            verdict = DMA_LOST;
        if (verdict != DMA_GO)
            log_line("ckpt", "the guest stands still: %s %04x %s", m->name, f->bdf,
                     verdict == DMA_LATER ? "has more memory to write to than the pool holds" : "cannot be followed");
        count++;
    }
    if (verdict != DMA_GO) {
        ring_count = 0;
        return false;
    }
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
    watched_count = ring_count = 0;
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
static bool allowed(struct watched *d, const struct dma_ring *ring_written, const struct dma_write *w)
{
    struct dma_view v = view_of(d);
    enum dma_verdict verdict = ring_written ? d->model->publish(&v, ring_written, w) : d->model->write(&v, w);
    if (verdict == DMA_LOST) {
        log_line("ckpt", "%s %04x: a write cannot be followed: offset=%#x value=%#x", d->model->name, d->bdf, w->offset,
                 w->value);
        dma_watch_lose();
    }
    return verdict == DMA_GO;
}

/* Is one of the pages that a ring lies on written to? Its bytes: *to, or NULL: others on its pages. */
static bool ring_at(uint64_t gpa, unsigned bytes, struct watched_ring **to)
{
    bool covered = false;
    *to = NULL;
    for (unsigned i = 0; i < ring_count && !lost; i++) {
        uint64_t first = rings[i].ring.avail, end = first + rings[i].ring.avail_bytes;
        covered |= gpa >= align_down(first, PAGE_BYTES) && gpa < align_up(end, PAGE_BYTES);
        if (gpa < end && gpa + bytes > first)
            *to = &rings[i];
    }
    return covered;
}

bool dma_watch_covers(uint64_t gpa)
{
    struct watched_ring *r;
    return watched_at(gpa, false) || ring_at(gpa, 1, &r);
}

uint64_t dma_watch_read(uint64_t gpa, unsigned bytes)
{
    return mmio_read((hpa_t){gpa}, bytes);
}

/* To memory, where a ring is or beside it. */
static bool write_ring(uint64_t gpa, unsigned bytes, uint64_t value, const struct watched_ring *r)
{
    struct dma_write w = {(uint32_t)(gpa - (r ? r->ring.avail : 0)), (uint32_t)value, bytes};
    if ((r && gpa < r->ring.avail) || gpa % PAGE_BYTES + bytes > PAGE_BYTES) {
        dma_watch_lose();
        return false;
    }
    if ((r && !allowed(r->owner, &r->ring, &w)) || !live_keep(gpa, bytes))
        return false;
    mmio_write((hpa_t){gpa}, bytes, value);
    return true;
}

bool dma_watch_write(uint64_t gpa, unsigned bytes, uint64_t value)
{
    struct watched_ring *r;
    if (ring_at(gpa, bytes, &r))
        return write_ring(gpa, bytes, value, r);
    struct watched *d = watched_at(gpa, false);
    if (!d || gpa % bytes || bytes > 4 || (bytes != 4 && !d->model->structure)) {
        dma_watch_lose();
        return false;
    }
    struct dma_write w = {(uint32_t)(gpa - d->base), (uint32_t)value, bytes};
    if (!allowed(d, NULL, &w))
        return false;
    mmio_write((hpa_t){gpa}, bytes, value);
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
    return !d || allowed(d, NULL, &w);
}
