/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The property guest: commands, phases, report. On COM1:
 *
 *   run PHASE [harm=ITEM] [cpu=N]   fill; "prop PHASE holding"; wait for the byte g; compare; "prop PHASE checks=N failed=M"
 *   list                            phases and the items that can be harmed
 *
 * The command line takes harm= and cpu=, too, for all phases, and: x2apic, cpus=N (at most), start=broadcast, seed=N.
 * A harm changes one item behind the back of the CPU with this number (0 if none is given): then a check has to fail.
 * While it waits, CPU 0 takes COM1's interrupt; the byte g lets all CPUs go. */
#include "cpu.h"
#include "msr.h"
#include "prop.h"

#define RFLAGS_SET BIT(1)
#define RFLAGS_ARITHMETIC (BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(7) | BIT(11))
#define LINE_BYTES 80u
#define GO 'g'
#define WAIT_TRIES 400000000u
#define INT_BYTES 2u
#define HLT_BYTES 1u
#define IOAPIC_INDEX 0xfec00000u
#define IOAPIC_DATA 0xfec00010u
#define IOAPIC_ENTRY(n) (0x10u + 2u * (n))
#define IOAPIC_MASKED BIT32(16)
#define IOAPIC_STATUS (BIT32(12) | BIT32(14))
#define IOAPIC_FIRST 5u
#define IOAPIC_LAST 23u
#define DR6_EVENTS (MASK(3, 0) | BIT(13))
#define DR7_GD BIT(13)
#define RANDOM_STEP 0x9e3779b97f4a7c15ull
#define RANDOM_MIX1 0xbf58476d1ce4e5b9ull
#define RANDOM_MIX2 0x94d049bb133111ebull

struct prop_cpu prop_cpus[KIT_CPUS_MAX];
static char line[LINE_BYTES];
static const struct prop_phase *phase_now;
static bool guard_works;
static uint32_t ioapic_want[IOAPIC_LAST + 1][2];

static const char *const gpr_name[PROP_GPRS] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const frame_name[PROP_FRAME_WORDS] = {"rip", "cs", "rflags", "rsp", "ss"};

/* splitmix64 */
uint64_t prop_random(struct prop_cpu *p)
{
    uint64_t z = p->random += RANDOM_STEP;
    z = (z ^ z >> 30) * RANDOM_MIX1;
    z = (z ^ z >> 27) * RANDOM_MIX2;
    return z ^ z >> 31;
}

uint64_t prop_canonical(struct prop_cpu *p)
{
    return (uint64_t)((int64_t)(prop_random(p) << 16) >> 16);
}

bool prop_harmed(const struct prop_cpu *p, const char *name)
{
    return *p->harm && word_is(p->harm, name);
}

void prop_check_at(struct prop_cpu *p, const char *name, uint64_t got, uint64_t want, uint64_t at)
{
    p->checks++;
    if (got == want)
        return;
    p->failed++;
    if (p->failures < PROP_FAILURES_MAX)
        p->failure[p->failures++] = (struct prop_failure){name, got, want, at};
}

void prop_check(struct prop_cpu *p, const char *name, uint64_t got, uint64_t want)
{
    prop_check_at(p, name, got, want, 0);
}

static void say_phase(const char *what)
{
    say("prop ");
    say(phase_now ? phase_now->name : "boot");
    say(what);
}

void prop_skip(const struct prop_cpu *p, const char *name, const char *reason)
{
    if (p->cpu->number)
        return;
    say_phase(" skip ");
    say(name);
    say(" ");
    say(reason);
    say("\n");
}

/* ---- CPU 0's own: I/O APIC, release -------------------------------------------------------------------------- */

static uint32_t ioapic_read(uint32_t index)
{
    *(volatile uint32_t *)(uint64_t)IOAPIC_INDEX = index;
    return *(volatile uint32_t *)(uint64_t)IOAPIC_DATA;
}

static void ioapic_write(uint32_t index, uint32_t value)
{
    *(volatile uint32_t *)(uint64_t)IOAPIC_INDEX = index;
    *(volatile uint32_t *)(uint64_t)IOAPIC_DATA = value;
}

