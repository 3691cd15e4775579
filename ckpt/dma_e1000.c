/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. A network card of the 8254x family, or an 82574, writes to the buffers in its receive rings, and marks descriptors in all rings
   as done. PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual 3.2 "Packet Reception", 3.4
   "Transmit Descriptor Ring Structure", 13.4 "Main Register Descriptions"; 82574 datasheet 7.1 "Receive Functionality".
   Every descriptor of a ring counts, whosever it is just now: nobody has to know how far the card has read ahead. */
#include "bits.h"
#include "ckpt/dma.h"
#include "drivers/e1000.h"

#define FAMILY_8254X_RINGS 1u
#define FAMILY_82574_RINGS 2u
#define ADDRESS_BYTES 8u
#define ADDRESSES_AT_ONCE 32u /* of 8 bytes, 16 descriptors */

static uint32_t reg(const struct dma_view *v, const struct dma_write *w, uint32_t offset)
{
    return w && w->offset == offset ? w->value : v->reg(v->ctx, offset);
}

static uint64_t ring_base(const struct dma_view *v, const struct dma_write *w, uint32_t ring)
{
    return (reg(v, w, ring + E1000_BAL) & E1000_BAL_MASK) | (uint64_t)reg(v, w, ring + E1000_BAH) << 32;
}

static bool ring_itself(const struct dma_view *v, const struct dma_write *w, uint32_t ring)
{
    uint32_t bytes = reg(v, w, ring + E1000_LEN) & E1000_LEN_MASK;
    return !bytes || v->target(v->ctx, ring_base(v, w, ring), bytes);
}

/* The largest buffer that a descriptor stands for. */
static uint32_t buffer_bytes(uint32_t rctl)
{
    uint32_t size = rctl >> RCTL_BSIZE_SHIFT & RCTL_BSIZE_MASK, flexible = rctl >> RCTL_FLXBUF_SHIFT & RCTL_FLXBUF_MASK;
    if ((rctl & RCTL_DTYP_MASK) == RCTL_DTYP_SPLIT)
        return E1000_BUFFER_MAX;
    /* The older family has no flexible sizes, and ignores those bits. */
    uint32_t by_size = (rctl & RCTL_BSEX ? 32768u : 2048u) >> size;
    return flexible * 1024 > by_size ? flexible * 1024 : by_size;
}

static enum dma_verdict receive_ring(const struct dma_view *v, const struct dma_write *w, uint32_t ring)
{
    uint32_t rctl = reg(v, w, E1000_RCTL), left = (reg(v, w, ring + E1000_LEN) & E1000_LEN_MASK) / ADDRESS_BYTES;
    if (!ring_itself(v, w, ring))
        return DMA_LATER;
    /* A descriptor holds one address and whatever else, but a split one, which holds nothing but addresses. */
    uint32_t step = (rctl & RCTL_DTYP_MASK) == RCTL_DTYP_SPLIT ? 1 : 2;
    for (uint64_t at = ring_base(v, w, ring); left && rctl & RCTL_EN;) {
        uint64_t word[ADDRESSES_AT_ONCE];
        uint32_t n = left < ADDRESSES_AT_ONCE ? left : ADDRESSES_AT_ONCE;
        if (!v->mem(v->ctx, at, word, n * sizeof word[0]))
            return DMA_LOST;
        for (uint32_t i = 0; i < n; i += step)
            if (word[i] && !v->target(v->ctx, word[i], buffer_bytes(rctl)))
                return DMA_LATER;
        at += n * sizeof word[0];
        left -= n;
    }
    return DMA_GO;
}

static enum dma_verdict all_rings(const struct dma_view *v, const struct dma_write *w, uint32_t rings)
{
    enum dma_verdict verdict = DMA_GO;
    for (uint32_t n = 0; n < rings && verdict == DMA_GO; n++) {
        verdict = receive_ring(v, w, E1000_RX_RING(n));
        if (verdict == DMA_GO && !ring_itself(v, w, E1000_TX_RING(n)))
            verdict = DMA_LATER;
    }
    return verdict;
}

static bool within(const struct dma_write *w, uint32_t first, uint32_t end)
{
    return w->offset >= first && w->offset < end;
}

static enum dma_verdict write(const struct dma_view *v, const struct dma_write *w, uint32_t rings)
{
    /* The first card of all had its rings elsewhere, and later ones answer there, too. */
    if (within(w, E1000_OLD_RX_FIRST, E1000_OLD_RX_END) || within(w, E1000_OLD_TX_FIRST, E1000_OLD_TX_END))
        return DMA_LOST;
    bool given = w->offset == E1000_RCTL;
    for (uint32_t n = 0; n < rings; n++) {
        if (w->offset == E1000_RX_RING(n) + E1000_TAIL)
            return receive_ring(v, w, E1000_RX_RING(n));
        given |= within(w, E1000_RX_RING(n), E1000_RX_RING(n) + E1000_HEAD) ||
                 within(w, E1000_TX_RING(n), E1000_TX_RING(n) + E1000_HEAD);
    }
    return given ? all_rings(v, w, rings) : DMA_GO;
}

static enum dma_verdict given_8254x(const struct dma_view *v)
{
    return all_rings(v, NULL, FAMILY_8254X_RINGS);
}

static enum dma_verdict write_8254x(const struct dma_view *v, const struct dma_write *w)
{
    return write(v, w, FAMILY_8254X_RINGS);
}

static enum dma_verdict given_82574(const struct dma_view *v)
{
    return all_rings(v, NULL, FAMILY_82574_RINGS);
}

static enum dma_verdict write_82574(const struct dma_view *v, const struct dma_write *w)
{
    return write(v, w, FAMILY_82574_RINGS);
}

#define E1000_MODEL(name_, vendor_, device_, given_, write_)                                                           \
    {                                                                                                                  \
        .name = name_, .bar = 0, .vendor = vendor_, .device = device_,                                                 \
        .page_map = BIT32(E1000_RCTL / PAGE_BYTES) | BIT32(E1000_RX_RING(0) / PAGE_BYTES) |                            \
                    BIT32(E1000_TX_RING(0) / PAGE_BYTES),                                                              \
        .given = given_, .write = write_                                                                               \
    }

const struct dma_model dma_82540em = E1000_MODEL("82540EM", PCI_VENDOR_INTEL, E1000_82540EM, given_8254x, write_8254x);
const struct dma_model dma_82545em = E1000_MODEL("82545EM", PCI_VENDOR_INTEL, E1000_82545EM, given_8254x, write_8254x);
const struct dma_model dma_82574l = E1000_MODEL("82574L", PCI_VENDOR_INTEL, E1000_82574L, given_82574, write_82574);
