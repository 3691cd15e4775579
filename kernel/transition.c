/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The mode switch.
 *
 *            leave: transition_leave()                      visit: visit_entry()
 *   VIRTUAL ---------------------------> NATIVE --- NMI ---> host, guest stopped, no VMX/SVM
 *      ^                                    ^                   |          |
 *      |                                    +---- resume -------+          |
 *      +--------------------------- transition_enter() --------------------+
 *
 * A guest CPU's state exists once, in cpu->state, from the moment it is captured (from VMCS/VMCB, or from gateway page
 * and live registers) to the moment it is loaded. Of an old control structure nothing that was the guest's is reused. Registers that
 * neither the CPU nor the host changes on the way stay where they are and are not touched at all.
 *
 * Every transition is made by all CPUs or by none. The leading CPU stops the others (kernel/smp.h) and has each take
 * the steps on its own registers; between the steps are barriers, and up to the last one everything can be undone.
 *
 * Leaving. First everything that can fail, on every CPU: read the state, check that it can be expressed natively
 * (leave_check.c), verify that every address space seen lately reaches the gateway's place; then write the gateway's
 * entries and patch the gate. Each CPU then sends itself an NMI, takes it and does *not* end it, so that until its final
 * IRETQ no other NMI can hit a half-switched CPU. Then the point of no return: VMXOFF, on all CPUs before any goes on;
 * MSRs, segment registers through a private copy of the guest's descriptors (the guest's own table may be read-only,
 * and LTR must not find a busy one), and the gateway's code, which exists in both address spaces, loads CR3, CR4, CR0,
 * the tables and IRETQs.
 *
 * Visiting. The gateway lands here on a fresh stack with NMIs blocked and nothing but GPRs, CRs and tables switched.
 * The image is checked against its digest before anything else of it runs. A visit that only answers a console line
 * resumes the guest without having touched VMX at all, and the other CPUs do not notice.
 *
 * Entering. Capture the rest, VMXON, load, on every CPU; then the leader takes the gateway out of the guest's memory,
 * and all end NMI blocking and run: an NMI that waited meanwhile is taken by the host and looked at by the run loop.
 *
 * SDM 3C 24.7 "Enabling and Entering VMX Operation" and
   27.5 "Loading Host State". */
#include "kernel/transition.h"

#include "bits.h"
#include "cpu.h"
#include "hostmem.h"
#include "kernel/apic_watch.h"
#include "kernel/auto.h"
#include "kernel/bridge.h"
#include "kernel/console.h"
#include "kernel/console_irq.h"
#include "kernel/digest.h"
#include "kernel/gateway_data.h"
#include "kernel/gateway_install.h"
#include "kernel/guest.h"
#include "kernel/guest_access.h"
#include "kernel/host_timer.h"
#include "kernel/leave_check.h"
#include "kernel/nmi.h"
#include "kernel/paging.h"
#include "kernel/run.h"
#include "kernel/segments.h"
#include "kernel/smp.h"
#include "kernel/startup.h"
#include "kernel/state.h"
#include "kernel/timebase.h"
#include "kernel/traps.h"
#include "kernel/tsc_debt.h"
#include "log.h"
#include "msr.h"

/* Long for hardware, where it takes microseconds, and short for an emulator that stands still for a moment. */
#define FORGIVE_US 5000u
#define HOST_CR0 (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define TSS_BUSY BIT(41) /* in the descriptor's first eight bytes */
#define SELECTOR_INDEX(s) ((s) >> 3)
#define CR3_BASE MASK(51, 12)

extern const uint8_t gateway_code[], gateway_out[];

static uint64_t leave_tsc; /* the leader's decision */

static _Noreturn void visit_entry(void);
static _Noreturn void visit_damaged(void);

void transition_init_cpu(void)
{
    cpu_write_cr4(gateway.host_cr4);
    cpu_write_cr0(HOST_CR0);
}

