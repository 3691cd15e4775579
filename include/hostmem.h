/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. The host's view of memory. Two windows: the hidden range (image and pools), and the physical map
   (all other RAM and MMIO, never executable). kernel/hostmem.c; unit tests link a small arena. */
#ifndef SOJOURN_HOSTMEM_H
#define SOJOURN_HOSTMEM_H

#include "types.h"

/* The host's pointer to host-physical memory; any physical address the physical map or the hidden range covers. */
void *phys_to_virt(hpa_t pa);
/* The physical address behind a pointer into either window (static data, pools, guest memory). */
hpa_t virt_to_phys(const void *p);

/* Pages from the hidden pool: zeroed, 4 KiB aligned, physically contiguous, never given back. NULL when the pool
   is empty: a result the caller must handle. Boot time only, never on an exit path. */
void *pool_alloc_pages(size_t count);

#endif
