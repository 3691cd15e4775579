/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A Linux bzImage and what it wants to find at its 32-bit entry. Manual: Linux kernel documentation, "The
   Linux/x86 Boot Protocol" (sections "The Real-Mode Kernel Header", "32-bit Boot Protocol") and "Zero Page". */
#ifndef SOJOURN_BOOT_LINUX_H
#define SOJOURN_BOOT_LINUX_H

#include "boot/memmap.h"
#include "boot/multiboot2.h"
#include "err.h"
#include "types.h"

#define LINUX_PARAMS_BYTES 4096u
#define LINUX_HEADER_MAX 0x9fu /* boot_params has other things from 0x290 on */

struct linux_kernel {
    uint32_t setup_bytes; /* the real-mode part: the protected-mode kernel begins here in the file */
    uint32_t kernel_bytes;
    uint16_t version; /* 0x20f: 2.15 */
    bool relocatable;
    uint32_t alignment;
    uint64_t preferred; /* load address */
    uint32_t init_bytes;
    uint64_t initrd_end_max; /* first address the initrd may not reach */
    uint32_t cmdline_max;    /* without the final zero */
    uint32_t header_bytes;
    uint8_t header[LINUX_HEADER_MAX]; /* the setup header, from offset 0x1f1 of the file */
};

/* Everything boot_params is made of; addresses are guest-physical and already chosen. */
struct linux_start {
    uint32_t kernel, initrd, initrd_bytes, cmdline;
    uint64_t rsdp;       /* 0: let Linux search */
    uint32_t setup_data; /* room for linux_setup_data_bytes(), when that is not 0 */
    const struct memmap *map;
    const struct boot_framebuffer *fb;
};

/* Has it the signature of a bzImage at all? */
bool linux_is_kernel(const void *file, uint64_t bytes);
/* E_BADKERNEL with the reason; k filled on E_OK. */
enum err linux_check(const void *file, uint64_t bytes, struct linux_kernel *k, char *why, size_t why_bytes) MUST_USE;
/* Bytes of the list that takes the memory map's entries beyond the 128 of boot_params; 0: not needed. */
uint32_t linux_setup_data_bytes(const struct linux_kernel *k, const struct memmap *map);
/* Fill the zeroed page params; setup_data: where the host sees s->setup_data, or NULL. */
void linux_write_params(const struct linux_kernel *k, const struct linux_start *s, uint8_t *params,
                        uint8_t *setup_data);

#endif
