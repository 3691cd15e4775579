/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. How the leading CPU is shared while a checkpoint is written: how long the host works, and how long the guest runs then.
   Times are clock_us()'s. */
#ifndef SOJOURN_KERNEL_TURNS_H
#define SOJOURN_KERNEL_TURNS_H

#include "types.h"

struct turns {
    uint64_t since, done, turn_us, patient_until_us, guest_parts;
};

/* cpus: the guest's, this one included. For patience_us the guest goes first. */
void turns_begin(struct turns *t, uint64_t now, uint32_t cpus, uint64_t patience_us);
/* How long the guest is to have this CPU now, after `done` bytes of memory; 0: the host works on. rate: MiB of memory per
   second at most, 0: no limit. hurry: the guest waits for what is written. */
uint64_t turns_pause(struct turns *t, uint64_t now, uint64_t done, uint64_t rate, bool hurry) MUST_USE;
/* It has had it since `begin`. */
void turns_back(struct turns *t, uint64_t begin, uint64_t now);

#endif