/* Entries that nothing of ours uses, masked; COM1's raises NMIs in the phase that waits for one. */
static void ioapic_fill(struct prop_cpu *p)
{
    for (unsigned n = IOAPIC_FIRST; n <= IOAPIC_LAST; n++) {
        uint64_t r = prop_random(p);
        ioapic_write(IOAPIC_ENTRY(n) + 1, (uint32_t)(r & MASK(31, 24)));
        ioapic_write(IOAPIC_ENTRY(n), IOAPIC_MASKED | (uint32_t)(0x20 + r % 0xd0));
    }
    bool nmi = p->phase->wait == WAIT_NMI;
    ioapic_write(IOAPIC_ENTRY(COM1_IRQ) + 1, p->cpu->apic_id << 24);
    ioapic_write(IOAPIC_ENTRY(COM1_IRQ), nmi ? APIC_DELIVERY_NMI : IOAPIC_MASKED | KIT_VECTOR_SPURIOUS);
    for (unsigned n = COM1_IRQ; n <= IOAPIC_LAST; n++)
        for (unsigned half = 0; half < 2; half++)
            ioapic_want[n][half] = ioapic_read(IOAPIC_ENTRY(n) + half) & ~IOAPIC_STATUS;
    if (prop_harmed(p, "ioapic"))
        ioapic_write(IOAPIC_ENTRY(IOAPIC_LAST), ioapic_want[IOAPIC_LAST][0] ^ 1);
}

static void ioapic_check(struct prop_cpu *p)
{
    for (unsigned n = COM1_IRQ; n <= IOAPIC_LAST; n++)
        for (unsigned half = 0; half < 2; half++)
            prop_check_at(p, "ioapic", ioapic_read(IOAPIC_ENTRY(n) + half) & ~IOAPIC_STATUS, ioapic_want[n][half], n);
    ioapic_write(IOAPIC_ENTRY(COM1_IRQ), IOAPIC_MASKED | KIT_VECTOR_SPURIOUS);
}

static void hold_all(void)
{
    prop_to_kernel = (uint64_t)(phase_now->wait == WAIT_HALT ? prop_wait_halt : prop_wait_kernel);
    prop_to_user = (uint64_t)prop_wait_user;
    prop_to_compat = (uint32_t)((uint64_t)prop_wait_compat - PROP_COMPAT_BASE);
    prop_nmi_releases = phase_now->wait == WAIT_NMI;
}

/* User pages by their other address: SMAP may be on. */
static void release_all(void)
{
    prop_to_kernel = (uint64_t)prop_exit_kernel;
    *(volatile uint64_t *)((uint64_t)&prop_to_user + KIT_PHYSMAP) = (uint64_t)prop_exit_user;
    *(volatile uint32_t *)((uint64_t)&prop_to_compat + KIT_PHYSMAP) =
        (uint32_t)((uint64_t)prop_exit_compat - PROP_COMPAT_BASE);
    if (phase_now->wait == WAIT_HALT)
        for (unsigned n = 1; n < kit_cpu_count; n++)
            kit_apic_send(kit_cpus[n].apic_id, PROP_VECTOR_WAKE);
}

/* What ends a HLT must not come just before it. */
static void skip_halt(struct kit_frame *f)
{
    if (f->rip == (uint64_t)prop_wait_halt)
        f->rip += HLT_BYTES;
}

bool guest_interrupt(struct kit_frame *f)
{
    struct prop_cpu *p = &prop_cpus[f->cpu->number];
    switch (f->vector) {
    case KIT_VECTOR_DEBUG:
        p->debug_traps++;
        p->debug_bits |= (uint32_t)(cpu_read_dr6() & DR6_EVENTS);
        cpu_write_dr6(0);
        f->rflags |= RFLAGS_RF;
        return true;
    case KIT_VECTOR_COM1:
        for (unsigned i = 0; i < LINE_BYTES && in8(COM1 + UART_LSR) & LSR_DATA; i++)
            if (in8(COM1) == GO)
                release_all();
        skip_halt(f);
        return true;
    case PROP_VECTOR_PENDING:
        p->pending_taken++;
        kit_apic_write(APIC_EOI, 0);
        return true;
    case PROP_VECTOR_WAKE:
        skip_halt(f);
        kit_apic_write(APIC_EOI, 0);
        return true;
    default:
        return false;
    }
}

