/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The local APIC of this CPU, in xAPIC (MMIO) or x2APIC (MSR) mode, whichever is on at the moment. */
#ifndef SOJOURN_DRIVERS_LAPIC_H
#define SOJOURN_DRIVERS_LAPIC_H

#include "ckpt/dev_lapic.h"

struct lapic_host {
    uint64_t (*rdmsr)(uint32_t msr);
    void (*wrmsr)(uint32_t msr, uint64_t value);
    /* The vector is the highest in IRR and its class is above everything in service. Open interrupts in the host until
       a host gate has taken it, with a deadline, without EOI; close them again. Everything else is masked. */
    enum err (*accept_vector)(uint8_t vector);
    bool tsc_deadline; /* CPUID.1:ECX[24] */
    bool perf_status;  /* IA32_PERF_GLOBAL_STATUS exists: CPUID.0AH:EAX[7:0] >= 2 */
};

void lapic_init(const struct lapic_host *host);
enum lapic_mode lapic_mode(void);
uint32_t lapic_read(uint32_t reg);
void lapic_write(uint32_t reg, uint32_t value);
uint32_t lapic_id(void);
/* Physical destination; the guest's ICR high half (x2APIC: nothing) is put back, for it may stand between its two
   writes. STARTUP: with the vector in the low byte. SDM 3A 10.6.1 "Interrupt Command Register (ICR)". */
#define LAPIC_SEND_NMI 0x4400u
#define LAPIC_SEND_INIT 0x4500u
#define LAPIC_SEND_STARTUP 0x4600u
void lapic_send(uint32_t apic_id, uint32_t command);
/* Fixed, edge, to this CPU only; ICR high untouched. */
void lapic_self_ipi(uint8_t vector);
bool lapic_level_in_service(void);
/* A performance counter's NMI is on its way: a counter has overflowed, and delivering the NMI has set the entry's mask
   (SDM 3A 10.5.1 "Local Vector Table"); the guest's handler clears both. Such an NMI is the guest's, whatever else came
   with it. Where there is no overflow status (AMD sets no mask, either): false. */
bool lapic_counter_nmi(void);

bool lapic_present(void);
enum err lapic_capture(struct dev_lapic_state *s) MUST_USE;
/* As an INIT leaves it: SDM 3A 10.4.7.3 "Local APIC State After an INIT Reset". Id and mode stay. */
enum err lapic_init_reset(void) MUST_USE;
enum err lapic_quiesce(void) MUST_USE;
/* Interrupts off. The I/O APICs and the PIC must be masked, the TSC already set. */
enum err lapic_restore(const struct dev_lapic_state *s) MUST_USE;

#endif
