/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The odd guest does, told on COM1, what Sojourn has to find before it changes modes. Each word does it, and undoes it when
 * given again:
 *
 *   root       a top-level table of its own, to the same tables below
 *   idt        another place for the IDT, with the same gates
 *   tree       another table that maps the IDT, with the same entries
 *   slot       (after tree) what lies beside the IDT in the first one is gone
 *   vector     its own gate for NMIs
 *   flip PA    a byte of that physical page is inverted, at that address
 *   mode N     0 no paging, 1 PAE, 2 32-bit paging, 3 16-bit protected mode, 4 real mode, 5 calls of the BIOS (boot
 *              CPU only); until the byte s comes
 *   gate       (after idt) its own gate for NMIs, in that other place only
 *   self       an NMI to itself
 *   open       interrupts are let in
 *   count      NMIs that its own handler took, on all CPUs
 *   adjust V   IA32_TSC_ADJUST gets this value; "late": how much more the counter has moved than by the difference
 *   clock      IA32_TSC_ADJUST, and the counter
 *   cpu N WORD the same on that CPU, which waits for it, at first with interrupts off */
#include "cpu.h"
#include "kit.h"
#include "msr.h"

#define LINE_BYTES 80u
#define LOW_CODE 0x8000u
#define ENTRIES 512u
#define ENTRY_FLAGS MASK(11, 0)
#define IDT_PAGE_OFFSET 0x440u
#define GATE_BYTES 16u
#define KINDS 6u
#define LEVELS 4u

extern const uint8_t odd_low[], odd_low_end[], kit_entries[];
void odd_run(unsigned kind);

static uint64_t copies[LEVELS][ENTRIES] ALIGNED(4096);
static uint64_t other_idt[ENTRIES] ALIGNED(4096);
static uint64_t kept_slot[ENTRIES], kept_gate[2];
static uint64_t own_gate[2], kept_other[2];
static bool idt_moved, tree_copied, root_copied, slot_gone, vector_own, gate_own;
static volatile uint64_t nmis;
static const char *volatile asked[KIT_CPUS_MAX]; /* what this CPU is to do; NULL: nothing */

bool guest_interrupt(struct kit_frame *f)
{
    if (f->vector == KIT_VECTOR_NMI)
        __atomic_fetch_add(&nmis, 1, __ATOMIC_SEQ_CST);
    return f->vector == KIT_VECTOR_NMI;
}

static void copy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

static uint64_t *nmi_gate(uint64_t *idt)
{
    return (uint64_t *)((uint8_t *)idt + IDT_PAGE_OFFSET + GATE_BYTES * KIT_VECTOR_NMI);
}

static void toggle_idt(struct kit_cpu *cpu)
{
    struct pseudo_descriptor d = cpu->idtr;
    if (!idt_moved) {
        copy(other_idt, kit_idt, sizeof other_idt);
        copy(kept_other, nmi_gate(other_idt), sizeof kept_other);
    }
    d.base = (uint64_t)other_idt + IDT_PAGE_OFFSET;
    cpu_lidt(idt_moved ? &cpu->idtr : &d);
    idt_moved = !idt_moved;
}

static void load_root(const uint64_t *root)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

/* The first `levels` tables on the way to the IDT, copied and linked. */
static void copy_path(unsigned levels)
{
    const uint64_t *from = kit_pml4;
    for (unsigned i = 0; i < levels; i++) {
        copy(copies[i], from, sizeof copies[i]);
        unsigned index = KIT_IDT_ADDRESS >> (39 - 9 * i) & (ENTRIES - 1);
        from = (const uint64_t *)(from[index] & ~ENTRY_FLAGS);
        if (i + 1 < levels)
            copies[i][index] = (uint64_t)copies[i + 1] | (copies[i][index] & ENTRY_FLAGS);
    }
    load_root(copies[0]);
}

static void toggle_tree(bool *copied, unsigned levels)
{
    if (*copied)
        load_root(kit_pml4);
    else
        copy_path(levels);
    *copied = !*copied;
}

static void toggle_slot(void)
{
    for (unsigned i = 1; i < ENTRIES; i++) { /* 0 is the IDT's own */
        if (!slot_gone)
            kept_slot[i] = kit_idt_table[i];
        kit_idt_table[i] = slot_gone ? kept_slot[i] : 0;
    }
    slot_gone = !slot_gone;
}

