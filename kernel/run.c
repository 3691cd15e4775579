/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The run loop, one on each CPU.
 *
 *   orders of the leader -> INIT, start-up -> [leader: console, leave when wanted and possible]
 *                                          -> one entry, one exit -> policy -> again
 *
 * A settled guest that stays virtual has no timer running: zero exits per second if it computes. Only while something is
 * waited for (settling, a leave that was not possible yet, an unarmed console line) does the leader ask for ticks: the
 * preemption timer where there is one, else each external interrupt that the guest gets (before it is delivered, and
 * again at the end of its handler). */
#include "kernel/run.h"

#include "clock.h"
#include "cpu.h"
#include "drivers/lapic.h"
#include "kernel/apic_watch.h"
#include "kernel/auto.h"
#include "kernel/bridge.h"
#include "kernel/commands.h"
#include "kernel/console.h"
#include "kernel/console_irq.h"
#include "kernel/crash.h"
#include "kernel/digest.h"
#include "kernel/gateway_install.h"
#include "kernel/guest.h"
#include "kernel/host_timer.h"
#include "kernel/leave_check.h"
#include "kernel/live.h"
#include "kernel/policy.h"
#include "kernel/settle.h"
#include "kernel/smp.h"
#include "kernel/startup.h"
#include "kernel/transition.h"
#include "kernel/traps.h"
#include "kernel/tsc_debt.h"
#include "log.h"
#include "msr.h"

#define TICK_US 20000u
#define LEAVE_DEADLINE_US 10000000u
#define REARM_INTERVAL_US 100000u
#define ARMED_INTERVAL_US 2000000u /* it costs the other CPUs an exit */
#define LOOK_AGAIN_US 2000u
#define FOLLOW_US 10000u

static uint64_t next_rearm_us;

static bool runs_virtual(const struct cpu *c)
{
    return guest.run == GUEST_RUNNING && guest.mode == MODE_VIRTUAL && c->loaded;
}

static void set_ticking(struct cpu *c, bool on)
{
    struct vcpu *v = &c->vcpu;
    if (on == c->ticking)
        return;
    c->ticking = on;
    enum err timer = on || c->tick_native ? guest.backend->trap(v, VTRAP_TICK, on ? TICK_US : 0) : E_NOTYET;
    if (on)
        c->tick_native = !timer;
    if (c->tick_native)
        return;
    if (guest.backend->trap(v, VTRAP_INTR, on) || guest.backend->trap(v, VTRAP_IRET, 0))
        log_line("run", "no timer, no interrupt exits: the guest is looked at when it exits");
}

/* After EXIT_INTR the guest must get its interrupt, so the trap moves to the handler's IRET, and back. */
static void follow_interrupt(struct cpu *c, enum exit_kind kind)
{
    if (kind == EXIT_INTR_WINDOW && guest.backend->trap(&c->vcpu, VTRAP_INTR_WINDOW, 0))
        log_line("run", "the interrupt window cannot be closed: cpu=%u", c->index);
    if (!c->ticking || c->tick_native)
        return;
    if (kind != EXIT_INTR && kind != EXIT_IRET)
        return;
    enum err a = guest.backend->trap(&c->vcpu, VTRAP_INTR, kind == EXIT_IRET);
    enum err b = guest.backend->trap(&c->vcpu, VTRAP_IRET, kind == EXIT_INTR);
    if (a || b)
        log_line("run", "interrupt traps failed: %s %s", err_name(a), err_name(b));
}

static void note_cr3(struct cpu *c, uint64_t now)
{
    uint64_t cr3 = guest.backend->get(&c->vcpu, VREG_CR3) & (guest.plan.format ? MASK(31, 5) : MASK(51, 12));
    unsigned oldest = 0;
    if (c->seen_cr3[c->seen_last].cr3 == cr3) {
        c->seen_cr3[c->seen_last].when_us = now;
        return;
    }
    for (unsigned i = 0; i < SEEN_CR3_MAX; i++) {
        if (c->seen_cr3[i].cr3 == cr3) {
            c->seen_cr3[i].when_us = now;
            c->seen_last = i;
            return;
        }
        if (c->seen_cr3[i].when_us < c->seen_cr3[oldest].when_us)
            oldest = i;
    }
    c->seen_last = oldest;
    c->seen_cr3[oldest].cr3 = cr3;
    c->seen_cr3[oldest].when_us = now;
}

