/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Physical region descriptors and verdicts of the bus-master IDE driver; see ata_core.h. */
#include "drivers/ata_core.h"

#define DMA32_LIMIT (1ull << 32)
#define STATUS_FLOATING 0xFFu        /* nobody drives the bus */
#define STATUS_FLOATING_PULLED 0x7Fu /* ... and BSY is pulled down, as ATA asks of the host */

enum err ata_build_prds(struct ata_prd table[ATA_PRDS], hpa_t pa, uint32_t bytes)
{
    size_t used = 0;
    if (bytes == 0 || ((pa.v | bytes) & 1) || pa.v >= DMA32_LIMIT || bytes > DMA32_LIMIT - pa.v)
        return E_BOUNDS;
    for (uint64_t at = pa.v, end = pa.v + bytes; at < end;) {
        uint64_t n = min_u64(end, align_down(at, ATA_PRD_MAX_BYTES) + ATA_PRD_MAX_BYTES) - at;
        if (used == ATA_PRDS)
            return E_BOUNDS;
        table[used].base = (uint32_t)at;
        table[used].bytes = (uint16_t)n; /* 65536 is written as 0 */
        table[used].flags = 0;
        used++;
        at += n;
    }
    table[used - 1].flags = ATA_PRD_LAST;
    return E_OK;
}

bool ata_floating(uint8_t status)
{
    return status == STATUS_FLOATING || status == STATUS_FLOATING_PULLED;
}

enum ata_verdict ata_judge(uint8_t status, uint8_t bm)
{
    /* The other device of the channel answers 0 for one that is absent; a disk that is there has DRDY set. */
    if (status == 0 || ata_floating(status))
        return ATA_GONE;
    if (status & ATA_STATUS_BSY)
        return ATA_PENDING; /* the other bits mean nothing yet */
    if ((status & (ATA_STATUS_ERR | ATA_STATUS_DF)) || (bm & BM_STATUS_ERROR))
        return ATA_FAILED;
    return (status & ATA_STATUS_DRQ) || (bm & BM_STATUS_ACTIVE) ? ATA_PENDING : ATA_DONE;
}