SELDOM void transition_init(void)
{
    gateway.host_cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (cpu_cpuid(1, 0).ecx & CPUID1_ECX_XSAVE)
        gateway.host_cr4 |= CR4_OSXSAVE;
    gateway.forgive_cycles = clock_tsc_hz() * FORGIVE_US / 1000000u;
    gateway.host_idtr = traps_idtr();
    gateway.host_cr3 = paging_cr3();
    gateway.host_entry = (uint64_t)visit_entry;
    gateway.host_cs = HOST_CS;
    transition_init_cpu();
    traps_on_damage(visit_damaged);
    gateway_install_init();
    bridge_init();
}

SELDOM void transition_refused(const char *which, enum err why)
{
    guest.refused++;
    guest.last_refusal = why;
    guest.last_refusal_cpu = guest.refusal_cpu;
    log_line("switch", "%s refused: %s: cpu=%u %s", which, err_name(why), guest.refusal_cpu, err_text(why));
}

/* ---- capture --------------------------------------------------------------------------------------------------- */

/* What the gateway saved, the segment registers, and the MSRs that a control structure will switch. */
static enum err capture_native(struct cpu *c)
{
    struct vcpu_state *s = c->state;
    const struct gateway_cpu *g = c->gate;
    if (g->frame.rflags & RFLAGS_VM)
        return E_MODE;
    for (unsigned i = 0; i < GPR_COUNT; i++)
        s->gpr[i] = g->gpr[i];
    s->rip = g->frame.rip;
    s->rflags = g->frame.rflags;
    s->cr0 = g->cr0;
    s->cr2 = g->cr2;
    s->cr3 = g->cr3;
    s->cr4 = g->cr4;
    s->dr6 = cpu_read_dr6();
    s->dr7 = g->dr7;
    s->gdtr = (struct table_register){g->gdtr.base, g->gdtr.limit};
    s->idtr = (struct table_register){g->idtr.base, g->idtr.limit};
    s->activity = ACTIVITY_ACTIVE;
    s->block_sti = s->block_mov_ss = s->block_nmi = 0;
    s->event.valid = 0;
    s->pending_debug = 0;
    s->xsave_bytes = 0;
    state_capture_msrs(s, c->vcpu.switched_msrs);
    s->msr[VMSR_EFER] = g->efer;
    return guest_capture_segments(c);
}

enum err transition_capture(struct cpu *c)
{
    struct vcpu_state *s = c->state;
    if (c->place == CPU_HELD) {
        state_waiting_for_sipi(s);
        return E_OK;
    }
    state_capture_live(s);
    if (c->loaded)
        return guest.backend->save(&c->vcpu, s);
    return capture_native(c);
}

/* ---- leave: the steps of each CPU ------------------------------------------------------------------------------ */

static enum err leave_prepare(struct cpu *c)
{
    if (c->place == CPU_HELD || c->reset)
        return startup_pending(c) ? E_BLOCKED : E_OK;
    c->state->dr6 = cpu_read_dr6();
    enum err e = guest.backend->save(&c->vcpu, c->state);
    if (!e && (c->vcpu.nmi_pending || nmi_unexplained(c)))
        e = E_BLOCKED; /* the guest is owed an NMI, or one has not been looked at */
    if (!e)
        e = leave_check_state(c->state);
    if (!e)
        e = guest_check_segments(c);
    if (!e && cpu_leads(c) && tsc_debt_left())
        e = E_TSC;
    if (!e)
        e = nmi_can_return(c);
    return e;
}

static enum err leave_check_gateway(struct cpu *c)
{
    return c->place == CPU_HELD ? E_OK : gateway_install_check(c);
}

static enum err leave_block_nmi(struct cpu *c)
{
    return c->place == CPU_HELD ? E_OK : nmi_block(c);
}

static enum err leave_unblock_nmi(struct cpu *c)
{
    if (c->place == CPU_GUEST)
        nmi_unblock(c);
    return E_OK;
}

