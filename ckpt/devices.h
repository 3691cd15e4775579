/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The table of device classes (dev_classes[], include/dev_class.h) and what this machine's devices are. */
#ifndef SOJOURN_CKPT_DEVICES_H
#define SOJOURN_CKPT_DEVICES_H

#include "ckpt/dev_clock.h"
#include "ckpt/dev_lapics.h"
#include "dev_class.h"
#include "drivers/ioapic.h"
#include "drivers/lapic.h"

/* Found by ACPI and the options; copied by devices_init. */
struct devices_env {
    struct ioapic_location ioapic[IOAPIC_UNITS_MAX]; /* MADT */
    uint32_t ioapic_count;
    struct lapic_host lapic;
    uint32_t cpu_count; /* in the firmware's list */
    /* Run fn on every CPU that is present, with its number; returns the first failure. NULL: there is only this one. */
    enum err (*on_each_cpu)(enum err (*fn)(uint32_t cpu, void *arg), void *arg);
    hpa_t hpet;             /* 0: none */
    uint16_t pm_timer_port; /* 0: none */
    uint8_t pm_timer_bits;  /* 24, 32 */
    uint16_t console_port;  /* the host's UART; 0: none */
    const uint16_t *hidden; /* PCI functions the guest does not see */
    size_t hidden_count;
    const uint16_t *kept; /* PCI functions the guest sees, but the host uses (a shared disk controller) */
    size_t kept_count;
    uint64_t (*tsc)(void); /* RDTSC */
    uint64_t tsc_hz;
    uint64_t (*wall_us)(void); /* UTC since 1970, for people; may be NULL */
    /* Set the TSC: called by the restore of the clocks, before the local APIC's deadline timer is armed. E_OK: RDTSC
       reads it now. E_TSC: it ignores writes; the restore goes on all the same, and the callee has said so. NULL: the
       caller does it afterwards, from devices_clock_plan(). */
    enum err (*write_tsc)(uint64_t tsc);
};

/* Once at boot, before the guest starts; again if hidden or kept functions change. */
void devices_init(const struct devices_env *env);
/* The plan of the restore under way (or the last one); valid says whether there is one. */
struct dev_clock_plan *devices_clock_plan(void);
/* The PIC waits for an EOI, of a kind that a checkpoint cannot carry: let the guest run on for a moment and ask again;
   with a deadline, for it may never come. For the local APICs see lapic_level_in_service(), on each CPU. */
bool devices_in_service(void);

#endif
