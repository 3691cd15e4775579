/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What our bare-metal guests share: console, command line, memory map, descriptor tables, interrupts, further CPUs.
 *
 * A guest defines guest_setup() (before any other CPU is awake), guest_main() (CPU 0), guest_other() (each other CPU,
 * with its tables loaded) and guest_interrupt(). Everything is identity-mapped below 4 GiB; see kit_tables.asm.
 *
 * Each CPU has a GDT, LDT and TSS of its own, odd in base and limit, with a set of odd data segments: SEL_ODD_... */
#ifndef GUEST_KIT_H
#define GUEST_KIT_H

#include "bits.h"
#include "types.h"

#define KIT_CPUS_MAX 8u
#define KIT_VECTORS 64u
#define KIT_STACK_BYTES 4096u
#define KIT_MAIN_STACK_BYTES 16384u
#define KIT_TABLE_BYTES 2048u

#define KIT_FIXED __attribute__((section(".bss.fixed"))) /* does not change once the guest has set itself up */
#define KIT_PHYSMAP 0xfffffe8000000000ull
#define KIT_IDT_ADDRESS 0xffffff0000000000ull

enum kit_selector {
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_CODE32 = 0x18,
    SEL_USER_CODE32 = 0x20,
    SEL_USER_DATA = 0x28,
    SEL_USER_CODE = 0x30,
    SEL_ODD_KERNEL = 0x38,     /* DPL 0, writable */
    SEL_ODD_READ_ONLY = 0x40,  /* DPL 3, read-only, AVL */
    SEL_ODD_DOWN = 0x48,       /* DPL 3, expand-down: valid above its limit */
    SEL_ODD_PAGES = 0x50,      /* DPL 3, limit in pages */
    SEL_ODD_CONFORMING = 0x58, /* conforming code, readable */
    SEL_TSS = 0x60,            /* 16 bytes */
    SEL_LDT = 0x70,            /* 16 bytes */
    SEL_GDT_END = 0x80,
    SEL_LDT_USER_CODE = 0x0c, /* in the LDT, as the low bits say */
    SEL_LDT_USER_DATA = 0x14,
    SEL_LDT_ODD = 0x1c,
    SEL_LDT_END = 0x20
};
#define SEL_RING3 3u
#define SEL_TI 4u

enum kit_vector {
    KIT_VECTOR_DEBUG = 1,
    KIT_VECTOR_NMI = 2,
    KIT_VECTOR_PIC = 32,
    KIT_VECTOR_TIMER = 32,
    KIT_VECTOR_COM1 = 36,
    KIT_VECTOR_FREE = 48, /* and up: the guest's */
    KIT_VECTOR_SPURIOUS = 63
};
enum kit_ist { KIT_IST_NMI = 1, KIT_IST_IRQ, KIT_IST_FAULT, KIT_IST_DEBUG };

struct kit_cpu;

/* What an interrupt entry has pushed; above the CPU's own frame lies the CPU's structure. */
struct kit_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
    struct kit_cpu *cpu;
};

struct kit_stack {
    uint8_t room[KIT_STACK_BYTES - 2 * sizeof(uint64_t)];
    struct kit_cpu *cpu; /* the end of the stack, 16-aligned */
    uint64_t own;        /* the guest's */
} ALIGNED(16);

struct kit_cpu {
    uint8_t main_stack[KIT_MAIN_STACK_BYTES] ALIGNED(4096);
    struct kit_stack nmi, irq, fault, debug;
    uint32_t number, apic_id;
    volatile uint32_t up;
    volatile uint32_t fault_vector; /* of the last fault that a fixup took; 0: none */
    volatile uint64_t fault_address;
    struct pseudo_descriptor gdtr, idtr;
    uint64_t tss_base, ldt_base;
};

struct kit_tables {
    uint8_t gdt[2 * PAGE_BYTES];
    uint8_t ldt[KIT_TABLE_BYTES], tss[KIT_TABLE_BYTES];
} ALIGNED(4096);

#define KIT_RANGES_MAX 32u
struct kit_range {
    uint64_t base, end;
};