/* The other CPUs exit too rarely to be asked for more than this. */
static void look_for_user_mode(struct cpu *c)
{
    if (guest.settled || guest.settle.user_elsewhere)
        return;
    if ((guest.backend->get(&c->vcpu, VREG_SS_AR) >> AR_DPL_SHIFT & 3u) == 3u)
        guest.settle.user_elsewhere = true;
}

static void look_at_settling(struct cpu *c, uint64_t now)
{
    if (guest.settled || !guest.settle_us)
        return;
    struct vcpu *v = &c->vcpu;
    bool paging = guest.backend->get(v, VREG_CR0) & CR0_PG;
    bool user = (guest.backend->get(v, VREG_SS_AR) >> AR_DPL_SHIFT & 3u) == 3u;
    uint64_t idt = guest.backend->get(v, VREG_IDT_BASE);
    if (!settle_look(&guest.settle, now, guest.settle_us, paging, idt, paging && user))
        return;
    commands_look_at_masters();
    guest.settled = true;
    guest.want = MODE_NATIVE;
    log_line("run", "guest settled: idt=%#llx", (unsigned long long)idt);
}

void run_left(void)
{
    if (!guest.leave_asked)
        return;
    guest.leave_asked = false;
    console_finish_plain(E_OK);
}

/* Without any timer: at the end of the guest's NMI handler, when it could take an interrupt (it may never get one), or,
   with interrupts off, at once: the deadline must be seen to pass. */
static void look_again_at_once(struct cpu *c)
{
    bool in_nmi = guest.backend->interruptibility(&c->vcpu) & INTERRUPTIBILITY_NMI;
    if (!in_nmi && !(guest.backend->get(&c->vcpu, VREG_RFLAGS) & RFLAGS_IF)) {
        console_irq_unhush();
        return;
    }
    enum err e = guest.backend->trap(&c->vcpu, in_nmi ? VTRAP_IRET : VTRAP_INTR_WINDOW, 1);
    (void)e; /* then at the next exit */
}

/* A leave was not possible at this moment. The guest goes on for a while: what is waited for may have to come from it, and
   from this CPU, such as a start-up IPI for another one. */
static void look_again(struct cpu *c)
{
    if (run_has_timer())
        return;
    if (host_timer_runs() || !host_timer_start()) {
        look_again_at_once(c);
        return;
    }
    run_on(LOOK_AGAIN_US);
    enum err e = host_timer_stop();
    (void)e; /* cannot fail: the guest is virtual */
}

static void try_leave(uint64_t now)
{
    if (guest.want != MODE_NATIVE)
        return;
    if (!guest.leave_give_up_us)
        guest.leave_give_up_us = now + LEAVE_DEADLINE_US;
    if (tsc_debt_payable() && !tsc_debt_pay()) {
        guest.leave_give_up_us = 0;
        return;
    }
    enum err e = transition_leave();
    /* Still here: not possible right now. */
    if (leave_is_transient(e) && now < guest.leave_give_up_us) {
        look_again(cpus[0]);
        return;
    }
    guest.leave_give_up_us = 0;
    guest.want = MODE_VIRTUAL;
    commands_leave_refused(e);
}

/* IOREGSEL and IOWIN are a pair, and the guest's. */
static void look_at_line(void)
{
    if (smp_stop())
        return;
    console_irq_rearm();
    smp_release();
}

/* Leader. False: there was no guest to enter. If a command has brought one meanwhile, what has to be done before it may
   be entered, the console's interrupts above all, is done the next time. */