/* ---- one phase on one CPU -------------------------------------------------------------------------------------- */

static const uint8_t *exit_of(const struct prop_cpu *p)
{
    switch (p->phase->wait) {
    case WAIT_USER:
        return prop_exit_user;
    case WAIT_COMPAT:
        return prop_exit_compat - PROP_COMPAT_BASE;
    case WAIT_POLL:
        return p->cpu->number ? prop_exit_kernel : prop_exit_poll;
    default:
        return prop_exit_kernel;
    }
}

static const uint8_t *entry_of(const struct prop_cpu *p)
{
    switch (p->phase->wait) {
    case WAIT_USER:
        return prop_wait_user;
    case WAIT_COMPAT:
        return prop_wait_compat - PROP_COMPAT_BASE;
    case WAIT_HALT:
        return prop_wait_halt;
    case WAIT_POLL:
        return p->cpu->number ? prop_wait_kernel : prop_wait_poll;
    default:
        return prop_wait_kernel;
    }
}

static void fill_general(struct prop_cpu *p)
{
    struct prop_hold *h = &p->hold;
    for (unsigned i = 0; i < PROP_GPRS; i++)
        h->load[i] = prop_random(p);
    if (entry_of(p) == prop_wait_poll)
        h->load[GPR_RDX] = (h->load[GPR_RDX] & ~MASK(15, 0)) | (COM1 + UART_LSR);
    h->load_frame[FRAME_RIP] = (uint64_t)entry_of(p);
    h->load_frame[FRAME_CS] = p->phase->cs;
    h->load_frame[FRAME_RFLAGS] = p->phase->rflags | RFLAGS_SET | (prop_random(p) & RFLAGS_ARITHMETIC);
    h->load_frame[FRAME_RSP] = p->phase->wait == WAIT_COMPAT ? h->load[GPR_RSP] & MASK(31, 0) : h->load[GPR_RSP];
    h->load_frame[FRAME_SS] = p->phase->ss;
}

static void check_general(struct prop_cpu *p, const struct prop_hold *want)
{
    const struct prop_hold *h = &p->hold;
    bool polled = entry_of(p) == prop_wait_poll;
    for (unsigned i = 0; i < PROP_GPRS; i++) {
        uint64_t mask = i == GPR_RSP ? 0 : i == GPR_RAX && polled ? ~MASK(7, 0) : ~0ull;
        prop_check(p, gpr_name[i], h->got[i] & mask, want->load[i] & mask);
    }
    prop_check(p, "rip", h->got_frame[FRAME_RIP], (uint64_t)exit_of(p) + INT_BYTES);
    uint64_t flags = polled ? ~RFLAGS_ARITHMETIC : ~0ull;
    for (unsigned i = FRAME_CS; i < PROP_FRAME_WORDS; i++) {
        uint64_t mask = i == FRAME_RFLAGS ? flags : ~0ull;
        prop_check(p, frame_name[i], h->got_frame[i] & mask, want->load_frame[i] & mask);
    }
}

static void harm_general(struct prop_cpu *p)
{
    for (unsigned i = 0; i < PROP_GPRS; i++)
        if (prop_harmed(p, gpr_name[i]))
            p->hold.load[i] ^= BIT(63);
    if (prop_harmed(p, "rsp"))
        p->hold.load_frame[FRAME_RSP] ^= BIT(11);
    if (prop_harmed(p, "rflags"))
        p->hold.load_frame[FRAME_RFLAGS] ^= BIT(21);
    if (prop_harmed(p, "ss"))
        p->hold.load_frame[FRAME_SS] = p->phase->cs & SEL_RING3 ? SEL_ODD_PAGES | SEL_RING3
                                       : p->phase->ss           ? 0
                                                                : SEL_DATA;
    if (prop_harmed(p, "nmi"))
        kit_apic_send(p->cpu->apic_id, APIC_DELIVERY_NMI);
}

