/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The host's GDT, TSS and IDT, and what happens when an exception or NMI hits the host. */
#ifndef SOJOURN_KERNEL_TRAPS_H
#define SOJOURN_KERNEL_TRAPS_H

#include "cpu.h"
#include "kernel/cpus.h"
#include "types.h"

#define HOST_CS 0x08u
#define HOST_SS 0x10u
#define VECTOR_NMI 2u
#define VECTOR_GP 13u
#define VECTOR_PF 14u
#define VECTOR_FIRST_INTERRUPT 32u

/* As kernel/traps.asm pushes it; gpr in pushing order. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

_Static_assert(offsetof(struct trap_frame, vector) == 120 && offsetof(struct trap_frame, rip) == 136 &&
                   offsetof(struct trap_frame, rflags) == 152 && offsetof(struct trap_frame, rsp) == 160,
               "kernel/traps.asm");

/* The IDT that all CPUs share. Once at boot. */
void traps_init(void);
/* A CPU's own GDT and TSS. At boot, by any CPU. */
void traps_init_cpu(struct cpu *c);
/* This CPU: load them, at boot and after a native guest had its own. Leaves DS, ES, FS, GS alone. */
void traps_load(struct cpu *c);
struct pseudo_descriptor traps_gdtr(const struct cpu *c);
struct pseudo_descriptor traps_idtr(void);
/* End NMI blocking (traps.asm). A pending NMI is taken at once. */
void traps_unblock_nmi(void);
/* The same wherever NMIs are held back, by GIF, too: what is pending is taken, and counted in vcpu.host_nmi. */
void traps_take_nmi(void);
/* Where to go on, with an empty main stack, when code turns out to be damaged that an exception handler was to open. But an
   order of another CPU's (kernel/smp.h) ends with E_DIGEST. */
void traps_on_damage(void (*continuation)(void));
/* Let a pending interrupt in: on for two instructions, then off (traps.asm). Vectors >= 32 are counted in
   struct cpu and not acknowledged (no EOI). */
void traps_open_interrupts(void);
/* Wait for an NMI (traps.asm), unless *seen is not 0 already: the NMI's handler counts it there. Interrupts are off. */
void traps_wait_nmi(volatile uint64_t *seen);

#endif