static bool between_entries(struct cpu *c)
{
    uint64_t now = clock_us();
    /* A leave that was answered comes before the next command. */
    if (runs_virtual(c)) {
        note_cr3(c, now);
        try_leave(now);
    }
    if (guest.run == GUEST_CRASHED)
        crash_policy();
    if (guest.run == GUEST_PARKED && !guest.park_told) {
        guest.park_told = true;
        console_notice("guest parked: %s; `log` has its registers; restore a checkpoint or reboot", guest.park_reason);
    }
    if (now >= next_rearm_us) {
        if (!c->enter_from_tsc) /* else its interrupt has just led here */
            look_at_line();
        next_rearm_us = now + (cpu_count == 1 || !console_irq_armed() ? REARM_INTERVAL_US : ARMED_INTERVAL_US);
    }
    if (guest.leave_asked && guest.run != GUEST_RUNNING) {
        guest.leave_asked = false;
        console_finish(guest.run == GUEST_PARKED ? E_PARKED : E_NOGUEST, "%s", "");
    }
    if (!runs_virtual(c) || guest.held) {
        console_irq_poll();
        return false;
    }
    if (now >= host_timer_look_us)
        auto_look();
    console_irq_pump(); /* a checkpoint leaves the console's interrupts off */
    if (!runs_virtual(c))
        return false; /* it, or a command, has changed it */
    look_at_settling(c, now);
    gateway_install_ahead(c);
    try_leave(now);
    if (guest.held)
        return false;
    bool settling = !guest.settled && guest.settle_us;
    set_ticking(c, settling || guest.want == MODE_NATIVE || !console_irq_armed());
    return true;
}

/* NMIs hit guest or host: from another CPU, or the console had something; all others belong to the guest. */
static void sort_nmi(struct cpu *c, enum exit_kind kind)
{
    uint64_t came = __atomic_exchange_n(&c->vcpu.host_nmi, 0, __ATOMIC_RELAXED) + (kind == EXIT_NMI);
    bool sent = came && smp_explains_nmi(c);
    if (cpu_leads(c)) {
        /* Before the console, which may put another guest in this one's place. */
        bool counter = came && lapic_counter_nmi();
        bool timer = came && host_timer_take();
        if (!came)
            console_irq_exited();
        else if (console_irq_take()) /* asked even if another CPU sent one: two NMIs may come as one */
            came = 0;
        else if (timer)
            came--;
        if (counter)
            came = 1 + sent;
    }
    if (came && sent)
        came--;
    if (came)
        c->vcpu.nmi_pending = true;
}

/* How long the way in was is known once the guest has run. */
static void note_enter(struct cpu *c, enum exit_kind kind)
{
    if (!c->enter_from_tsc || kind == EXIT_NMI_HOST)
        return;
    c->enter_cycles = c->vcpu.entry_tsc - c->enter_from_tsc;
    c->enter_from_tsc = 0;
}

/* The first exit after an enter finds the image damaged: no exit can be handled, but each happened before anything of
   its instruction was done, so the bare CPU can carry it out. */
static void leave_damaged(struct cpu *c)
{
    guest.last_refusal = E_DIGEST;
    bool first = __atomic_exchange_n(&guest.want, MODE_NATIVE, __ATOMIC_SEQ_CST) != MODE_NATIVE;
    while (bridge_wanted()) /* endless: its way out needs the rest, which it was to open on the way in */
        cpu_cli_hlt();
    if (!cpu_leads(c)) { /* the guest's instruction exits again until the leader has called */
        static uint64_t asked_us;
        uint64_t now = clock_us();
        if (first || now - asked_us > FOLLOW_US) { /* by one CPU: of two NMIs at once one would be the guest's */
            asked_us = now;
            smp_kick(cpus[0]);
        }
        return;
    }
    guest.entered_ahead = false;
    console_irq_refuse(E_DIGEST); /* to the line that asked for the enter */
    set_ticking(c, true);
    enum err e = transition_leave();
    (void)e; /* not now: at the next exit, then */
}

/* Cold, but in the way out (kernel/door.ld). */
SELDOM _Noreturn void run_damaged(struct cpu *c)
{
    for (;;) { /* endless: the way out is leaving into the guest */
        struct vm_exit x;
        /* Whose an NMI is that came while the host was here, as sort_nmi() would say, but for timers. */
        bool came = __atomic_exchange_n(&c->vcpu.host_nmi, 0, __ATOMIC_RELAXED);
        if (came && !smp_explains_nmi(c) && !(cpu_leads(c) && console_irq_explains_nmi()))
            c->vcpu.nmi_pending = true;
        leave_damaged(c);
        if (smp_called(c))
            smp_follow(c);
        if (c->leaving)
            transition_go_native(c);
        if (!runs_virtual(c) || !smp_leave_host(c))
            continue;
        enum err e = guest.backend->run(&c->vcpu, &x);
        (void)e; /* nothing can be done about it */
        smp_in_host(c);
    }
}

