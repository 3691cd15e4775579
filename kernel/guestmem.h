/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The guest's virtual memory: page walks in every paging mode over callbacks that reach guest-physical memory,
   and byte access across pages. Used to fetch instructions and to write what an emulated INS reads. */
#ifndef SOJOURN_KERNEL_GUESTMEM_H
#define SOJOURN_KERNEL_GUESTMEM_H

#include "types.h"

/* Guest-physical memory. Each call stays within one page. false: there is no memory there. */
struct guest_phys {
    bool (*read)(void *ctx, gpa_t gpa, void *buf, size_t len);
    bool (*write)(void *ctx, gpa_t gpa, const void *buf, size_t len); /* may be NULL */
    void *ctx;
};

/* What decides the paging mode. */
struct guest_paging {
    uint64_t cr0, cr3, cr4, efer;
};

enum walk_result {
    WALK_OK,
    WALK_NOT_PRESENT,
    WALK_RESERVED,     /* a reserved bit, or a large page where there can be none */
    WALK_NONCANONICAL, /* long mode */
    WALK_NO_MEMORY,    /* a table is not in guest memory */
};

struct guest_page {
    gpa_t gpa;                       /* of the very byte asked for */
    uint64_t page_bytes;             /* 4K, 2M, 4M, 1G; without paging 4K */
    bool writable, user, executable; /* rights of all levels together */
};

enum walk_result guestmem_translate(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t linear,
                                    struct guest_page *page) MUST_USE;

/* Reads up to len bytes and returns how many it got before the first page that is not there. Rights are not looked
   at, except by the write: it wants writable pages (whatever CR0.WP says), so that it changes nothing the guest itself
   could not, and writes nothing unless it can write all. */
size_t guestmem_read(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t linear, void *buf,
                     size_t len) MUST_USE;
bool guestmem_write(const struct guest_paging *paging, const struct guest_phys *phys, uint64_t linear, const void *buf,
                    size_t len) MUST_USE;

#endif