static void phase_on_this_cpu(struct prop_cpu *p)
{
    p->checks = p->failed = p->failures = 0;
    p->debug_traps = p->debug_bits = p->pending_taken = 0;
    p->hold.nmis = p->hold.nmis_without_cause = 0;
    prop_stack_fill(p);
    prop_base_state(p);
    fill_general(p);
    prop_segments_fill(p);
    if (!p->cpu->number) {
        ioapic_fill(p);
        prop_memory_harm(p);
    }
    prop_fpu_fill(p);
    prop_items_fill(p);
    struct prop_hold want = p->hold;
    harm_general(p);
    p->waiting = 1;
    if (!p->cpu->number) {
        for (unsigned n = 1; n < kit_cpu_count; n++)
            for (unsigned tries = 0; tries < WAIT_TRIES && !prop_cpus[n].waiting; tries++)
                cpu_pause();
        say_phase(" holding\n");
        kit_drain();
        if (p->phase->wait == WAIT_NMI)
            p->hold.nmis_without_cause = 0; /* QEMU: an edge for each byte sent while one received is not read yet */
    }
    p->tsc = cpu_rdtsc() + (prop_harmed(p, "tsc") ? BIT(62) : 0);
    if (p->phase->guard && guard_works)
        cpu_write_dr7(cpu_read_dr7() | DR7_GD);
    prop_hold(&p->hold);
    uint64_t now = cpu_rdtsc();
    if (p->phase->wait == WAIT_POLL && !p->cpu->number)
        (void)in8(COM1); /* the byte that was only seen to be there */
    if (!p->cpu->number && (p->phase->wait == WAIT_POLL || p->phase->wait == WAIT_NMI))
        release_all(); /* the others wait for this CPU */
    prop_items_read(p);
    prop_segments_read(p);
    if (p->phase->guard && guard_works) {
        prop_check(p, "guard", p->debug_traps, 1);
        p->debug_traps = 0;
    }
    prop_debug_check(p);
    prop_fpu_check(p);
    prop_base_state(p);
    check_general(p, &want);
    prop_items_check(p);
    prop_segments_check(p);
    prop_stack_check(p);
    prop_check(p, "tsc", now > p->tsc, 1);
    prop_check(p, "nmi", p->hold.nmis_without_cause, 0);
    if (p->phase->pending) {
        __asm__ volatile("sti; nop; nop; cli" : : : "memory");
        prop_check(p, "pending", p->pending_taken, 1);
    }
    if (!p->cpu->number)
        ioapic_check(p);
}

/* ---- all CPUs -------------------------------------------------------------------------------------------------- */

static void report(const struct prop_cpu *p)
{
    for (unsigned i = 0; i < p->failures; i++) {
        const struct prop_failure *f = &p->failure[i];
        say_phase(" FAIL ");
        say_field(f->name, f->got, 16);
        say("/0x");
        say_number(f->want, 16);
        say_field(" cpu", p->cpu->number, 10);
        say_field(" at", f->at, 16);
        say("\n");
    }
}

