/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Tables in a 32-bit guest's format that map one page, executable, wherever it is wanted. */
#ifndef SOJOURN_KERNEL_BRIDGE_TABLES_H
#define SOJOURN_KERNEL_BRIDGE_TABLES_H

#include "kernel/gateway_slot.h"

/* A top-level table, and for each of two addresses a table and one between. */
#define BRIDGE_TABLE_PAGES 5u

struct bridge_tables {
    void *pages; /* BRIDGE_TABLE_PAGES, zeroed, page-aligned; the first is the root */
    uint64_t pa; /* theirs, below 4 GiB */
    unsigned used;
    enum paging_format format;
};

/* At most two addresses. False: the pages do not suffice. */
bool bridge_tables_map(struct bridge_tables *t, uint64_t va, uint64_t pa) MUST_USE;

#endif
