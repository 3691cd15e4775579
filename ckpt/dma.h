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

/* A ring by which the driver hands over buffers in memory alone: virtio's. */
struct dma_ring {
    uint64_t desc, avail, used;
    uint32_t avail_bytes;
    uint16_t size; /* descriptors */
};

/* What a model asks of its caller. */
struct dma_view {
    uint32_t (*reg)(void *ctx, uint32_t offset);                  /* 32 bits; never one that a read changes */
    bool (*mem)(void *ctx, uint64_t gpa, void *to, size_t bytes); /* false: not RAM */
    bool (*target)(void *ctx, uint64_t gpa, uint64_t bytes);      /* it may write there; false: not kept yet */
    /* At the cut only: registers of 1, 2 or 4 bytes, and those that select others, to be put back; and the guest's
       writes to the available ring are to come to publish(). False: they cannot. */
    uint32_t (*field)(void *ctx, uint32_t offset, unsigned bytes);
    void (*set_field)(void *ctx, uint32_t offset, unsigned bytes, uint32_t value);
    bool (*ring)(void *ctx, const struct dma_ring *ring);
    void *ctx;
};

/* A write of the guest's to a register: in memory 32 bits, aligned (with a structure 1, 2 or 4); to ports any. Or to an
   available ring: the offset is from its beginning, and up to 8 bytes; of more than 4 the value is the lower half. */
struct dma_write {
    uint32_t offset, value;
    unsigned bytes;
};

struct dma_model {
    const char *name;
    unsigned bar;
    uint8_t structure; /* not 0: of a virtio function (drivers/virtio.h), and its place counts instead of bar's */
    uint32_t class_code, class_mask; /* mask 0: any */
    uint16_t vendor, device;         /* vendor 0: any */
    uint32_t page_map;               /* bit n: page n of the base address has registers that matter; 0: ports */
    uint32_t port_count;             /* from the base address on */
    /* At the cut, nothing is under way: all that it has been given. */
    enum dma_verdict (*given)(const struct dma_view *v);
    /* A write is about to reach it. */
    enum dma_verdict (*write)(const struct dma_view *v, const struct dma_write *w);
    /* Likewise, one to an available ring. NULL: it has none. */
    enum dma_verdict (*publish)(const struct dma_view *v, const struct dma_ring *ring, const struct dma_write *w);
};

extern const struct dma_model dma_ahci, dma_ide, dma_82540em, dma_82545em, dma_82574l, dma_virtio_net,
    dma_virtio_net_transitional;

#endif
