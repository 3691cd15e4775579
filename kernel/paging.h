/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The hidden range and the host's page tables: set up once at boot, then only read through include/hostmem.h.
   Called by main_early() in this order: paging_place(), paging_build_tables(), paging_relocate(). */
#ifndef SOJOURN_KERNEL_PAGING_H
#define SOJOURN_KERNEL_PAGING_H

#include "err.h"
#include "hostmem.h"

struct hidden_range {
    uint64_t base;  /* physical, 2 MiB aligned */
    uint64_t bytes; /* multiple of 2 MiB */
};

extern struct hidden_range hidden;
/* The log's own place; bytes 0: it is part of the hidden range. */
extern struct hidden_range hidden_log;
/* Is this physical address one of ours? */
bool hidden_contains(uint64_t pa);

/* Bytes of the image in memory, .bss and stacks included. */
uint64_t paging_image_bytes(void);
/* Decide that the hidden range is here; the pool starts behind the image's new place. */
void paging_place(uint64_t base, uint64_t bytes);
/* The host's own W^X page tables, in the pool: image and pools at HOST_BASE, memory below phys_limit (hidden range
   excepted) at PHYSMAP_BASE. Returns CR3, or 0 when the pool is too small. */
uint64_t paging_build_tables(uint64_t phys_limit);
/* Copy the running image to its new place and continue there: same virtual addresses, other pages. */
void paging_relocate(uint64_t cr3);
/* For good, to another stack. */
_Noreturn void paging_continue(uint64_t rsp, void (*entry)(void));
uint64_t paging_cr3(void);
/* Add a device's registers above phys_limit to the physical map. Boot time only. */
enum err paging_map_mmio(uint64_t pa, uint64_t bytes) MUST_USE;
/* Fresh pool pages at these addresses, read and write. Boot time only. E_NOMEM. */
enum err paging_map_pool(uint64_t va, uint64_t bytes) MUST_USE;
/* Tables for a CPU that starts: the host's windows, and one page below 640 KiB mapped to itself, to be executed. Returns
   CR3, below 4 GiB, or 0 when the pool is empty. Boot time only. */
uint64_t paging_startup_tables(uint64_t page_pa);
/* Map the gateway, code page first, at its address in the guest, in place of where it was. Stays mapped while the guest
   is virtual; each CPU flushes its TLB before it uses the address. False: the address is in the host's own windows. */
bool paging_map_gateway(uint64_t va, const uint64_t pa[], unsigned count) MUST_USE;
/* Pool pages left. */
uint64_t paging_pool_left(void);
/* The image's bytes that must never change after boot; multiples of 8. The door is the gateway's code and what a way in
   needs, the way out what leaving needs (kernel/door.ld), the bridge what a 32-bit guest's visits need beside the door;
   the rest is all other code. */
enum image_part {
    IMAGE_GATEWAY,
    IMAGE_BRIDGE,
    IMAGE_WAY_OUT,
    IMAGE_DOOR,
    IMAGE_DOOR_VMX,
    IMAGE_DOOR_SVM,
    IMAGE_REST,
    IMAGE_CONSTANTS,
    IMAGE_PARTS
};
struct image_range {
    const uint64_t *start, *end;
};
struct image_range paging_image_part(enum image_part part);
/* May code of the rest run? Flushes the TLB when it now may; when it now may not, the next CR3 load does. */
void paging_rest_executable(bool yes);

#endif
