/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Builds AHCI commands and judges the status of a port; see ahci_core.h. */
#include "drivers/ahci_core.h"

#include <string.h>

/* Register Host to Device FIS: byte offsets. */
#define FIS_TYPE 0
#define FIS_FLAGS 1
#define FIS_COMMAND 2
#define FIS_LBA_LOW 4
#define FIS_DEVICE 7
#define FIS_LBA_HIGH 8
#define FIS_COUNT 12

#define FIS_TYPE_REG_H2D 0x27
#define FIS_FLAG_COMMAND 0x80 /* the FIS carries a command, not a device control */

#define DMA32_LIMIT (1ull << 32)

bool ahci_reachable(hpa_t start, uint64_t bytes, bool dma64)
{
    return dma64 ? bytes <= UINT64_MAX - start.v : start.v < DMA32_LIMIT && bytes <= DMA32_LIMIT - start.v;
}

static void build_fis(uint8_t *fis, const struct ata_registers *r)
{
    fis[FIS_TYPE] = FIS_TYPE_REG_H2D;
    fis[FIS_FLAGS] = FIS_FLAG_COMMAND;
    fis[FIS_COMMAND] = r->command;
    fis[FIS_DEVICE] = r->device;
    for (unsigned i = 0; i < 3; i++) {
        fis[FIS_LBA_LOW + i] = (uint8_t)(r->lba >> (8 * i));
        fis[FIS_LBA_HIGH + i] = (uint8_t)(r->lba >> (24 + 8 * i));
    }
    store16(&fis[FIS_COUNT], r->count);
}

enum err ahci_build_command(struct ahci_port_memory *m, hpa_t m_pa, const struct ata_registers *r, hpa_t data,
                            bool dma64)
{
    uint32_t prds = 0;
    if (r->bytes > AHCI_PRDS * AHCI_PRD_MAX_BYTES || (r->bytes && ((data.v | r->bytes) & 1)))
        return E_BOUNDS;
    if (!ahci_reachable(m_pa, sizeof *m, dma64) || (r->bytes && !ahci_reachable(data, r->bytes, dma64)))
        return E_BOUNDS;

    memset(&m->table, 0, sizeof m->table);
    build_fis(m->table.cfis, r);
    for (uint32_t done = 0; done < r->bytes; prds++) {
        uint32_t n = (uint32_t)min_u64(r->bytes - done, AHCI_PRD_MAX_BYTES);
        struct ahci_prd *prd = &m->table.prd[prds];
        prd->dba = (uint32_t)(data.v + done);
        prd->dbau = (uint32_t)((data.v + done) >> 32);
        prd->dbc = n - 1;
        done += n;
    }

    uint64_t table = m_pa.v + offsetof(struct ahci_port_memory, table);
    struct ahci_command_header *h = &m->list[0];
    memset(h, 0, sizeof *h);
    h->flags = AHCI_HEADER_FIS_DWORDS | (r->write ? AHCI_HEADER_WRITE : 0) | prds << AHCI_HEADER_PRDTL_SHIFT;
    h->ctba = (uint32_t)table;
    h->ctbau = (uint32_t)(table >> 32);
    return E_OK;
}

enum ahci_verdict ahci_judge(const struct ahci_status *s)
{
    /* PRCS with a link that is up again means that the disk was away in between: it may be another one. */
    if ((s->ssts & PXSSTS_DET_MASK) != PXSSTS_DET_READY || (s->is & PXIS_PRCS))
        return AHCI_GONE;
    if (s->is & PXIS_ERRORS)
        return AHCI_FAILED;
    if ((s->ci & 1) || (s->tfd & (ATA_STATUS_BSY | ATA_STATUS_DRQ)))
        return AHCI_PENDING;
    if (s->bytes_wanted && s->bytes_done != s->bytes_wanted)
        return AHCI_FAILED; /* a short read that claims success would hand out stale memory */
    return s->tfd & (ATA_STATUS_ERR | ATA_STATUS_DF) ? AHCI_FAILED : AHCI_DONE;
}