static void run(const struct prop_phase *phase, const char *words)
{
    const char *harm = option(words, "harm");
    uint64_t harmed_cpu = option_number(words, "cpu", option_number(kit_cmdline, "cpu", 0));
    phase_now = phase;
    if (phase->guard && !guard_works) {
        say_phase(" skip guard not modelled\n");
    }
    hold_all();
    if (!harm)
        harm = option(kit_cmdline, "harm");
    for (unsigned n = 0; n < kit_cpu_count; n++) {
        struct prop_cpu *p = &prop_cpus[n];
        p->phase = phase;
        p->harm = harm && n == harmed_cpu ? harm : "";
        p->random = option_number(kit_cmdline, "seed", 1) + RANDOM_MIX1 * (n + 1) + (uint64_t)(phase - prop_phases);
        p->waiting = p->done = 0;
        p->go = n != 0;
    }
    phase_on_this_cpu(&prop_cpus[0]);
    for (unsigned n = 1; n < kit_cpu_count; n++) {
        for (unsigned tries = 0; tries < WAIT_TRIES && !prop_cpus[n].done; tries++)
            cpu_pause();
        prop_check_at(&prop_cpus[0], "released", prop_cpus[n].done, 1, n);
    }
    prop_memory_check(&prop_cpus[0]);
    uint64_t checks = 0, failed = 0, nmis = 0;
    for (unsigned n = 0; n < kit_cpu_count; n++) {
        report(&prop_cpus[n]);
        checks += prop_cpus[n].checks;
        failed += prop_cpus[n].failed;
        nmis += prop_cpus[n].hold.nmis;
    }
    say_phase(" checks=");
    say_number(checks, 10);
    say_field(" failed", failed, 10);
    say_field(" cpus", kit_cpu_count, 10);
    say_field(" entries", prop_gateway_entries, 10);
    say_field(" gate", prop_gateway_gate, 10);
    say_field(" nmis", nmis, 10);
    say("\n");
}

void guest_other(struct kit_cpu *cpu)
{
    struct prop_cpu *p = &prop_cpus[cpu->number];
    prop_base_state(p);
    for (;;) {
        while (!p->go)
            cpu_pause();
        p->go = 0;
        phase_on_this_cpu(p);
        p->done = 1;
    }
}

static void list(void)
{
    say("prop phases");
    for (unsigned i = 0; i < prop_phase_count; i++) {
        say(" ");
        say(prop_phases[i].name);
    }
    say("\nprop items");
    for (unsigned i = 0; i < PROP_GPRS; i++) {
        say(" ");
        say(gpr_name[i]);
    }
    say(" rflags ss nmi tsc ioapic nmi_stack memory memory_image memory_low memory_tables memory_idt debug_traps");
    prop_items_list();
    prop_fpu_list();
    prop_segments_list();
    say("\n");
}

void guest_setup(void)
{
    kit_set_gate(PROP_VECTOR_RELEASE, prop_released, 3, KIT_IST_IRQ);
    kit_set_gate(KIT_VECTOR_NMI, prop_nmi, 0, KIT_IST_NMI);
    for (unsigned n = 0; n < KIT_CPUS_MAX; n++) {
        prop_cpus[n].cpu = &kit_cpus[n];
        prop_cpus[n].harm = "";
        kit_cpus[n].irq.own = kit_cpus[n].nmi.own = (uint64_t)&prop_cpus[n].hold;
        for (unsigned i = 0; i < 512; i++)
            prop_pml4[n][i] = kit_pml4[i];
    }
    prop_fpu_setup();
}

/* Does an access to a debug register trap when DR7.GD is set? */
static void try_guard(void)
{
    struct prop_cpu *p = &prop_cpus[0];
    p->debug_traps = 0;
    cpu_write_dr7(DR7_GD | BIT(10));
    (void)cpu_read_dr7();
    guard_works = p->debug_traps == 1;
    cpu_write_dr7(BIT(10));
}

void guest_main(void)
{
    prop_base_state(&prop_cpus[0]);
    try_guard();
    if (!prop_memory_setup()) {
        say("prop boot FAIL no room for the copies\n");
        return;
    }
    say_field("prop boot cpus", kit_cpu_count, 10);
    say(kit_x2apic ? " mode=x2apic\n" : " mode=xapic\n");
    say("prop ready\n");
    for (;;) {
        kit_read_line(line, sizeof line);
        if (word_is(line, "list"))
            list();
        const char *name = word_is(line, "run") ? line + sizeof "run" - 1 : NULL;
        while (name && *name == ' ')
            name++;
        for (unsigned i = 0; name && i < prop_phase_count; i++)
            if (word_is(name, prop_phases[i].name))
                run(&prop_phases[i], name);
        say("prop ready\n");
    }
}