static enum err leave_off(struct cpu *c)
{
    if (c->place == CPU_HELD)
        return E_OK;
    enum err e = guest.backend->off(&c->vcpu);
    if (e)
        panic("%s cannot be switched off: %s", guest.backend->name, err_name(e));
    c->switched_on = c->loaded = false;
    c->leaving = true;
    return E_OK;
}

/* The guest's LDT is mapped in its own world only: for a moment the descriptor says that it is our copy. */
static void load_private_ldt(struct cpu *c, uint16_t selector)
{
    uint64_t *descriptor = &c->private_gdt[SELECTOR_INDEX(selector)];
    const uint64_t guests[2] = {descriptor[0], descriptor[1]};
    segment_set_base(descriptor, (uint64_t)c->private_ldt);
    cpu_lldt(selector);
    descriptor[0] = guests[0];
    descriptor[1] = guests[1];
}

static __attribute__((noinline)) void load_system(struct cpu *c, uint16_t selector, void (*load)(uint16_t selector))
{
    if (bridge_wanted())
        bridge_load_system(c, selector, load);
    else
        load(selector);
}

static void load_segment_registers(struct cpu *c)
{
    const struct vcpu_state *s = c->state;
    struct pseudo_descriptor d = {.limit = sizeof c->private_gdt - 1, .base = (uint64_t)c->private_gdt};
    bool ldt = !(s->seg[SREG_LDTR].access_rights & AR_UNUSABLE);
    cpu_lgdt(&d);
    if (ldt)
        load_private_ldt(c, s->seg[SREG_LDTR].selector);
    if (!c->tr_null) {
        c->private_gdt[SELECTOR_INDEX(s->seg[SREG_TR].selector)] &= ~TSS_BUSY;
        load_system(c, s->seg[SREG_TR].selector, cpu_ltr);
    }
    cpu_write_ds(s->seg[SREG_DS].selector);
    cpu_write_es(s->seg[SREG_ES].selector);
    cpu_write_fs(s->seg[SREG_FS].selector);
    cpu_write_gs(s->seg[SREG_GS].selector);
    load_system(c, ldt ? s->seg[SREG_LDTR].selector : 0, cpu_lldt); /* LLDT does not look at the table itself */
    cpu_wrmsr(MSR_FS_BASE, s->seg[SREG_FS].base);
    cpu_wrmsr(MSR_GS_BASE, s->seg[SREG_GS].base);
}

/* Last in the host; only code that is never closed runs here. What the next visit has to check first is closed by the
   leader, and by each CPU that finds the leader gone. */
static _Noreturn void out(struct cpu *c)
{
    smp_leave_host_for_good(c); /* first: then the leader closes what a CPU opened that still saw it here */
    if (cpu_leads(c) || !cpus[0]->gate->in_host)
        digest_close_rest();
    if (bridge_wanted())
        bridge_out(c);
    uint64_t block = guest.plan.va + PAGE_BYTES + ((uint64_t)c->gate - (uint64_t)&gateway);
    cpu_write_cr3(cpu_read_cr3()); /* the gateway may have been elsewhere */
    void (*gate)(uint64_t block_va) = (void (*)(uint64_t))(guest.plan.va + (uint64_t)(gateway_out - gateway_code));
    gate(block);
    __builtin_unreachable();
}

/* cpu->state into the gateway page, and out. NMIs are blocked. */
_Noreturn void transition_go_native(struct cpu *c)
{
    struct gateway_cpu *g = c->gate;
    const struct vcpu_state *s = c->state;
    c->leaving = false;
    c->tr_null = SELECTOR_INDEX(s->seg[SREG_TR].selector) == 0;
    c->kept_tr = s->seg[SREG_TR];
    for (unsigned i = 0; i < GPR_COUNT; i++)
        g->gpr[i] = s->gpr[i];
    g->frame =
        (struct gateway_frame){s->rip, s->seg[SREG_CS].selector, s->rflags, s->gpr[GPR_RSP], s->seg[SREG_SS].selector};
    g->nmi = BRIDGE_NMI_OURS;
    if (bridge_wanted())
        bridge_fill(c);
    g->cr0 = s->cr0;
    g->cr2 = s->cr2;
    g->cr3 = s->cr3;
    g->cr3_base = s->cr3 & CR3_BASE;
    g->cr4 = s->cr4;
    g->efer = s->msr[VMSR_EFER];
    g->dr7 = s->dr7;
    g->gdtr = (struct pseudo_descriptor){(uint16_t)s->gdtr.limit, s->gdtr.base};
    g->idtr = (struct pseudo_descriptor){(uint16_t)s->idtr.limit, s->idtr.base};
    if (cpu_leads(c))
        console_irq_prepare_native();
    state_load_msrs(s, c->vcpu.switched_msrs); /* may take a fixed-up #GP, so before the GDT goes */
    cpu_write_dr6(s->dr6);
    load_segment_registers(c);
    c->leave_cycles = cpu_rdtsc() - leave_tsc;
    out(c);
}

