/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 32-bit guest: never in long mode. Commands on COM1:
 *
 *   mode N    0 PAE, 1 32-bit paging with 4 KiB pages, 2 with 4 MiB pages, too: on all CPUs
 *   only N    likewise, on CPU 0 only
 *   hold N    0 ring 3, 1 ring 0, 2 ring 0 halted, 3 virtual-8086 (CPU 0; the others in ring 0): all CPUs fill every register they can see with odd, legal values, and wait.
 *             The byte n: CPU 0 sends itself an NMI. g: compare, "narrow checks=N failed=M nmis=K entries=E gate=G"
 *   flip HEX  the byte at that physical address is inverted
 *
 * narrow_main.c: commands, console, interrupts. narrow_cpu.c: descriptor and page tables, CPUs. narrow_hold.c: registers. */
#ifndef GUEST_NARROW_H
#define GUEST_NARROW_H

#include "bits.h"
#include "types.h"

#define CPUS_MAX 8u
#define FIXED __attribute__((section(".bss.fixed")))
#define IDT_ADDRESS 0xff403000u /* a page table of its own, shared by all address spaces */
#define IDT_OFFSET 0x440u
#define VECTORS 49u
#define VECTOR_NMI 2u
#define VECTOR_PIC 32u
#define VECTOR_RELEASE 48u
#define COM1 0x3f8u
#define AP_PAGE 0x8000u
#define EFLAGS_VM BIT32(17)
#define COM1_IRQ 4u

enum selector {
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_USER_CODE = 0x1b,
    SEL_USER_DATA = 0x23,
    SEL_ODD = 0x2b,
    SEL_READ_ONLY = 0x33,
    SEL_TSS = 0x38, /* right before the LDT's: a descriptor has eight bytes here */
    SEL_LDT = 0x40,
    SEL_LDT_ODD = 0x0f,
    SEL_END = 0x48
};

/* narrow_start.asm knows the offsets. */
struct hold {
    uint32_t saved, gpr[8], eip, cs, eflags, esp, ss, ds, es, fs, gs, pad[2];
    uint8_t fx[512] ALIGNED(16);
};
_Static_assert(offsetof(struct hold, fx) == 80, "narrow_start.asm");

struct frame {
    uint32_t probe[4]; /* what is at offset 0 of GS, FS, ES, DS; null: 0 */
    uint32_t gs, fs, es, ds, edi, esi, ebp, kernel_esp, ebx, edx, ecx, eax, vector, error, eip, cs, eflags, esp, ss;
    uint32_t v86_es, v86_ds, v86_fs, v86_gs; /* only there */
};

struct PACKED pseudo32 {
    uint16_t limit;
    uint32_t base;
};

struct cpu {
    struct hold hold;
    struct frame got;
    uint8_t fx[512] ALIGNED(16);
    volatile uint32_t order_done, nmis;
    uint32_t checks, failed, number;
};

extern struct cpu cpus[CPUS_MAX];
extern uint32_t cpu_count;
extern volatile uint32_t order;
extern uint8_t image_start[], fixed_end[];

void out8(uint16_t port, uint8_t value);
uint8_t in8(uint16_t port);
void say(const char *text);
void say_number(const char *name, uint32_t value);
void narrow_interrupt(struct frame *f);

uint64_t rdmsr(uint32_t number);
void wrmsr(uint32_t number, uint64_t value);

/* narrow_cpu.c */
void cpu_init(struct cpu *c);
void cpu_mode(struct cpu *c, uint32_t mode);
void cpu_start_others(uint32_t wanted);
struct cpu *cpu_self(void);
void cpu_nmi_to_self(void);
void cpu_flip(uint32_t pa); /* the byte there is inverted, wherever it may be mapped: without paging for a moment */
void cpu_v86_target(const uint8_t *to);
uint32_t cpu_footprint(uint32_t *gate); /* entries beside the IDT */
uint32_t cpu_sum(void);
uint32_t cpu_segment_word(uint32_t selector);
extern uint32_t cpu_second_root;

/* narrow_hold.c */
void hold_fill(struct cpu *c, uint32_t kind);
void hold_check(struct cpu *c);

extern volatile uint32_t narrow_target[2], narrow_awake;
extern const uint8_t narrow_v86[], narrow_v86_exit[], narrow_v86_target[];
extern const uint8_t narrow_entries[], narrow_spin[], narrow_halt[], narrow_release[], narrow_ap_start[],
    narrow_ap_start_end[];
void narrow_hold(struct hold *h);
_Noreturn void narrow_back(struct hold *h);
void narrow_main(uint32_t magic, uint32_t info);
void narrow_other(uint32_t number);

#endif
