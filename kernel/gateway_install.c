/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See the header. Finding a place means looking at a whole table page, so it is done ahead of time, between two
 * entries, and a leave only looks whether the place is still good. CPUs may have IDTs of their own: each one's gate is
 * patched, once if they share it. */
#include "kernel/gateway_install.h"

#include "clock.h"
#include "hostmem.h"
#include "kernel/bridge.h"
#include "kernel/gateway_slot32.h"
#include "kernel/guest.h"
#include "kernel/guest_access.h"
#include "kernel/leave_check.h"
#include "kernel/paging.h"
#include "log.h"
#include "msr.h"

#define SEEN_CR3_FRESH_US 500000u
#define AHEAD_INTERVAL_US 200000u
#define PTE_ADDRESS MASK(51, 12)
#define CR3_OF_ANY_FORMAT MASK(51, 5)

extern const uint8_t gateway_code[], gateway_nmi[];

static uint64_t *tables[2]; /* for gateways one or two levels up: [0] the page table, [1] the directory above */
static uint64_t code_pa;    /* of the first page of the place that was found */
static uint64_t data_pa;    /* of the second */
static uint64_t next_look_us;

SELDOM void gateway_install_init(void)
{
    data_pa = virt_to_phys(&gateway).v;
    for (unsigned i = 0; i < ARRAY_LEN(tables); i++)
        tables[i] = pool_alloc_pages(1);
}

static unsigned pages(void)
{
    return 1 + gateway_data_pages(cpu_count);
}

static inline __attribute__((always_inline)) uint64_t page_pa(unsigned i)
{
    return i == 0 ? code_pa : data_pa + (i - 1) * PAGE_BYTES;
}

static uint64_t nmi_entry(void)
{
    return guest.plan.va + (uint64_t)(gateway_nmi - gateway_code); /* linker.ld: the bridge's, too */
}

static enum paging_format format_of(const struct vcpu_state *s)
{
    return leave_format(s->cr0, s->cr4, s->msr[VMSR_EFER]);
}

static enum err find_place(enum paging_format format, uint64_t cr3, uint64_t idt_base)
{
    const struct phys_reader r = guest_phys_reader(format);
    enum err e = gateway_slot_find(&r, cr3, idt_base, pages(), &guest.plan);
    if (!e && guest.plan.level > 1 && !tables[guest.plan.level - 2])
        e = E_NOMEM;
    if (e)
        guest.plan.level = 0;
    code_pa = format ? bridge.page_pa : virt_to_phys(gateway_code).v;
    return e;
}

/* The plan, made earlier, still leads where it did. */
static bool place_is_good(enum paging_format format, uint64_t cr3, uint64_t idt_base)
{
    const struct phys_reader r = guest_phys_reader(format);
    return guest.plan.level && guest.plan.format == format && gateway_slot_usable(&r, cr3, idt_base, &guest.plan);
}

static bool map_place(void)
{
    if (bridge_wanted())
        return bridge_show() == E_OK;
    uint64_t pa[GATEWAY_PAGES_MAX];
    for (unsigned i = 0; i < guest.plan.pages; i++)
        pa[i] = page_pa(i);
    return paging_map_gateway(guest.plan.va, pa, guest.plan.pages);
}

void gateway_install_ahead(struct cpu *c)
{
    uint64_t now = clock_us();
    if (now < next_look_us || c->enter_from_tsc) /* the way in has just looked */
        return;
    next_look_us = now + AHEAD_INTERVAL_US;
    const struct backend *b = guest.backend;
    enum paging_format format =
        leave_format(b->get(&c->vcpu, VREG_CR0), b->get(&c->vcpu, VREG_CR4), b->get(&c->vcpu, VREG_EFER));
    if (format == PAGING_NONE)
        return;
    uint64_t cr3 = b->get(&c->vcpu, VREG_CR3), idt_base = b->get(&c->vcpu, VREG_IDT_BASE);
    if (place_is_good(format, cr3, idt_base) || find_place(format, cr3, idt_base))
        return; /* not now: another time, at the latest when the guest is to be left */
    bool mapped = bridge_wanted() || map_place();
    (void)mapped; /* the same */
}

enum err gateway_install_plan(struct cpu *c)
{
    const struct vcpu_state *s = c->state;
    enum paging_format format = format_of(s);
    return place_is_good(format, s->cr3, s->idtr.base) ? E_OK : find_place(format, s->cr3, s->idtr.base);
}

enum err gateway_install_check(struct cpu *c)
{
    const struct phys_reader r = guest_phys_reader(guest.plan.format);
    const struct vcpu_state *s = c->state;
    if (format_of(s) != r.format)
        return E_MODE; /* all CPUs in the same one, or none */
    if (!gateway_slot_shared(&r, s->cr3, &guest.plan))
        return E_NOSLOT;
    uint64_t now = clock_us();
#pragma GCC unroll 16
    for (unsigned i = 0; i < SEEN_CR3_MAX; i++)
        if (now - c->seen_cr3[i].when_us < SEEN_CR3_FRESH_US && c->seen_cr3[i].cr3 &&
            ((c->seen_cr3[i].cr3 ^ s->cr3) & CR3_OF_ANY_FORMAT) && /* just looked at */
            !gateway_slot_shared(&r, c->seen_cr3[i].cr3, &guest.plan))
            return E_NOSLOT;
    enum err e = gateway_slot_gate(&r, s->cr3, s->idtr.base, s->idtr.limit, &guest.plan, &c->gate_of_guest);
    return e || !r.format ? e : bridge_check(c);
}

