/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See live.h. One lock covers tree, pool and bitmap; it is held while one page is copied. */
#include "kernel/live.h"

#include "bits.h"
#include "ept/track.h"
#include "hostmem.h"
#include "kernel/base.h"
#include "kernel/guest.h"
#include "kernel/guest_access.h"
#include "log.h"

#include <string.h>

#define POOL_PAGES_BASE 512u
#define POOL_SHARE 512u  /* of RAM, and that many pages more */
#define OPEN_AT_ONCE 64u /* regions */
#define REGION_BYTES LARGE_PAGE_BYTES
#define SPARE_TABLES 64u /* for registers of devices that are followed */

struct lock second_level_lock;

static struct cow cow;
static struct sl_reserve reserve, no_tables;
static const struct ckpt_layout *ram;
static uint64_t ram_end;
static volatile bool active, pressed;
static volatile enum err lost;
/* A bit per page: written since the last cut, and between the two cuts before. */
static uint8_t *written[2];
static uint64_t leaves_at_cut; /* guest.leaves + 1 at the last cut; 0: nothing is known */
static bool watched, skip_clean;
static uint64_t held, held_bytes;
static uint64_t opened; /* below, nothing is withdrawn any more */

static void *pages_for(uint64_t bytes)
{
    return pool_alloc_pages(align_up(bytes, PAGE_BYTES) / PAGE_BYTES);
}

static bool fill_reserve(uint64_t tables)
{
    reserve.page = pages_for(tables * sizeof *reserve.page);
    while (reserve.page && reserve.left < tables) {
        void *page = pool_alloc_pages(1);
        if (!page)
            return false;
        reserve.page[reserve.left++] = page;
    }
    return reserve.page;
}

enum err live_init(const struct ckpt_layout *layout)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < layout->ram_count; i++) {
        ram_end = max_u64(ram_end, layout->ram[i].base + layout->ram[i].bytes);
        pages += layout->ram[i].bytes / PAGE_BYTES;
    }
    cow.pages = ram_end / PAGE_BYTES;
    cow.slots = POOL_PAGES_BASE + (uint32_t)(pages / POOL_SHARE);
    cow.settled = pages_for(cow.pages / 8 + 1);
    written[0] = pages_for(cow.pages / 8 + 1);
    written[1] = pages_for(cow.pages / 8 + 1);
    cow.pool_page = pages_for(cow.slots * sizeof *cow.pool_page);
    cow.pool = pages_for((uint64_t)cow.slots * PAGE_BYTES);
    if (!written[0] || !written[1] || !cow.settled || !cow.pool || !cow.pool_page ||
        !fill_reserve(sl_track_tables(pages * PAGE_BYTES) + SPARE_TABLES))
        return E_NOMEM;
    ram = layout;
    return E_OK;
}

bool live_ready(void)
{
    return ram;
}

/* Under the lock. */
static void note_dirty(gpa_t gpa)
{
    uint64_t page = gpa.v / PAGE_BYTES;
    if (page < cow.pages)
        written[0][page / 8] |= (uint8_t)(1u << (page % 8));
}

/* Under the lock. False: not yet. */
static bool keep(uint64_t gpa)
{
    uint64_t page = gpa / PAGE_BYTES;
    if (page >= cow.pages)
        return true;
    if (gpa - held < held_bytes) {
        pressed = true;
        return false;
    }
    if (active && cow_keep(&cow, page, phys_to_virt((hpa_t){page * PAGE_BYTES})) == COW_FULL) {
        pressed = true;
        return false;
    }
    note_dirty((gpa_t){gpa});
    return true;
}

/* The host is about to write to guest memory for the guest. */
static bool host_write(uint64_t pa)
{
    lock_take(&second_level_lock);
    bool may = keep(pa);
    lock_release(&second_level_lock);
    return may;
}

bool live_keep(uint64_t gpa, uint64_t bytes)
{
    uint64_t end = min_u64(gpa + bytes, cow.pages * PAGE_BYTES);
    bool kept = true;
    lock_take(&second_level_lock);
    for (uint64_t at = align_down(gpa, PAGE_BYTES); kept && at < end; at += PAGE_BYTES)
        kept = keep(at);
    lock_release(&second_level_lock);
    return kept;
}

bool live_watch(uint64_t gpa)
{
    struct second_level *sl = &guest.second_level;
    struct sl_mapping m;
    uint64_t at = align_down(gpa, LARGE_PAGE_BYTES);
    lock_take(&second_level_lock);
    enum err e = sl_lookup(sl, (gpa_t){gpa}, &m)
                     ? E_OK
                     : sl_map_range(sl, (gpa_t){at}, (hpa_t){at}, LARGE_PAGE_BYTES, SL_RWX, MEM_UC);
    bool done = !e && sl_track_page(sl, &reserve, (gpa_t){gpa});
    lock_release(&second_level_lock);
    return done;
}

void live_lose(enum err e)
{
    lost = e;
}

void live_prepare(void)
{
    guest_access_ask_before_write(host_write);
    cow_begin(&cow, ram);
    memset(written[1], 0, cow.pages / 8 + 1);
}