/* The exit before anything else: a console command may put another guest in this one's place. */
static __attribute__((noinline)) void exited(struct cpu *c, enum err e, const struct vm_exit *x)
{
    if (e) {
        policy_park(c, "the CPU refused to run the guest: %s", err_name(e));
        return;
    }
    c->exits[x->kind]++;
    c->idle = x->kind == EXIT_HLT;
    follow_interrupt(c, x->kind);
    policy_exit(c, x);
    if (!cpu_leads(c)) {
        apic_watch_exited(c);
        note_cr3(c, clock_us());
        look_for_user_mode(c);
    }
    sort_nmi(c, x->kind);
}

static void run_once(struct cpu *c)
{
    struct vm_exit x = {.kind = EXIT_UNKNOWN};
    if (!guest.first_entry_us)
        guest.first_entry_us = clock_us();
    if (!smp_leave_host(c))
        return;
    enum err e = guest.backend->run(&c->vcpu, &x);
    smp_in_host(c);
    note_enter(c, x.kind);
    if (!digest_open_rest())
        run_damaged(c);
    exited(c, e, &x);
}

_Noreturn void run_entered(struct cpu *c)
{
    /* For the console alone: another enter has its errand, which the loop looks after. */
    bool asked = !cpu_leads(c) || guest.entered_ahead;
    if (asked && !c->vcpu.host_nmi && !c->reset && runs_virtual(c)) {
        if (cpu_leads(c)) {
            set_ticking(c, true);
            if (!c->tick_native)
                console_irq_unhush(); /* its interrupt is the next exit */
        }
        run_once(c);
    }
    run_loop(c);
}

void run_on(uint64_t us)
{
    struct cpu *c = cpus[0];
    uint64_t end = deadline_in_us(us);
    bool timer = host_timer_runs();
    set_ticking(c, !timer);
    enum err e = guest.backend->trap(&c->vcpu, VTRAP_HLT, 1);
    (void)e; /* then there is a timer that counts while the guest is halted */
    c->idle = false;
    /* A command that an exit brought may have taken the timer back. */
    while (!deadline_passed(end) && runs_virtual(c) && !c->idle && !live_pressed() && host_timer_runs() == timer) {
        if (smp_called(c))
            smp_follow(c);
        if (timer)
            host_timer_arm(us);
        run_once(c);
    }
    e = guest.backend->trap(&c->vcpu, VTRAP_HLT, 0);
    (void)e;
}

bool run_has_timer(void)
{
    set_ticking(cpus[0], true);
    return cpus[0]->tick_native;
}

/* The host has this CPU: wait for a call or a start-up IPI. */
static void hold(struct cpu *c)
{
    if (c->start_vector) {
        startup_begin(c);
        return;
    }
    if (!smp_leave_host(c))
        return;
    traps_wait_nmi(&c->vcpu.host_nmi);
    smp_in_host(c);
    c->vcpu.host_nmi = 0;
    c->gate->owed = 0; /* that is what it was for */
}

_Noreturn void run_loop(struct cpu *c)
{
    /* An NMI that waited while the host was coming in has been taken. */
    if (c->vcpu.host_nmi)
        sort_nmi(c, EXIT_NMI_HOST);
    for (;;) { /* endless: the way out is leaving into the guest */
        if (c->leaving)
            transition_go_native(c);
        if (smp_called(c)) {
            smp_follow(c);
            continue;
        }
        if (c->reset)
            startup_reset(c);
        if (c->place == CPU_HELD) {
            hold(c);
            continue;
        }
        bool ready = !cpu_leads(c) || between_entries(c);
        if (ready && runs_virtual(c))
            run_once(c);
        else
            cpu_pause();
    }
}
