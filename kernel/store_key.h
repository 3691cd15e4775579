/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. The key of an encrypted store: taken from what the boot loader handed over, kept in hidden memory, and
   overwritten wherever else it is before the guest gets the machine. Nobody shows it. */
#ifndef SOJOURN_KERNEL_STORE_KEY_H
#define SOJOURN_KERNEL_STORE_KEY_H

#include "boot/multiboot2.h"
#include "ckpt/seal.h"
#include "kernel/options.h"

/* From key=, else from a module named sojourn-key, which is not the guest's any more. NULL, or what is wrong with it, for
   people: there is no key then. */
const char *store_key_take(struct boot_info *boot, struct options *o);
/* Overwrite it in all RAM below 4 GiB that is neither hidden nor one of the guest's modules: boot loaders leave copies of
   what they read, and the image was copied. Nothing to do without a key. Callers: boot, once hidden, or before a start on
   the bare CPU. */
void store_key_wipe_traces(void);
/* No key from now on, and no trace of it. */
void store_key_forget(void);
/* NULL: none. */
const struct seal_key *store_key(void);

#endif