void live_begin(bool others_write)
{
    uint8_t *since_cut = written[0];
    written[0] = written[1];
    written[1] = since_cut;
    watched = leaves_at_cut == guest.leaves + 1 && !others_write;
    leaves_at_cut = others_write ? 0 : guest.leaves + 1;
    pressed = skip_clean = false;
    lost = E_OK;
    sl_track_start(&guest.second_level, ram_end);
    opened = 0;
    active = true;
}

void live_hold(uint64_t gpa, uint64_t bytes)
{
    lock_take(&second_level_lock);
    held = gpa;
    held_bytes = bytes;
    pressed = false;
    lock_release(&second_level_lock);
}

void live_press(void)
{
    if (held_bytes)
        pressed = true;
}

void live_skip_clean(void)
{
    skip_clean = watched;
}

void live_lost_track(void)
{
    leaves_at_cut = 0;
}

static bool was_written(const uint8_t *map, uint64_t page)
{
    return map[page / 8] >> (page % 8) & 1;
}

/* The log has told already where there is one. */
static bool dirty_by_bit(uint64_t page)
{
    return cpus[0]->vcpu.dirty == DIRTY_BY_BIT && sl_track_dirty(&guest.second_level, (gpa_t){page * PAGE_BYTES});
}

static bool is_clean(uint64_t page)
{
    return skip_clean && !was_written(written[1], page) && !dirty_by_bit(page);
}

static const void *page_of(void *ctx, uint64_t page)
{
    (void)ctx;
    if (is_clean(page))
        return cow_unchanged;
    enum base_known found = base_known(page);
    if (found)
        return found == BASE_ZEROS ? cow_zeros : cow_unchanged;
    return phys_to_virt((hpa_t){page * PAGE_BYTES});
}

enum err live_take(uint64_t *page, void *to, const void **content)
{
    if (lost)
        return lost;
    lock_take(&second_level_lock);
    enum err e = cow_take(&cow, page_of, NULL, page, to, content);
    pressed = false;
    lock_release(&second_level_lock);
    return e;
}

const void *live_peek(uint64_t page)
{
    lock_take(&second_level_lock);
    bool may = cow_untouched(&cow, page) && !is_clean(page);
    lock_release(&second_level_lock);
    return may ? phys_to_virt((hpa_t){page * PAGE_BYTES}) : NULL;
}

bool live_take_same(uint64_t page, const void *content)
{
    lock_take(&second_level_lock);
    bool same = page < cow.pages && cow_take_same(&cow, page, phys_to_virt((hpa_t){page * PAGE_BYTES}), content);
    lock_release(&second_level_lock);
    return same;
}

void live_end(void)
{
    lock_take(&second_level_lock);
    held_bytes = 0;
    active = pressed = skip_clean = false;
    lock_release(&second_level_lock);
}

static bool has_ram(uint64_t at, uint64_t bytes)
{
    for (uint32_t i = 0; i < ram->ram_count; i++)
        if (at < ram->ram[i].base + ram->ram[i].bytes && ram->ram[i].base < at + bytes)
            return true;
    return false;
}

bool live_open(void)
{
    enum err e = cpus[0]->vcpu.dirty == DIRTY_BY_FAULT ? E_NOTYET : E_OK;
    for (unsigned i = 0; i < OPEN_AT_ONCE && !e && opened < ram_end; opened += REGION_BYTES) {
        if (!has_ram(opened, REGION_BYTES))
            continue;
        lock_take(&second_level_lock);
        e = sl_track_open(&guest.second_level, &reserve, (gpa_t){opened});
        lock_release(&second_level_lock);
        i++;
    }
    return !e && opened < ram_end;
}

void live_read_log(struct cpu *c)
{
    if (!ram || c->vcpu.dirty != DIRTY_BY_LOG)
        return;
    lock_take(&second_level_lock);
    guest.backend->dirty_log(&c->vcpu, note_dirty);
    lock_release(&second_level_lock);
}

bool live_pressed(void)
{
    return pressed;
}

/* Device memory is not saved, and a frame buffer may be large: what has no RAM in it is given back undivided. */
static struct sl_reserve *tables_for(gpa_t gpa)
{
    struct sl_mapping m;
    bool device = sl_lookup(&guest.second_level, gpa, &m) && !has_ram(align_down(gpa.v, m.page_bytes), m.page_bytes);
    return device ? &no_tables : &reserve;
}

bool live_write_fault(struct cpu *c, const struct vm_exit *x)
{
    if (!x->npf.write || !ram)
        return false;
    struct second_level *sl = &guest.second_level;
    lock_take(&second_level_lock);
    struct sl_reserve *tables = tables_for(x->npf.gpa);
    enum sl_track what = sl_track_write(sl, tables, x->npf.gpa);
    if (what == SL_TRACK_NOMEM && tables == &reserve) {
        live_lose(E_NOMEM);
        live_lost_track();
    }
    if (what == SL_TRACK_NOMEM || (what == SL_TRACK_CLEAN && keep(x->npf.gpa.v)))
        sl_track_allow(sl, x->npf.gpa);
    lock_release(&second_level_lock);
    if (what == SL_TRACK_OPEN)
        guest.backend->flush(&c->vcpu);
    return what != SL_TRACK_OTHER;
}

struct live_counts live_counts(void)
{
    return (struct live_counts){cow.kept, cow.was_full};
}
