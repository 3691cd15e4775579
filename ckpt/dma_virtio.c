/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A virtio network card writes to the buffers of its receive queues, to the used rings, and to the acknowledgements of its control
   queue. Its driver hands it a buffer by writing the index of the available ring, which is memory: that ring is watched.
   Virtual I/O Device 1.2: 2.7 "Split Virtqueues", 4.1.4.3 "Common configuration structure layout". Packed rings, the registers of
   before 1.0 and addresses of an IOMMU cannot be followed.
   At the cut every buffer of a descriptor table counts, whosever it is just now; tables that descriptors point to
   (2.7.5.3) only if the device has them: an old one may be anything by now. */
#include "bits.h"
#include "ckpt/dma.h"
#include "drivers/virtio.h"

#define REGISTERS_PAGE 1u
#define AT_ONCE 16u /* descriptors */
#define TABLE_MAX 1024u

static uint32_t get(const struct dma_view *v, uint32_t offset, unsigned bytes)
{
    return v->field(v->ctx, offset, bytes);
}

static uint64_t address(const struct dma_view *v, uint32_t offset)
{
    return get(v, offset, 4) | (uint64_t)get(v, offset + 4, 4) << 32;
}

/* What the selector held. */
static uint32_t choose(const struct dma_view *v, uint32_t offset, unsigned bytes, uint32_t n)
{
    uint32_t before = get(v, offset, bytes);
    v->set_field(v->ctx, offset, bytes, n);
    return before;
}

/* Buffers of count descriptors from at on, whether they are chained or not. */
static enum dma_verdict buffers(const struct dma_view *v, uint64_t at, uint32_t count)
{
    struct virtq_desc d[AT_ONCE];
    for (uint32_t done = 0; done < count; done += AT_ONCE) {
        uint32_t n = count - done < AT_ONCE ? count - done : AT_ONCE;
        if (!v->mem(v->ctx, at + done * sizeof d[0], d, n * sizeof d[0]))
            return DMA_LOST;
        for (uint32_t i = 0; i < n; i++)
            if ((d[i].flags & (VIRTQ_DESC_WRITE | VIRTQ_DESC_INDIRECT)) == VIRTQ_DESC_WRITE &&
                !v->target(v->ctx, d[i].addr, d[i].len))
                return DMA_LATER;
    }
    return DMA_GO;
}

static enum dma_verdict chain(const struct dma_view *v, const struct dma_ring *r, uint16_t head)
{
    enum dma_verdict verdict = DMA_GO;
    struct virtq_desc d = {.flags = VIRTQ_DESC_NEXT, .next = head};
    for (uint32_t n = 0; n < r->size && d.flags & VIRTQ_DESC_NEXT && verdict == DMA_GO; n++) {
        uint64_t at = r->desc + d.next * sizeof d;
        if (d.next >= r->size || !v->mem(v->ctx, at, &d, sizeof d))
            return DMA_LOST;
        uint32_t count = d.len / sizeof d;
        if (!(d.flags & VIRTQ_DESC_INDIRECT))
            verdict = buffers(v, at, 1);
        else
            verdict = count <= TABLE_MAX ? buffers(v, d.addr, count) : DMA_LOST;
    }
    return verdict;
}

/* What the ring's elements from index first up to end hand over. */
static enum dma_verdict elements(const struct dma_view *v, const struct dma_ring *r, uint16_t first, uint16_t end)
{
    enum dma_verdict verdict = (uint16_t)(end - first) <= r->size ? DMA_GO : DMA_LOST;
    for (uint16_t i = first; i != end && verdict == DMA_GO; i++) {
        uint16_t head;
        if (!v->mem(v->ctx, r->avail + VIRTQ_RING + i % r->size * sizeof head, &head, sizeof head))
            return DMA_LOST;
        verdict = chain(v, r, head);
    }
    return verdict;
}

