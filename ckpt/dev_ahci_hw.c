/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Registers of the guest's AHCI controllers for ckpt/dev_ahci. AHCI 1.3.1 10.3.2 "Starting/Stopping Processing":
   list and FIS addresses change only while ST, CR, FRE and FR are 0. */
#include "ckpt/dev_ahci.h"
#include "ckpt/dev_pci.h"
#include "clock.h"
#include "drivers/pci.h"
#include "io.h"
#include "log.h"

#define PORT_STOP_US 500000u     /* AHCI 1.3.1 10.1.2 "System Software Specific Initialization": 500 ms */
#define COMMAND_ENDS_US 1000000u /* a disk that has to be woken up takes longer, and is cut off */
#define LINK_UP_US 100000u
#define DEVICE_READY_US 2000000u
#define PCI_CLASS_ALL 0xFFFFFFu

size_t ahci_state_list(uint16_t bdf[DEV_AHCI_CONTROLLERS])
{
    return pci_state_find(PCI_CLASS_SATA_AHCI, PCI_CLASS_ALL, bdf, DEV_AHCI_CONTROLLERS);
}

bool ahci_state_present(void)
{
    uint16_t bdf[DEV_AHCI_CONTROLLERS];
    return ahci_state_list(bdf) > 0;
}

static uint64_t abar_of(uint16_t bdf)
{
    struct pci_bar bar = pci_read_bar(bdf, AHCI_ABAR_INDEX);
    return bar.io || !(pci_read(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY) ? 0 : bar.base;
}

static uint32_t rd(uint64_t abar, uint32_t reg)
{
    return mmio_read32((hpa_t){abar + reg});
}

static void wr(uint64_t abar, uint32_t reg, uint32_t value)
{
    mmio_write32((hpa_t){abar + reg}, value);
}

static bool wait_clear(uint64_t abar, uint32_t reg, uint32_t bits, uint64_t us)
{
    uint64_t deadline = deadline_in_us(us);
    while (rd(abar, reg) & bits)
        if (deadline_passed(deadline))
            return false;
    return true;
}

/* Idle is a port whose last interrupt the guest has seen, too: PxIS cannot be set again by a restore. */
static enum err capture_port(const struct dev_ahci_controller *c, uint32_t n, struct dev_ahci_port *p)
{
    uint64_t abar = c->abar;
    uint32_t base = AHCI_PORT(n);
    p->in_flight = rd(abar, base + PXCI) | rd(abar, base + PXSACT);
    uint32_t untold = c->ghc & GHC_IE ? rd(abar, base + PXIS) & rd(abar, base + PXIE) : 0;
    if (p->in_flight || untold) {
        log_line("ahci", "not idle: bdf=%04x port=%u slots=%08x interrupts=%08x", c->bdf, (unsigned)n,
                 (unsigned)p->in_flight, (unsigned)untold);
        return E_BUSY;
    }
    p->clb = rd(abar, base + PXCLB);
    p->clbu = rd(abar, base + PXCLBU);
    p->fb = rd(abar, base + PXFB);
    p->fbu = rd(abar, base + PXFBU);
    p->ie = rd(abar, base + PXIE);
    p->cmd = rd(abar, base + PXCMD);
    p->sctl = rd(abar, base + PXSCTL);
    return E_OK;
}

enum err ahci_state_capture(struct dev_ahci_state *s)
{
    uint16_t bdf[DEV_AHCI_CONTROLLERS];
    s->head = DEV_HEAD(DEV_AHCI_VERSION, struct dev_ahci_state);
    s->controllers = (uint32_t)ahci_state_list(bdf);
    for (uint32_t i = 0; i < s->controllers; i++) {
        struct dev_ahci_controller *c = &s->controller[i];
        c->bdf = bdf[i];
        c->abar = abar_of(bdf[i]);
        if (!c->abar) /* the guest does not use it */
            continue;
        c->ghc = rd(c->abar, AHCI_GHC);
        c->ports = rd(c->abar, AHCI_PI);
        for (uint32_t n = 0; n < AHCI_PORTS_MAX; n++) {
            if (!(c->ports & BIT(n)))
                continue;
            enum err e = capture_port(c, n, &c->port[n]);
            if (e)
                return e;
        }
    }
    return E_OK;
}

static enum err stop_port(uint64_t abar, uint32_t n)
{
    uint32_t base = AHCI_PORT(n);
    wr(abar, base + PXIE, 0);
    wr(abar, base + PXCMD, rd(abar, base + PXCMD) & ~(PXCMD_ST | PXCMD_ICC_MASK));
    if (!wait_clear(abar, base + PXCMD, PXCMD_CR, PORT_STOP_US))
        return E_TIMEOUT;
    wr(abar, base + PXCMD, rd(abar, base + PXCMD) & ~(PXCMD_FRE | PXCMD_ICC_MASK));
    return wait_clear(abar, base + PXCMD, PXCMD_FR, PORT_STOP_US) ? E_OK : E_TIMEOUT;
}

enum err ahci_state_quiesce(void)
{
    uint16_t bdf[DEV_AHCI_CONTROLLERS];
    size_t count = ahci_state_list(bdf);
    for (size_t i = 0; i < count; i++) {
        uint64_t abar = abar_of(bdf[i]);
        if (!abar || !(rd(abar, AHCI_GHC) & GHC_AE))
            continue;
        uint32_t ports = rd(abar, AHCI_PI);
        wr(abar, AHCI_GHC, rd(abar, AHCI_GHC) & ~GHC_IE);
        for (uint32_t n = 0; n < AHCI_PORTS_MAX; n++) {
            /* Commands end by themselves, whatever became of the guest, and their data had better be written before its
               memory is. */
            bool idle = !(ports & BIT(n)) || (wait_clear(abar, AHCI_PORT(n) + PXCI, AHCI_ALL_BITS, COMMAND_ENDS_US) &&
                                              wait_clear(abar, AHCI_PORT(n) + PXSACT, AHCI_ALL_BITS, COMMAND_ENDS_US));
            enum err e = ports & BIT(n) ? stop_port(abar, n) : E_OK;
            if (e || !idle)
                log_line("ahci", "port does not stop: bdf=%04x port=%u", bdf[i], (unsigned)n);
            /* Bus mastering is cut off as well, so a stuck port can still not write memory. */
        }
    }
    return E_OK;
}

static enum err restore_port(const struct dev_ahci_controller *c, uint32_t n)
{
    const struct dev_ahci_port *p = &c->port[n];
    uint32_t base = AHCI_PORT(n), keep = p->cmd & DEV_AHCI_CMD_KEPT;
    enum err e = stop_port(c->abar, n);
    if (e)
        return e;
    wr(c->abar, base + PXCLB, p->clb);
    wr(c->abar, base + PXCLBU, p->clbu);
    wr(c->abar, base + PXFB, p->fb);
    wr(c->abar, base + PXFBU, p->fbu);
    if ((rd(c->abar, base + PXSCTL) ^ p->sctl) & ~PXSCTL_DET_MASK)
        wr(c->abar, base + PXSCTL, p->sctl & ~PXSCTL_DET_MASK); /* no reset of the link: DET stays 0 */
    wr(c->abar, base + PXCMD, keep & ~(PXCMD_ST | PXCMD_FRE));
    if (keep & PXCMD_FRE)
        wr(c->abar, base + PXCMD, keep & ~PXCMD_ST);
    if (keep & PXCMD_ST) {
        uint64_t deadline = deadline_in_us(LINK_UP_US);
        while ((rd(c->abar, base + PXSSTS) & PXSSTS_DET_MASK) != PXSSTS_DET_READY && !deadline_passed(deadline))
            ;
        if ((rd(c->abar, base + PXSSTS) & PXSSTS_DET_MASK) == PXSSTS_DET_READY &&
            !wait_clear(c->abar, base + PXTFD, ATA_STATUS_BSY | ATA_STATUS_DRQ, DEVICE_READY_US))
            return E_TIMEOUT;
        wr(c->abar, base + PXSERR, AHCI_ALL_BITS);
        wr(c->abar, base + PXCMD, keep);
    }
    wr(c->abar, base + PXIS, AHCI_ALL_BITS);
    wr(c->abar, base + PXIE, p->ie);
    return E_OK;
}

enum err ahci_state_restore(const struct dev_ahci_state *s)
{
    for (uint32_t i = 0; i < s->controllers; i++) {
        const struct dev_ahci_controller *c = &s->controller[i];
        if (!c->abar || !(c->ghc & GHC_AE))
            continue;
        wr(c->abar, AHCI_GHC, GHC_AE);
        for (uint32_t n = 0; n < AHCI_PORTS_MAX; n++) {
            enum err e = c->ports & BIT(n) ? restore_port(c, n) : E_OK;
            if (e) {
                log_line("ahci", "port does not come back: bdf=%04x port=%u: %s", c->bdf, (unsigned)n, err_name(e));
                return e;
            }
        }
        wr(c->abar, AHCI_GHC, c->ghc & ~GHC_HR);
    }
    return E_OK;
}