static void write_gate(uint64_t pa, const uint64_t word[2])
{
    uint64_t *at = phys_to_virt((hpa_t){pa});
    if (!bridge_wanted())
        at[1] = word[1];
    at[0] = word[0];
}

static bool gate_holds(uint64_t pa, const uint64_t word[2])
{
    const uint64_t *at = phys_to_virt((hpa_t){pa});
    return at[0] == word[0] && (bridge_wanted() || at[1] == word[1]);
}

/* CPUs with the same IDT have the same gate: the first one stands for all. */
static bool gate_is_anothers(uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (cpus[i]->place == CPU_GUEST && cpus[i]->gate_of_guest.pa == cpus[index]->gate_of_guest.pa)
            return true;
    return false;
}

static void write_entries(void)
{
    const struct gateway_plan *p = &guest.plan;
    uint64_t *entry = phys_to_virt((hpa_t){p->entry_pa});
    bool nx = cpus[0]->state->msr[VMSR_EFER] & EFER_NXE, small = gateway_slot32_entry_bytes(p->format) < sizeof *entry;
    uint64_t *leaf = p->level == 1 ? entry : tables[0];
    for (unsigned i = 0; i < p->pages; i++) {
        uint64_t pte = i ? gateway_data_pte(page_pa(i), nx && !small) : gateway_code_pte(page_pa(i));
        if (small)
            ((uint32_t *)(void *)leaf)[i] = (uint32_t)pte;
        else
            leaf[i] = pte;
    }
    if (p->level == 1)
        return;
    tables[1][0] = gateway_table_entry(virt_to_phys(tables[0]).v);
    entry[0] = gateway_table_entry(virt_to_phys(tables[p->level - 2]).v);
}

static inline __attribute__((always_inline)) bool entry_is_ours(const uint64_t *entries, unsigned i)
{
    uint64_t ours = guest.plan.level == 1 ? page_pa(i) : virt_to_phys(tables[guest.plan.level - 2]).v;
    uint64_t entry = bridge_wanted() ? bridge_entry(i) : entries[i];
    return ((entry ^ ours) & PTE_ADDRESS) == 0;
}

static unsigned entry_count(void)
{
    return guest.plan.level == 1 ? guest.plan.pages : 1;
}

void gateway_install_show_again(void)
{
    write_entries();
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct gateway_gate *g = &cpus[i]->gate_of_guest;
        if (cpus[i]->place != CPU_GUEST || gate_is_anothers(i))
            continue;
        uint64_t ours[2];
        gateway_patch_gate(g->word, nmi_entry(), ours);
        write_gate(g->pa, ours);
    }
    guest.gateway_installed = true;
}

enum err gateway_install_show(void)
{
    if (!map_place())
        return E_NOSLOT;
    gateway.guest_nmi = cpus[0]->gate_of_guest.handler;
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct cpu *c = cpus[i];
        /* One that the guest starts while native will have the first one's table. */
        const struct cpu *like = c->place == CPU_GUEST ? c : cpus[0];
        c->gate->guest_nmi = like->gate_of_guest.handler;
        c->idt_at_leave = like->state->idtr.base;
    }
    gateway_install_show_again();
    return E_OK;
}

void gateway_install_hide(void)
{
    uint64_t *entry = phys_to_virt((hpa_t){guest.plan.entry_pa});
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct gateway_gate *g = &cpus[i]->gate_of_guest;
        if (cpus[i]->place != CPU_GUEST || gate_is_anothers(i))
            continue;
        uint64_t ours[2];
        gateway_patch_gate(g->word, nmi_entry(), ours);
        if (gate_holds(g->pa, ours)) /* a guest that installed a new handler meanwhile keeps it */
            write_gate(g->pa, g->word);
        else
            log_line("switch", "the guest replaced its NMI gate while native: left as it is, cpu=%u", i);
    }
    for (unsigned i = 0; i < entry_count(); i++) {
        /* A guest that gave the table page another use keeps what it put there. */
        if (!entry_is_ours(entry, i))
            continue;
        if (bridge_wanted())
            bridge_clear_entry(i);
        else
            entry[i] = 0;
    }
    guest.gateway_installed = false;
}

enum err gateway_install_intact(const struct cpu *c)
{
    const struct phys_reader r = guest_phys_reader(guest.plan.format);
    const uint64_t *entry = phys_to_virt((hpa_t){guest.plan.entry_pa});
    for (unsigned i = 0; i < entry_count(); i++)
        if (!entry_is_ours(entry, i))
            return E_GATEWAY;
    if (c->gate->idtr.base == c->idt_at_leave && gateway_slot_shared(&r, c->gate->cr3, &guest.plan))
        return E_OK;
    return E_GATEWAY;
}