/* ---- leave: the leader ----------------------------------------------------------------------------------------- */

static enum err leave_stopped(void)
{
    struct cpu *c = cpus[0];
    guest.refusal_cpu = 0;
    enum err e = smp_each(leave_prepare, &guest.refusal_cpu);
    if (!e)
        e = gateway_install_plan(c);
    if (!e)
        e = smp_each(leave_check_gateway, &guest.refusal_cpu);
    if (!e)
        e = gateway_install_show();
    if (e)
        return e;
    console_irq_hush(); /* or a byte's NMI would be taken for our own */
    e = smp_each(leave_block_nmi, &guest.refusal_cpu);
    console_irq_unhush();
    if (!e)
        return smp_each(leave_off, NULL);
    enum err undo = smp_each(leave_unblock_nmi, NULL);
    (void)undo; /* cannot fail */
    gateway_install_hide();
    return e;
}

enum err transition_leave(void)
{
    leave_tsc = cpu_rdtsc();
    enum err e = smp_stop();
    if (e) {
        guest.refusal_cpu = smp_missing();
        return e;
    }
    e = leave_stopped();
    if (e) {
        smp_release();
        return e;
    }
    guest.mode = MODE_NATIVE;
    guest.leaves++;
    guest.leave_give_up_us = 0;
    run_left();
    smp_release();
    transition_go_native(cpus[0]);
}

/* ---- enter ----------------------------------------------------------------------------------------------------- */

/* c->state into a control structure. On failure the CPU is as it was. */
static enum err load_control_structure(struct cpu *c, bool check)
{
    bool was_on = c->switched_on;
    enum err e = was_on ? E_OK : guest.backend->on(&c->vcpu);
    if (e)
        return e;
    c->switched_on = true;
    c->ticking = false; /* a new one has no traps */
    e = guest.backend->load(&c->vcpu, c->state, check);
    c->loaded = !e;
    if (!e || was_on)
        return e;
    if (guest.backend->off(&c->vcpu))
        panic("%s cannot be switched off again", guest.backend->name);
    c->switched_on = false;
    return e;
}

static enum err enter_prepare(struct cpu *c)
{
    if (c->place == CPU_HELD)
        return E_OK;
    enum err e = gateway_install_intact(c);
    if (!e)
        e = capture_native(c);
    if (!e && (c->state->cr4 & CR4_VMXE || c->state->msr[VMSR_EFER] & EFER_SVME))
        e = E_VMXBUSY;
    c->enter_from_tsc = c->gate->tsc_in;
    apic_watch_loaded(c);
    /* Everything else has just been in force on this very CPU. The rules themselves are not in the door. */
    bool check = !e && !segments_are_plain(c->state);
    if (check && !digest_open_rest())
        e = E_DIGEST;
    return e ? e : load_control_structure(c, check);
}

static enum err enter_undo(struct cpu *c)
{
    if (c->switched_on && guest.backend->off(&c->vcpu))
        panic("%s cannot be switched off again", guest.backend->name);
    c->switched_on = c->loaded = false;
    return E_OK;
}

