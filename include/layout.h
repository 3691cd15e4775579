/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. The host's virtual address space (docs/memory-layout.md has the map); linker.ld has the same numbers.
 *
 *   HOST_BASE      the hidden range, linear: logs, image, pools
 *   CPUS_BASE      one window for each CPU: its struct and its stacks, with guard pages between
 *   PHYSMAP_BASE   all other physical memory and MMIO, linear, never executable
 *   anywhere else  the gateway's pages, at the address they have in the guest */
#ifndef SOJOURN_LAYOUT_H
#define SOJOURN_LAYOUT_H

#define HOST_BASE 0x0000528000000000ull
#define HOST_PML4_SLOT 165u
#define CPUS_BASE (HOST_BASE + 0x4000000000ull)
#define CPU_WINDOW_BYTES 0x20000u
#define CPUS_MAX 64u
#define PHYSMAP_BASE 0x0000530000000000ull
#define PHYSMAP_PML4_SLOT 166u
#define PHYSMAP_PML4_SLOTS 32u /* 16 TiB */

#define BOOT_PHYS 0x200000ull /* where GRUB puts .boot */

/* Offsets in the hidden range. The log is there only on machines too small to give it a place of its own
   (memmap_choose_log). */
#define HIDDEN_LOG_OFFSET 0x0ull
#define HIDDEN_LOG_BYTES 0x20000ull
#define HOST_IMAGE_OFFSET 0x80000ull

#endif
