/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Where a device may write in memory, as far as its driver has told it: the memory it was given already, and what a write to
 * one of its registers would give it in addition. A checkpoint that is written while the guest runs keeps those pages
 * before the device can (kernel/dma_watch.c). Each kind of device has a model that knows its registers and what they
 * point at; a device without one cannot be followed. */
#ifndef SOJOURN_CKPT_DMA_H
#define SOJOURN_CKPT_DMA_H

#include "types.h"

enum dma_verdict {
    DMA_GO,    /* the device may be told */
    DMA_LATER, /* not all of it could be kept yet: ask again */
    DMA_LOST,  /* nobody knows where it will write */
};

/* What a model asks of its caller. */
struct dma_view {
    uint32_t (*reg)(void *ctx, uint32_t offset);                  /* 32 bits; never one that a read changes */
    bool (*mem)(void *ctx, uint64_t gpa, void *to, size_t bytes); /* false: not RAM */
    bool (*target)(void *ctx, uint64_t gpa, uint64_t bytes);      /* it may write there; false: not kept yet */
    void *ctx;
};

/* A write of the guest's to a register: in memory 32 bits, aligned; to ports any. */
struct dma_write {
    uint32_t offset, value;
    unsigned bytes;
};

struct dma_model {
    const char *name;
    unsigned bar;
    uint32_t class_code, class_mask; /* mask 0: any */
    uint16_t vendor, device;         /* vendor 0: any */
    uint32_t page_map;               /* bit n: page n of the base address has registers that matter; 0: ports */
    uint32_t port_count;             /* from the base address on */
    /* At the cut, nothing is under way: all that it has been given. */
    enum dma_verdict (*given)(const struct dma_view *v);
    /* A write is about to reach it. */
    enum dma_verdict (*write)(const struct dma_view *v, const struct dma_write *w);
};

extern const struct dma_model dma_ahci, dma_ide, dma_82540em, dma_82545em, dma_82574l;

#endif