enum err transition_enter(void)
{
    guest.refusal_cpu = 0;
    enum err e = smp_stop();
    if (e) {
        guest.refusal_cpu = smp_missing();
        return e;
    }
    e = smp_each(enter_prepare, &guest.refusal_cpu);
    bool watch = !e && apic_watch_changes();
    if (watch && !digest_open_rest()) /* that takes more than the door */
        e = E_DIGEST;
    if (e) {
        enum err undo = smp_each(enter_undo, NULL);
        (void)undo; /* cannot fail */
    } else {
        guest.mode = MODE_VIRTUAL; /* first: then what finds the image damaged leaves all CPUs again */
        gateway_install_hide();
        guest.enters++;
        if (watch)
            apic_watch_update();
    }
    smp_release();
    if (!e) {
        /* The console's NMIs of before it called; its causes are off (kernel/console_irq.c). */
        traps_take_nmi();
        cpus[0]->vcpu.host_nmi = 0;
    }
    return e;
}

void transition_drop(struct cpu *c)
{
    enum err off = enter_undo(c);
    (void)off; /* cannot fail */
    c->vcpu.event.valid = 0;
    c->vcpu.nmi_pending = false;
    c->vcpu.host_nmi = 0;
}

enum err transition_start(struct cpu *c)
{
    enum err e = load_control_structure(c, true);
    if (e)
        return e;
    c->place = CPU_GUEST;
    c->tr_null = true;
    return E_OK;
}

enum err transition_load(struct cpu *c)
{
    transition_drop(c);
    if (c->state->activity == ACTIVITY_WAIT_SIPI) {
        c->place = CPU_HELD;
        return E_OK;
    }
    apic_watch_loaded(c);
    state_load_mtrrs(c->state);
    state_load_live(c->state);
    state_load_xsave(c->state);
    enum err e = load_control_structure(c, true);
    if (!e)
        c->place = CPU_GUEST;
    traps_take_nmi(); /* what waits was meant for who was here before */
    c->vcpu.host_nmi = 0;
    return e;
}

void transition_loaded(void)
{
    guest.gateway_installed = false;
    guest.mode = MODE_VIRTUAL;
    guest.plan.level = 0;
}

_Noreturn void transition_become_virtual(struct cpu *c)
{
    traps_unblock_nmi();
    run_entered(c);
}

/* ---- visit ----------------------------------------------------------------------------------------------------- */

/* Back to the native guest with nothing changed but what the gateway switched. */
static _Noreturn void visit_resume(struct cpu *c)
{
    struct gateway_cpu *g = c->gate;
    if (!c->tr_null) {
        struct pseudo_descriptor d = {.limit = sizeof c->private_gdt - 1, .base = (uint64_t)c->private_gdt};
        uint16_t index = SELECTOR_INDEX(c->kept_tr.selector);
        /* As it is now: the guest may have loaded another since it was left. If it cannot be read, as it was then. */
        uint64_t now[2] = {0, 0};
        size_t bytes = bridge_wanted() ? sizeof now[0] : sizeof now;
        if (guest_read_linear(guest.plan.format, g->cr3, g->gdtr.base + index * sizeof now[0], now, bytes)) {
            c->private_gdt[index] = now[0];
            c->private_gdt[index + 1] = now[1];
        }
        c->private_gdt[index] &= ~TSS_BUSY;
        cpu_lgdt(&d);
        cpu_ltr(c->kept_tr.selector);
    }
    g->cr3_base = g->cr3 & CR3_BASE;
    if (cpu_leads(c) && g->nmi == BRIDGE_NMI_OURS)
        console_irq_prepare_native();
    out(c);
}

/* As bridge_sort_nmi(), which may be what was changed: enough to go back. */
static void note_whose_nmi(struct cpu *c)
{
    bool timer = cpu_leads(c) && gateway.timer_tsc - 1 < c->gate->tsc_in; /* 0 less one is the end of time: none is */
    if (timer)
        gateway.timer_tsc = 0;
    bool ours = smp_explains_nmi(c) || smp_called(c) || timer || (cpu_leads(c) && console_irq_explains_nmi());
    c->gate->nmi = ours ? BRIDGE_NMI_OURS : BRIDGE_NMI_GUESTS;
}