extern struct kit_cpu kit_cpus[KIT_CPUS_MAX];
extern struct kit_tables kit_tables[KIT_CPUS_MAX];
extern unsigned kit_cpu_count; /* awake, 1 at least */
extern bool kit_x2apic;
extern struct kit_range kit_ram[KIT_RANGES_MAX]; /* below 4 GiB, whole pages */
extern unsigned kit_ram_count;
extern char kit_cmdline[256];
extern uint64_t kit_pml4[], kit_small_tables[], kit_idt_table[], kit_idt[];
extern uint8_t image_start[], fixed_end[], image_end[], user_text_start[], user_text_end[], user_data_start[],
    user_data_end[];

/* ---- the guest's own ------------------------------------------------------------------------------------------- */
void guest_setup(void);
void guest_main(void);
void guest_other(struct kit_cpu *cpu);
/* True: taken care of. PIC interrupts come here first and are ended by the kit. */
bool guest_interrupt(struct kit_frame *f);

/* ---- kit_io.c -------------------------------------------------------------------------------------------------- */
void out8(uint16_t port, uint8_t value);
uint8_t in8(uint16_t port);
void kit_uart_init(void);
void kit_read_line(char *line, size_t bytes);
void kit_drain(void); /* until the UART has sent everything */
void put(char ch);
void say(const char *text);
void say_number(uint64_t value, unsigned base);
void say_field(const char *name, uint64_t value, unsigned base);
/* The value of name= in the line, or NULL; a bare word gives the empty string behind it. */
const char *option(const char *line, const char *name);
uint64_t option_number(const char *line, const char *name, uint64_t otherwise);
/* Does the word at p (up to blank or end) equal this one? */
bool word_is(const char *p, const char *word);
bool same_text(const char *a, const char *b);
uint64_t number(const char **p);
/* Bounded by the 8254's channel 2: at most 50 ms. */
void kit_delay_us(unsigned us);
void kit_pic_init(uint8_t mask1, uint8_t mask2);
void kit_timer_start(unsigned hz);

#define COM1 0x3f8u
#define COM1_IRQ 4u
#define UART_IER 1u
#define UART_LCR 3u
#define UART_MCR 4u
#define UART_LSR 5u
#define UART_SCR 7u
#define IER_RECEIVE 1u
#define LSR_DATA 1u
#define LSR_THRE BIT32(5)
#define LSR_IDLE BIT32(6)

/* ---- kit_descriptors.c ----------------------------------------------------------------------------------------- */
void kit_build_tables(void);
void kit_load_tables(struct kit_cpu *cpu);
void kit_set_gate(unsigned vector, void (*handler)(void), unsigned dpl, enum kit_ist ist);
uint64_t *kit_descriptor(const struct kit_cpu *cpu, unsigned selector);
/* As the CPU holds them. */
uint64_t kit_segment_base(const struct kit_cpu *cpu, unsigned selector);
uint32_t kit_segment_limit(const struct kit_cpu *cpu, unsigned selector);
uint32_t kit_segment_rights(const struct kit_cpu *cpu, unsigned selector); /* as LAR gives them */

/* ---- kit_smp.c ------------------------------------------------------------------------------------------------- */
#define APIC_ID 0x20u
#define APIC_VERSION 0x30u
#define APIC_TPR 0x80u
#define APIC_EOI 0xb0u
#define APIC_LDR 0xd0u
#define APIC_DFR 0xe0u
#define APIC_SVR 0xf0u
#define APIC_ISR 0x100u
#define APIC_IRR 0x200u
#define APIC_ESR 0x280u
#define APIC_LVT_CMCI 0x2f0u
#define APIC_ICR 0x300u
#define APIC_ICR_HIGH 0x310u
#define APIC_LVT_TIMER 0x320u
#define APIC_LVT_THERMAL 0x330u
#define APIC_LVT_PERF 0x340u
#define APIC_LVT_LINT0 0x350u
#define APIC_LVT_LINT1 0x360u
#define APIC_LVT_ERROR 0x370u
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE 0x3e0u
#define APIC_DELIVERY_NMI 0x400u
#define APIC_DELIVERY_EXTINT 0x700u
#define APIC_MASKED BIT32(16)
#define APIC_ENABLED BIT32(8)
uint32_t kit_apic_read(uint32_t reg);
void kit_apic_write(uint32_t reg, uint32_t value);
/* Physical destination. Never with a shorthand: Bochs drops an NMI sent to "self". */
void kit_apic_send(uint32_t apic_id, uint32_t low);
void kit_apic_defaults(struct kit_cpu *cpu);
bool kit_has_x2apic(void);
void kit_start_others(void);

#endif