/* The used ring comes first: whatever it says is done by then was in its buffer before. */
static enum dma_verdict queue(const struct dma_view *v)
{
    struct dma_ring r = {.desc = address(v, VIRTIO_QUEUE_DESC),
                         .avail = address(v, VIRTIO_QUEUE_DRIVER),
                         .used = address(v, VIRTIO_QUEUE_DEVICE),
                         .size = (uint16_t)get(v, VIRTIO_QUEUE_SIZE, 2)};
    uint16_t used, available;
    r.avail_bytes = VIRTQ_AVAIL_BYTES(r.size);
    if (!r.size || r.size > VIRTQ_SIZE_MAX || r.size & (r.size - 1))
        return DMA_LOST;
    if (!v->target(v->ctx, r.used, VIRTQ_USED_BYTES(r.size)))
        return DMA_LATER;
    if (!v->ring(v->ctx, &r) || !v->mem(v->ctx, r.used + VIRTQ_IDX, &used, sizeof used) ||
        !v->mem(v->ctx, r.avail + VIRTQ_IDX, &available, sizeof available))
        return DMA_LOST;
    enum dma_verdict verdict = buffers(v, r.desc, r.size);
    return verdict == DMA_GO ? elements(v, &r, used, available) : verdict;
}

static enum dma_verdict given(const struct dma_view *v)
{
    if (!(get(v, VIRTIO_DEVICE_STATUS, 1) & VIRTIO_STATUS_DRIVER_OK))
        return DMA_GO;
    uint32_t before = choose(v, VIRTIO_DRIVER_FEATURE_SELECT, 4, 1), high = get(v, VIRTIO_DRIVER_FEATURE, 4);
    v->set_field(v->ctx, VIRTIO_DRIVER_FEATURE_SELECT, 4, before);
    if ((high & (VIRTIO_HIGH_VERSION_1 | VIRTIO_HIGH_ACCESS_PLATFORM | VIRTIO_HIGH_RING_PACKED)) !=
        VIRTIO_HIGH_VERSION_1)
        return DMA_LOST;
    enum dma_verdict verdict = DMA_GO;
    uint32_t count = get(v, VIRTIO_NUM_QUEUES, 2);
    before = get(v, VIRTIO_QUEUE_SELECT, 2);
    for (uint32_t n = 0; n < count && verdict == DMA_GO; n++) {
        (void)choose(v, VIRTIO_QUEUE_SELECT, 2, n);
        if (get(v, VIRTIO_QUEUE_ENABLE, 2))
            verdict = queue(v);
    }
    v->set_field(v->ctx, VIRTIO_QUEUE_SELECT, 2, before);
    return verdict;
}

/* A driver that begins, or begins anew, is not followed there. */
static enum dma_verdict write(const struct dma_view *v, const struct dma_write *w)
{
    bool begins = (w->offset == VIRTIO_QUEUE_ENABLE && w->value) ||
                  (w->offset == VIRTIO_DEVICE_STATUS && w->value & VIRTIO_STATUS_DRIVER_OK &&
                   !(get(v, VIRTIO_DEVICE_STATUS, 1) & VIRTIO_STATUS_DRIVER_OK));
    return begins ? DMA_LOST : DMA_GO;
}

static enum dma_verdict publish(const struct dma_view *v, const struct dma_ring *r, const struct dma_write *w)
{
    uint16_t old;
    if (w->offset >= VIRTQ_RING || w->offset + w->bytes <= VIRTQ_IDX)
        return DMA_GO;
    /* The index alone, or with the flags before it. */
    unsigned before = VIRTQ_IDX - w->offset;
    if (w->offset > VIRTQ_IDX || w->bytes != before + sizeof old ||
        !v->mem(v->ctx, r->avail + VIRTQ_IDX, &old, sizeof old))
        return DMA_LOST;
    return elements(v, r, old, (uint16_t)(w->value >> 8 * before));
}

#define VIRTIO_MODEL(device_)                                                                                          \
    {                                                                                                                  \
        .name = "virtio-net", .structure = VIRTIO_CAP_COMMON, .vendor = VIRTIO_VENDOR, .device = device_,              \
        .page_map = REGISTERS_PAGE, .given = given, .write = write, .publish = publish                                 \
    }

const struct dma_model dma_virtio_net = VIRTIO_MODEL(VIRTIO_NET);
const struct dma_model dma_virtio_net_transitional = VIRTIO_MODEL(VIRTIO_NET_TRANSITIONAL);