static void toggle_vector(void)
{
    uint64_t *gate = nmi_gate(kit_idt);
    if (!vector_own) {
        copy(kept_gate, gate, sizeof kept_gate);
        kit_set_gate(KIT_VECTOR_NMI, (void (*)(void))(uint64_t)(kit_entries + GATE_BYTES * KIT_VECTOR_NMI), 0,
                     KIT_IST_NMI);
    } else {
        copy(gate, kept_gate, sizeof kept_gate);
    }
    vector_own = !vector_own;
}

static void toggle_gate(void)
{
    copy(nmi_gate(other_idt), gate_own ? kept_other : own_gate, sizeof own_gate);
    gate_own = !gate_own;
}

static void adjust(uint64_t value)
{
    uint64_t old = 0;
    if (!cpu_rdmsr_safe(MSR_IA32_TSC_ADJUST, &old))
        return say("odd adjust absent\n");
    uint64_t before = cpu_rdtsc();
    cpu_wrmsr(MSR_IA32_TSC_ADJUST, value);
    say_field("odd late", cpu_rdtsc() - before - (value - old), 10);
    say("\n");
}

static void show_clock(void)
{
    uint64_t value = 0;
    (void)cpu_rdmsr_safe(MSR_IA32_TSC_ADJUST, &value);
    say_field("odd adjust", value, 10);
    say_field(" tsc", cpu_rdtsc(), 10);
    say("\n");
}

static void toggle_interrupts(const struct kit_cpu *cpu)
{
    static bool open[KIT_CPUS_MAX];
    open[cpu->number] = !open[cpu->number];
    if (open[cpu->number])
        __asm__ volatile("sti");
    else
        __asm__ volatile("cli");
}

static const char *next_word(const char *at)
{
    while (*at && *at != ' ')
        at++;
    while (*at == ' ')
        at++;
    return at;
}

/* False: no such word. */
static bool carry_out(struct kit_cpu *cpu, const char *line)
{
    const char *at = next_word(line);
    uint64_t n = number(&at);
    if (word_is(line, "idt"))
        toggle_idt(cpu);
    else if (word_is(line, "root"))
        toggle_tree(&root_copied, 1);
    else if (word_is(line, "tree"))
        toggle_tree(&tree_copied, LEVELS);
    else if (word_is(line, "slot"))
        toggle_slot();
    else if (word_is(line, "vector"))
        toggle_vector();
    else if (word_is(line, "gate"))
        toggle_gate();
    else if (word_is(line, "open"))
        toggle_interrupts(cpu);
    else if (word_is(line, "adjust"))
        adjust(n);
    else if (word_is(line, "clock"))
        show_clock();
    else if (word_is(line, "flip"))
        *(volatile uint8_t *)n ^= 0xff;
    else if (word_is(line, "mode") && n < KINDS) {
        say("odd away\n");
        kit_drain();
        odd_run((unsigned)n);
    } else if (word_is(line, "self"))
        kit_apic_send(cpu->apic_id, APIC_DELIVERY_NMI);
    else
        return word_is(line, "count");
    return true;
}

/* The first CPU leaves the console alone until the other one is done. */
static bool command(struct kit_cpu *cpu, const char *line)
{
    if (!word_is(line, "cpu"))
        return carry_out(cpu, line);
    const char *at = next_word(line);
    uint64_t n = number(&at);
    if (!n || n >= kit_cpu_count)
        return false;
    asked[n] = next_word(next_word(line));
    while (asked[n]) /* endless: until it has done it; the test waits with a deadline */
        cpu_pause();
    return true;
}

void guest_setup(void)
{
    copy((void *)LOW_CODE, odd_low, (size_t)(odd_low_end - odd_low));
    copy(own_gate, nmi_gate(kit_idt), sizeof own_gate);
}

void guest_other(struct kit_cpu *cpu)
{
    for (;;) {
        if (asked[cpu->number]) {
            (void)carry_out(cpu, asked[cpu->number]);
            asked[cpu->number] = NULL;
        }
        cpu_pause();
    }
}

void guest_main(void)
{
    static char line[LINE_BYTES];
    for (;;) {
        say("odd ready\n");
        kit_read_line(line, sizeof line);
        if (!command(&kit_cpus[0], line))
            continue;
        say("odd ");
        say(line);
        say_field(" nmis", nmis, 10);
        say("\n");
    }
}
