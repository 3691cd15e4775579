/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. What the core hands to a backend before init_cpu: the shared bitmaps and the second-level root. Filled
   once by kernel/setup.c, read-only afterwards (the bitmaps' bits excepted). */
#ifndef SOJOURN_VIRT_ENV_H
#define SOJOURN_VIRT_ENV_H

#include "types.h"

struct second_level; /* ept/second_level.h */

struct virt_env {
    /* I/O bitmap: 2 pages, bit p set = port p exits; contiguous (SVM's third page follows). Pool memory. */
    uint8_t *io_bitmap;
    hpa_t io_bitmap_pa;
    hpa_t second_level_root;           /* EPT PML4 or NPT PML4 */
    struct second_level *second_level; /* the tree itself: run() flushes before entry when flush_epoch is new */
    /* Guest-physical RAM outside the hidden range, within one page; false: none there. For a CPU that does not report
       instruction lengths (SVM without NRIP): the backend decodes the instruction itself. */
    bool (*guest_read)(void *ctx, gpa_t gpa, void *buf, size_t len);
    /* Run by run() right after each exit, before anything looks at it: that code may not have been checked yet. Returns
       if it may run. NULL: it may. */
    void (*exited)(void);
    uint64_t host_cr3; /* for the VMCS host state */
    uint64_t host_idt_base;
    uint16_t host_cs, host_ss, host_tr;
    bool visible; /* CPUID hypervisor bit and VMX/SVM bit left as the CPU has them */
};

extern struct virt_env virt_env;

#endif
