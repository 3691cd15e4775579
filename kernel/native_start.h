/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Starting the guest on the bare CPU, for good: start=native, or a CPU that cannot carry the host. */
#ifndef SOJOURN_KERNEL_NATIVE_START_H
#define SOJOURN_KERNEL_NATIVE_START_H

#include "boot/guest.h"

/* Host page tables must still (or again) reach .boot; it does from anywhere. */
_Noreturn void native_start(const struct guest_entry *entry);
/* Memory that must stay untouched until then. */
void native_start_keep(struct boot_info *bi);

#endif
