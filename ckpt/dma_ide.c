/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. An IDE controller writes what the commands that read a disk by DMA ask for, from the moment a channel's bus master is started. PCI
   IDE Bus Master 1.0 2 "Bus Master IDE Register Description", 1.2 "Physical Region Descriptor". */
#include "bits.h"
#include "ckpt/dma.h"
#include "drivers/ata_core.h"
#include "drivers/pci_class.h"

#define PRDS_MAX 8192u /* the table does not cross 64 KiB */
#define PRD_END BIT32(31)
#define PRD_BYTE_COUNT 0xFFFFu
#define PRD_BYTES_IF_ZERO 0x10000u

static enum dma_verdict table(const struct dma_view *v, uint64_t at)
{
    uint32_t prd[2] = {0};
    for (uint32_t i = 0; i < PRDS_MAX && !(prd[1] & PRD_END); i++, at += sizeof prd) {
        if (!v->mem(v->ctx, at, prd, sizeof prd))
            return DMA_LOST;
        uint32_t bytes = prd[1] & PRD_BYTE_COUNT;
        if (!v->target(v->ctx, prd[0], bytes ? bytes : PRD_BYTES_IF_ZERO))
            return DMA_LATER;
    }
    return prd[1] & PRD_END ? DMA_GO : DMA_LOST;
}

/* A checkpoint is cut while both channels are idle. */
static enum dma_verdict ide_given(const struct dma_view *v)
{
    (void)v;
    return DMA_GO;
}

static enum dma_verdict ide_write(const struct dma_view *v, const struct dma_write *w)
{
    uint32_t reg = w->offset % BM_CHANNEL_STRIDE;
    if (reg != BM_COMMAND)
        return reg + w->bytes <= BM_CHANNEL_STRIDE ? DMA_GO : DMA_LOST;
    if ((w->value & (BM_COMMAND_START | BM_COMMAND_TO_MEMORY)) != (BM_COMMAND_START | BM_COMMAND_TO_MEMORY))
        return DMA_GO;
    return table(v, v->reg(v->ctx, w->offset + BM_TABLE) & ~3u);
}

const struct dma_model dma_ide = {
    .name = "IDE",
    .bar = IDE_BUS_MASTER_BAR,
    .class_code = (uint32_t)PCI_CLASS_IDE << 8,
    .class_mask = 0xFFFF00u,
    .port_count = 2 * BM_CHANNEL_STRIDE,
    .given = ide_given,
    .write = ide_write,
};