/* By the leader: it has the console, and finds the same damage as any other CPU. */
static void note_damage(const struct cpu *c)
{
    if (!cpu_leads(c))
        return;
    guest.refused++;
    guest.last_refusal = E_DIGEST;
    if (guest.mode == MODE_NATIVE)
        console_irq_refuse(E_DIGEST);
}

/* Code that a visit needs is not what it was. A guest that has become virtual meanwhile is left as soon as it can be. */
static _Noreturn void visit_damaged(void)
{
    struct cpu *c = cpu_self();
    note_damage(c);
    while (cpu_leads(c) && smp_stopped())
        smp_release();
    if (cpu_leads(c) && smp_called(c))
        smp_follow(c); /* by one that is to be left, or was */
    if (guest.mode == MODE_NATIVE)
        visit_resume(c);
    run_damaged(c);
}

static void note_task_register(struct cpu *c)
{
    uint16_t tr = cpu_read_tr();
    traps_load(c);
    if (tr != HOST_TR && SELECTOR_INDEX(tr) && SELECTOR_INDEX(tr) + 2u <= ARRAY_LEN(c->private_gdt)) {
        c->kept_tr.selector = tr;
        c->tr_null = false;
    }
}

/* The host held it, and the guest has started it while native. */
static void adopt(struct cpu *c)
{
    c->place = CPU_GUEST;
    c->switched_on = c->loaded = c->leaving = false;
    c->vcpu.host_nmi = 0;
    c->gate_of_guest = cpus[0]->gate_of_guest;
    c->idt_at_leave = cpus[0]->idt_at_leave;
}

/* The line "enter" is carried out where it lies, and the guest goes first: the console is given it after the first exit,
   so that nothing of the console is needed on the way in. */
static bool entered_ahead(void)
{
    /* If it fails, the console tries again, and tells why not. */
    if (!console_irq_enter_typed() || transition_enter())
        return false;
    guest.want = MODE_VIRTUAL;
    guest.entered_ahead = true;
    return true;
}

static _Noreturn void visit_entry(void)
{
    struct cpu *c = cpu_self();
    /* CR0 first: the guest's may trap FPU instructions or leave pages unprotected. Caching stays as it is: a guest that
       has it off is at its MTRRs, and VM entry would not switch it off again (SDM 3C 27.3.2.1). */
    cpu_write_cr0(HOST_CR0 | (cpu_read_cr0() & (CR0_CD | CR0_NW)));
    /* Others come when the leader has checked, and calls them; but of 32-bit guests with every NMI. */
    bool narrow = bridge_wanted(), whole = (!cpu_leads(c) && !narrow) || digest_check_door(narrow);
    note_task_register(c);
    if (c->place == CPU_HELD)
        adopt(c);
    if (!whole) {
        /* Not many more instructions than needed to go back: the image cannot be trusted. */
        digest_mend_way_out();
        if (narrow)
            note_whose_nmi(c);
        note_damage(c);
        visit_resume(c);
    }
    if (narrow)
        bridge_sort_nmi(c);
    if (cpu_leads(c) && c->gate->nmi == BRIDGE_NMI_OURS && (narrow || !entered_ahead())) {
        if (!digest_open_rest())
            visit_damaged();
        if (host_timer_look_us != HOST_TIMER_NO_LOOK)
            auto_visit();
        console_irq_pump();
    }
    do
        if (smp_called(c))
            smp_follow(c);
    while (guest.mode == MODE_NATIVE && !smp_leave_host(c));
    if (c->place == CPU_HELD)
        run_loop(c);
    if (guest.mode == MODE_VIRTUAL) {
        if (c->gate->nmi == BRIDGE_NMI_GUESTS)
            c->vcpu.nmi_pending = true;
        transition_become_virtual(c);
    }
    if (!digest_rest_is_open() && !digest_mend_way_out())
        note_damage(c);
    visit_resume(c);
}
