/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The steps of boot that bring one part of the machine up each; main.c says in which order. */
#ifndef SOJOURN_KERNEL_SETUP_H
#define SOJOURN_KERNEL_SETUP_H

#include "block.h"
#include "err.h"
#include "kernel/options.h"

/* UART on, boot messages to it. */
void setup_console_line(const struct options *o);
void setup_acpi(void);
/* A window and what belongs to it for each CPU; after setup_acpi(). E_NOMEM, E_SMP. */
enum err setup_cpus(void) MUST_USE;
/* Start the other CPUs; each is held. After setup_virtualization(). */
enum err setup_start_cpus(void) MUST_USE;
/* I/O APICs, LAPIC, HPET and the device state classes. After setup_acpi(). */
void setup_devices(void);
/* Find the store; E_OK: part is it and its controller is hidden from the guest. */
enum err setup_store(struct block_part *part);
/* Second-level tables, bitmaps, the backend's per-CPU structures. After setup_store(), because it hides. */
enum err setup_virtualization(char *why, size_t why_len) MUST_USE;
/* restore=ask: one question on the console; true for yes. */
bool setup_ask_restore(uint64_t timeout_us);

#endif
