/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See the header. The hidden range lies below 4 GiB, so its pages can be executed with paging off, and its tables
 * be the root of 32-bit paging. */
#include "kernel/bridge.h"

#include "bits.h"
#include "hostmem.h"
#include "kernel/bridge_tables.h"
#include "kernel/gateway_slot32.h"
#include "kernel/guest_access.h"
#include "kernel/guestmem.h"
#include "kernel/leave_check.h"
#include "kernel/paging.h"
#include "kernel/segments.h"
#include "log.h"
#include "msr.h"

#include <string.h>

#define PATCH_KIND_SHIFT 12
#define PATCH_OFFSET MASK(11, 0)
#define SELECTOR_RPL 3u
#define SELECTOR_LOW 7u

extern const uint8_t bridge_page[], bridge_page_end[];
extern const uint16_t bridge_patches[], bridge_patches_end[];

struct bridge bridge;
static uint8_t *page;
static struct bridge_tables tables;

void bridge_init(void)
{
    gateway.magic = GATEWAY_MAGIC;
    page = pool_alloc_pages(1);
    tables.pages = pool_alloc_pages(BRIDGE_TABLE_PAGES);
    if (!page || !tables.pages)
        return;
    uint64_t pa = virt_to_phys(page).v;
    tables.pa = virt_to_phys(tables.pages).v;
    bridge.transit_pa = paging_startup_tables(pa);
    bridge.page_pa = bridge.transit_pa ? pa : 0;
}

/* The frame for an IRET that stays in ring 0: on its own stack, since that IRET does not load ESP. */
static enum err write_frame(const struct vcpu_state *s)
{
    const uint32_t frame[3] = {(uint32_t)s->rip, s->seg[SREG_CS].selector, (uint32_t)s->rflags};
    const struct guest_paging paging = {s->cr0, s->cr3, s->cr4, s->msr[VMSR_EFER]};
    const struct guest_phys phys = {guest_phys_read, guest_phys_write, NULL};
    uint32_t at = (uint32_t)s->gpr[GPR_RSP] - (uint32_t)sizeof frame;
    return guestmem_write(&paging, &phys, at, frame, sizeof frame) ? E_OK : E_SEGMENT;
}

enum err bridge_check(struct cpu *c)
{
    const struct vcpu_state *s = c->state;
    if (!bridge.page_pa)
        return E_NOMEM;
    enum err e = leave_check_32(s);
    if (e)
        return e;
    uint64_t selector = bits_get(c->gate_of_guest.word[0], 31, 16), low;
    if ((selector & SELECTOR_LOW) || selector + sizeof low - 1 > s->gdtr.limit ||
        !guest_read_linear(guest.plan.format, s->cr3, s->gdtr.base + selector, &low, sizeof low))
        return E_GATE;
    const struct segment cs = segment_decode((uint16_t)selector, low, 0);
    if (!leave_flat(&cs, true))
        return E_GATE;
    return s->seg[SREG_CS].selector & SELECTOR_RPL ? E_OK : write_frame(s);
}

static void patch(void)
{
    const uint32_t base[] = {(uint32_t)guest.plan.va, (uint32_t)bridge.page_pa, (uint32_t)tables.pa,
                             (uint32_t)bridge.transit_pa};
    memcpy(page, bridge_page, (size_t)(bridge_page_end - bridge_page));
    for (const uint16_t *p = bridge_patches; p < bridge_patches_end; p++) {
        uint8_t *at = page + (*p & PATCH_OFFSET);
        store32(at, load32(at) + base[*p >> PATCH_KIND_SHIFT]);
    }
}

enum err bridge_show(void)
{
    memset(tables.pages, 0, BRIDGE_TABLE_PAGES * PAGE_BYTES);
    tables.used = 0;
    tables.format = guest.plan.format;
    if (!bridge_tables_map(&tables, guest.plan.va, bridge.page_pa) ||
        !bridge_tables_map(&tables, bridge.page_pa, bridge.page_pa))
        return E_NOSLOT;
    patch();
    for (uint32_t i = 0; i < cpu_count; i++) {
        const struct cpu *like = cpus[i]->place == CPU_GUEST ? cpus[i] : cpus[0];
        cpus[i]->gate->gate_cs = (uint32_t)bits_get(like->gate_of_guest.word[0], 31, 16);
    }
    return E_OK;
}
