/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. An AHCI controller writes received FISes, the byte count of a command header, and what the commands that read a
   disk ask for. AHCI 1.3.1 4.2 "HBA Memory Structures", 3.3.15 "Offset 40h: PxFBS". */
#include "ckpt/dma.h"
#include "drivers/ahci_core.h"
#include "drivers/pci_class.h"

#define PXFBS 0x40u
#define PXFBS_EN BIT32(0)
#define LIST_BYTES 1024u
#define RECEIVED_FIS_BYTES 256u
#define RECEIVED_FIS_BYTES_SWITCHED 4096u
#define TABLE_PRDT 0x80u
#define PORT_BYTES 0x80u
#define PRD_BYTE_COUNT MASK(21, 0)
#define PRDS_AT_ONCE 16u
#define PORTS_IN_PAGE 30u /* no controller is known that has more */

static uint64_t address(const struct dma_view *v, uint32_t low, const struct dma_write *w)
{
    uint32_t part[2];
    for (uint32_t i = 0; i < 2; i++)
        part[i] = w && w->offset == low + 4 * i ? w->value : v->reg(v->ctx, low + 4 * i);
    return part[0] | (uint64_t)part[1] << 32;
}

/* The list, whose headers it writes to, and the received FISes. */
static enum dma_verdict port_memory(const struct dma_view *v, uint32_t port, const struct dma_write *w)
{
    uint32_t fbs = w && w->offset == port + PXFBS ? w->value : v->reg(v->ctx, port + PXFBS);
    bool kept = v->target(v->ctx, address(v, port + PXCLB, w), LIST_BYTES) &&
                v->target(v->ctx, address(v, port + PXFB, w),
                          fbs & PXFBS_EN ? RECEIVED_FIS_BYTES_SWITCHED : RECEIVED_FIS_BYTES);
    return kept ? DMA_GO : DMA_LATER;
}

static enum dma_verdict command(const struct dma_view *v, uint64_t header_at)
{
    struct ahci_command_header h;
    if (!v->mem(v->ctx, header_at, &h, sizeof h))
        return DMA_LOST;
    if (h.flags & AHCI_HEADER_WRITE) /* to the disk */
        return DMA_GO;
    uint64_t at = (h.ctba | (uint64_t)h.ctbau << 32) + TABLE_PRDT;
    for (uint32_t left = h.flags >> AHCI_HEADER_PRDTL_SHIFT; left;) {
        struct ahci_prd prd[PRDS_AT_ONCE];
        uint32_t n = left < PRDS_AT_ONCE ? left : PRDS_AT_ONCE;
        if (!v->mem(v->ctx, at, prd, n * sizeof prd[0]))
            return DMA_LOST;
        for (uint32_t i = 0; i < n; i++)
            if (!v->target(v->ctx, prd[i].dba | (uint64_t)prd[i].dbau << 32, (prd[i].dbc & PRD_BYTE_COUNT) + 1))
                return DMA_LATER;
        at += n * sizeof prd[0];
        left -= n;
    }
    return DMA_GO;
}

static enum dma_verdict ahci_given(const struct dma_view *v)
{
    uint32_t ports = v->reg(v->ctx, AHCI_PI);
    enum dma_verdict verdict = ports >> PORTS_IN_PAGE ? DMA_LOST : DMA_GO;
    for (uint32_t n = 0; n < PORTS_IN_PAGE && verdict == DMA_GO; n++)
        if (ports & BIT32(n))
            verdict = port_memory(v, AHCI_PORT(n), NULL);
    return verdict;
}

static enum dma_verdict ahci_write(const struct dma_view *v, const struct dma_write *w)
{
    if (w->offset < AHCI_PORT(0))
        return DMA_GO;
    uint32_t reg = (w->offset - AHCI_PORT(0)) % PORT_BYTES, port = w->offset - reg;
    if (reg < PXIS || reg == PXFBS)
        return port_memory(v, port, w);
    if (reg != PXCI)
        return DMA_GO;
    uint64_t list = address(v, port + PXCLB, NULL);
    enum dma_verdict verdict = DMA_GO;
    for (uint32_t slot = 0; slot < 32 && verdict == DMA_GO; slot++)
        if (w->value & BIT32(slot))
            verdict = command(v, list + slot * sizeof(struct ahci_command_header));
    return verdict;
}

const struct dma_model dma_ahci = {
    .name = "AHCI",
    .bar = AHCI_ABAR_INDEX,
    .class_code = PCI_CLASS_SATA_AHCI,
    .class_mask = 0xFFFFFFu,
    .page_map = BIT32(0),
    .given = ahci_given,
    .write = ahci_write,
};
