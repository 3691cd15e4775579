/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Drives an AHCI controller by its registers; AHCI 1.3.1 sections 10.1 "Platform Communication", 10.4 "Reset",
   10.6 "BIOS/OS Handoff" and 6.2.2 "Software Error Recovery". What a status means is decided in ahci_core.c. Every wait
   has a deadline; a failed command is tried once more after recovery, one that timed out is not, so that a caller waits
   for at most two timeouts. */
#include "drivers/ahci.h"

#include "clock.h"
#include "drivers/pci.h"
#include "hostmem.h"
#include "io.h"
#include "log.h"
#include "str.h"

#include <string.h>

#define POLL_US 5
#define STOP_TIMEOUT_US 500000          /* 10.1.2: CR and FR clear within 500 ms */
#define HANDOFF_TIMEOUT_US 25000        /* 10.6.3: BOS clears, or BB is set, within 25 ms */
#define HANDOFF_BUSY_TIMEOUT_US 2000000 /* and with BB set within two seconds */
#define RESET_TIMEOUT_US 1000000        /* 10.4.3 */
#define SPIN_UP_DETECT_US 50000         /* a device shows itself within 10 ms of COMRESET; disks are late sometimes */
#define LINK_TIMEOUT_US 1000000
#define COMRESET_HOLD_US 2000       /* 10.4.2: at least 1 ms */
#define SPIN_UP_TIMEOUT_US 15000000 /* BSY until the platters turn */

static uint32_t port_read(hpa_t port, uint32_t reg)
{
    return mmio_read32((hpa_t){port.v + reg});
}

static void port_write(hpa_t port, uint32_t reg, uint32_t value)
{
    mmio_write32((hpa_t){port.v + reg}, value);
}

static void port_change(hpa_t port, uint32_t reg, uint32_t clear, uint32_t set)
{
    port_write(port, reg, (port_read(port, reg) & ~clear) | set);
}

static enum err wait_bits(hpa_t base, uint32_t reg, uint32_t mask, uint32_t want, uint64_t timeout_us)
{
    uint64_t end = deadline_in_us(timeout_us);
    bool late;
    do {
        late = deadline_passed(end); /* before the look, so that the last look is never too early */
        uint32_t value = port_read(base, reg);
        if ((value & mask) == want)
            return E_OK;
        if (value == AHCI_ALL_BITS)
            return E_GONE;
        if (!late)
            clock_delay_us(POLL_US);
    } while (!late);
    return E_TIMEOUT;
}

/* ---- controller ---------------------------------------------------------------------------------------------- */

static void take_from_firmware(hpa_t abar, uint16_t bdf)
{
    if (port_read(abar, AHCI_VS) < VS_1_2 || !(port_read(abar, AHCI_CAP2) & CAP2_BOH))
        return;
    port_change(abar, AHCI_BOHC, 0, BOHC_OOS);
    enum err e = wait_bits(abar, AHCI_BOHC, BOHC_BOS, 0, HANDOFF_TIMEOUT_US);
    if (e == E_TIMEOUT && (port_read(abar, AHCI_BOHC) & BOHC_BB))
        e = wait_bits(abar, AHCI_BOHC, BOHC_BOS, 0, HANDOFF_BUSY_TIMEOUT_US);
    if (e != E_OK) /* the specification lets us go on as if it had agreed */
        log_line("ahci", "handoff bdf=%04x firmware keeps ownership, taken", bdf);
}

/* Spin-up in one go for all ports, so that absent disks cost their wait once. */
static void spin_up(const struct ahci_hba *hba)
{
    bool any = false;
    for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
        hpa_t port = {hba->abar.v + AHCI_PORT(i)};
        if (!(hba->ports & BIT32(i)) || (port_read(port, PXCMD) & PXCMD_SUD))
            continue;
        port_change(port, PXCMD, 0, PXCMD_SUD);
        any = true;
    }
    if (any)
        clock_delay_us(SPIN_UP_DETECT_US);
}

enum err ahci_open(uint16_t bdf, struct ahci_hba *hba)
{
    memset(hba, 0, sizeof *hba);
    struct pci_bar bar = pci_read_bar(bdf, AHCI_ABAR_INDEX);
    if (bar.io || bar.base == 0) {
        log_line("ahci", "probe bdf=%04x no memory BAR5", bdf);
        return E_NODISK;
    }
    hba->bdf = bdf;
    hba->abar.v = bar.base;
    hba->pci_command_before = pci_enable(bdf, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);

    hba->ghc_before = port_read(hba->abar, AHCI_GHC);
    if (hba->ghc_before == AHCI_ALL_BITS) {
        log_line("ahci", "probe bdf=%04x abar=0x%llx does not answer", bdf, (unsigned long long)bar.base);
        pci_write(bdf, PCI_COMMAND, 2, hba->pci_command_before);
        return E_GONE;
    }
    take_from_firmware(hba->abar, bdf);
    port_change(hba->abar, AHCI_GHC, GHC_IE, GHC_AE);
    uint32_t cap = port_read(hba->abar, AHCI_CAP);
    hba->dma64 = (cap & CAP_S64A) != 0;
    hba->ports = port_read(hba->abar, AHCI_PI);
    if (cap & CAP_SSS)
        spin_up(hba);
    log_line("ahci", "open bdf=%04x abar=0x%llx cap=0x%08x ports=0x%08x dma=%d", bdf, (unsigned long long)bar.base,
             (unsigned)cap, (unsigned)hba->ports, hba->dma64 ? 64 : 32);
    return E_OK;
}

uint32_t ahci_register_bytes(hpa_t abar)
{
    uint32_t ports = port_read(abar, AHCI_PI);
    return AHCI_PORT(ports ? 32u - (uint32_t)__builtin_clz(ports) : 0);
}

void ahci_close(const struct ahci_hba *hba)
{
    port_write(hba->abar, AHCI_GHC, hba->ghc_before & ~GHC_HR);
    pci_write(hba->bdf, PCI_COMMAND, 2, hba->pci_command_before);
}

enum err ahci_reset(hpa_t abar)
{
    port_change(abar, AHCI_GHC, GHC_IE, GHC_AE);
    port_change(abar, AHCI_GHC, 0, GHC_HR);
    enum err e = wait_bits(abar, AHCI_GHC, GHC_HR, 0, RESET_TIMEOUT_US);
    if (e != E_OK) {
        log_line("ahci", "reset abar=0x%llx failed: %s", (unsigned long long)abar.v, err_name(e));
        return e;
    }
    port_change(abar, AHCI_GHC, GHC_IE, GHC_AE);
    return E_OK;
}

/* ---- port ------------------------------------------------------------------------------------------------------ */

static enum err stop_commands(hpa_t port)
{
    port_change(port, PXCMD, PXCMD_ST, 0);
    return wait_bits(port, PXCMD, PXCMD_CR, 0, STOP_TIMEOUT_US);
}

static enum err stop(hpa_t port)
{
    enum err e = stop_commands(port);
    if (e != E_OK)
        return e;
    port_change(port, PXCMD, PXCMD_FRE, 0);
    return wait_bits(port, PXCMD, PXCMD_FR, 0, STOP_TIMEOUT_US);
}

enum err ahci_stop_port(hpa_t abar, unsigned port)
{
    return port < AHCI_PORTS_MAX ? stop((hpa_t){abar.v + AHCI_PORT(port)}) : E_BOUNDS;
}

static void clear_errors(hpa_t port)
{
    port_write(port, PXSERR, AHCI_ALL_BITS); /* first: PxIS.PRCS and PCS mirror it */
    port_write(port, PXIS, AHCI_ALL_BITS);
}

/* Section 10.4.2 "Port Reset". ST must be 0. */
static enum err comreset(hpa_t port)
{
    port_change(port, PXSCTL, PXSCTL_DET_MASK | PXSCTL_IPM_MASK, PXSCTL_DET_COMRESET | PXSCTL_IPM_NONE);
    clock_delay_us(COMRESET_HOLD_US);
    port_change(port, PXSCTL, PXSCTL_DET_MASK, 0);
    if (wait_bits(port, PXSSTS, PXSSTS_DET_MASK, PXSSTS_DET_READY, LINK_TIMEOUT_US) != E_OK)
        return E_GONE;
    clear_errors(port);
    return E_OK;
}

/* FRE is on, ST off, and a link is there: bring the device to idle, by COMRESET if need be, and set ST. */
static enum err start_commands(hpa_t port)
{
    if (port_read(port, PXTFD) & (ATA_STATUS_BSY | ATA_STATUS_DRQ)) {
        enum err e = comreset(port);
        if (e != E_OK)
            return e;
        e = wait_bits(port, PXTFD, ATA_STATUS_BSY | ATA_STATUS_DRQ, 0, SPIN_UP_TIMEOUT_US);
        if (e != E_OK)
            return e;
    }
    clear_errors(port);
    port_change(port, PXCMD, 0, PXCMD_ST);
    return E_OK;
}

/* Section 6.2.2.1 "Non-Queued Error Recovery". */
static enum err recover(struct ahci_disk *disk)
{
    disk->ready = false;
    enum err e = stop_commands(disk->port);
    if (e ==
        E_TIMEOUT) { /* a port reset, and where that does not help, all of the HBA: the caller's buffer must be free */
        e = comreset(disk->port);
        if (e != E_OK && ahci_reset(disk->abar) != E_OK)
            e = E_TIMEOUT;
    }
    if (e == E_OK && (port_read(disk->port, PXSSTS) & PXSSTS_DET_MASK) != PXSSTS_DET_READY)
        e = E_GONE;
    if (e == E_OK)
        e = start_commands(disk->port);
    disk->ready = e == E_OK;
    if (e != E_OK)
        log_line("ahci", "recover dev=%s failed: %s", disk->dev.name, err_name(e));
    return e;
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static void doorbell(struct ahci_disk *disk)
{
    disk->memory->list[0].prdbc = 0;
    disk->deadline_us = deadline_in_us(ata_timeout_us(disk->op));
    disk->in_flight = true;
    port_write(disk->port, PXIS,
               ~PXIS_PRCS); /* that one stays: it would tell of a disk changed since the last command */
    port_write(disk->port, PXCI, 1);
}

static enum err wait_command(struct ahci_disk *disk)
{
    struct ahci_status s;
    enum ahci_verdict verdict;
    bool pending;
    do {
        bool late = deadline_passed(disk->deadline_us);
        s.ci = port_read(disk->port, PXCI);
        s.is = port_read(disk->port, PXIS);
        s.tfd = port_read(disk->port, PXTFD);
        s.ssts = port_read(disk->port, PXSSTS);
        s.bytes_wanted = disk->bytes_wanted;
        s.bytes_done = disk->memory->list[0].prdbc;
        verdict = ahci_judge(&s);
        pending = verdict == AHCI_PENDING && !late;
        if (pending && disk->dev.idle)
            disk->dev.idle();
        else if (pending)
            clock_delay_us(POLL_US);
    } while (pending);
    if (verdict == AHCI_DONE)
        return E_OK;
    enum err e = verdict == AHCI_GONE ? E_GONE : verdict == AHCI_FAILED ? E_IO : E_TIMEOUT;
    log_line("ahci", "command dev=%s op=%d %s ci=0x%x is=0x%08x tfd=0x%x ssts=0x%x serr=0x%08x", disk->dev.name,
             (int)disk->op, err_name(e), (unsigned)s.ci, (unsigned)s.is, (unsigned)s.tfd, (unsigned)s.ssts,
             (unsigned)port_read(disk->port, PXSERR));
    return e;
}

static enum err ahci_finish(struct block_dev *dev)
{
    struct ahci_disk *disk = dev->driver;
    if (!disk->in_flight)
        return E_OK;
    enum err e = wait_command(disk);
    if (e == E_IO && recover(disk) == E_OK) {
        doorbell(disk); /* the list and table are still there */
        e = wait_command(disk);
    }
    disk->in_flight = false;
    if (e == E_GONE) {
        disk->ready = false;
        (void)stop_commands(disk->port); /* should it come back, nothing of ours may run */
    } else if (e != E_OK) {
        (void)recover(disk); /* says itself when the disk stays lost: ready is false then */
    }
    return e;
}

static enum err ahci_begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    struct ahci_disk *disk = dev->driver;
    struct ata_registers r;
    if (disk->in_flight)
        return E_BUSY;
    if (!disk->ready)
        return E_GONE;
    enum err e =
        op != BLOCK_FLUSH && count > dev->max_sectors ? E_BOUNDS : ata_build_command(&disk->id, op, lba, count, &r);
    if (e != E_OK)
        return e;
    hpa_t data = r.bytes ? virt_to_phys(buf) : (hpa_t){0};
    /* One contiguous piece: the buffer must not run out of its window. */
    if (r.bytes && virt_to_phys((uint8_t *)buf + r.bytes - 1).v != data.v + r.bytes - 1)
        return E_BOUNDS;
    e = ahci_build_command(disk->memory, virt_to_phys(disk->memory), &r, data, disk->dma64);
    if (e != E_OK)
        return e;
    struct ahci_status now = {.is = port_read(disk->port, PXIS) & PXIS_PRCS, .ssts = port_read(disk->port, PXSSTS)};
    if (ahci_judge(&now) == AHCI_GONE) {
        log_line("ahci", "command dev=%s not issued: link lost since the last one", disk->dev.name);
        disk->ready = false;
        return E_GONE;
    }
    disk->op = op;
    disk->bytes_wanted = r.write ? 0 : r.bytes;
    doorbell(disk);
    return E_OK;
}

/* ---- opening and closing a disk -------------------------------------------------------------------------------- */

static enum err identify(struct ahci_disk *disk, struct ata_identity *id)
{
    struct ata_registers r;
    struct ahci_port_memory *m = disk->memory;
    ata_build_identify(&r);
    memset(m->identify, 0, sizeof m->identify);
    enum err e = ahci_build_command(m, virt_to_phys(m), &r, virt_to_phys(m->identify), disk->dma64);
    if (e != E_OK)
        return e;
    disk->op = BLOCK_READ;
    disk->bytes_wanted = 0; /* PIO: whether PRDBC counts then is up to the HBA */
    doorbell(disk);
    e = ahci_finish(&disk->dev);
    if (e != E_OK)
        return e;
    const char *why;
    e = ata_parse_identify(m->identify, id, &why);
    if (e != E_OK)
        log_line("ahci", "identify dev=%s refused: %s", disk->dev.name, why);
    return e;
}

static void point_to_memory(struct ahci_disk *disk)
{
    uint64_t list = virt_to_phys(disk->memory->list).v, fis = virt_to_phys(disk->memory->received_fis).v;
    port_write(disk->port, PXCLB, (uint32_t)list);
    port_write(disk->port, PXCLBU, (uint32_t)(list >> 32));
    port_write(disk->port, PXFB, (uint32_t)fis);
    port_write(disk->port, PXFBU, (uint32_t)(fis >> 32));
}

/* From any state of the port to an idle disk with its identity read. */
static enum err bring_up(struct ahci_disk *disk, struct ata_identity *id)
{
    hpa_t port = disk->port;
    enum err e = stop(port);
    if (e == E_TIMEOUT) {
        e = comreset(port);
        if (e == E_OK)
            e = stop(port);
    }
    if (e != E_OK)
        return e;
    if (!ahci_reachable(virt_to_phys(disk->memory), sizeof *disk->memory, disk->dma64))
        return E_BOUNDS;
    port_write(port, PXIE, 0);
    point_to_memory(disk);
    clear_errors(port);
    uint32_t power = port_read(port, PXCMD) & PXCMD_CPD ? PXCMD_POD : 0;
    port_change(port, PXCMD, PXCMD_ICC_MASK, PXCMD_FRE | PXCMD_SUD | PXCMD_ICC_ACTIVE | power);
    port_change(port, PXSCTL, PXSCTL_IPM_MASK, PXSCTL_IPM_NONE);

    uint32_t det = port_read(port, PXSSTS) & PXSSTS_DET_MASK;
    if (det == PXSSTS_DET_NONE)
        return E_NODISK;
    if (wait_bits(port, PXSSTS, PXSSTS_DET_MASK, PXSSTS_DET_READY, LINK_TIMEOUT_US) != E_OK && comreset(port) != E_OK)
        return det == PXSSTS_DET_PRESENT ? E_IO : E_NODISK;
    e = wait_bits(port, PXTFD, ATA_STATUS_BSY | ATA_STATUS_DRQ, 0, SPIN_UP_TIMEOUT_US);
    if (e == E_GONE)
        return e;
    e = start_commands(port); /* with a COMRESET when it is still busy */
    if (e != E_OK)
        return e;
    uint32_t signature = port_read(port, PXSIG);
    if (signature != PXSIG_ATA) {
        log_line("ahci", "port dev=%s sig=0x%08x is no ATA disk, left alone", disk->dev.name, (unsigned)signature);
        return E_NODISK;
    }
    disk->ready = true;
    return identify(disk, id);
}

/* ICH-style "before" values: what the firmware, or the guest in a native time, had set up. */
static void remember(struct ahci_disk *disk)
{
    disk->before.clb = port_read(disk->port, PXCLB);
    disk->before.clbu = port_read(disk->port, PXCLBU);
    disk->before.fb = port_read(disk->port, PXFB);
    disk->before.fbu = port_read(disk->port, PXFBU);
    disk->before.ie = port_read(disk->port, PXIE);
    disk->before.cmd = port_read(disk->port, PXCMD);
    disk->before.sctl = port_read(disk->port, PXSCTL);
}

void ahci_close_disk(struct ahci_disk *disk)
{
    hpa_t port = disk->port;
    (void)ahci_finish(&disk->dev);
    disk->ready = false;
    if (stop(port) != E_OK) {
        /* It would go on to write FISes into our page; the page stays ours, so that does no harm. */
        log_line("ahci", "close dev=%s the port does not stop", disk->dev.name);
        return;
    }
    port_write(port, PXCLB, disk->before.clb);
    port_write(port, PXCLBU, disk->before.clbu);
    port_write(port, PXFB, disk->before.fb);
    port_write(port, PXFBU, disk->before.fbu);
    port_write(port, PXSCTL, disk->before.sctl & ~PXSCTL_DET_MASK);
    clear_errors(port);
    if (disk->before.cmd & PXCMD_FRE)
        port_change(port, PXCMD, 0, PXCMD_FRE);
    bool idle = (port_read(port, PXSSTS) & PXSSTS_DET_MASK) == PXSSTS_DET_READY &&
                !(port_read(port, PXTFD) & (ATA_STATUS_BSY | ATA_STATUS_DRQ));
    if ((disk->before.cmd & PXCMD_ST) && (disk->before.cmd & PXCMD_FRE) && idle)
        port_change(port, PXCMD, 0, PXCMD_ST);
    port_write(port, PXIE, disk->before.ie);
}

enum err ahci_open_disk(const struct ahci_hba *hba, unsigned port, void *page, struct ahci_disk *disk)
{
    memset(disk, 0, sizeof *disk);
    if (port >= AHCI_PORTS_MAX || !(hba->ports & BIT32(port)))
        return E_NODISK;
    disk->port.v = hba->abar.v + AHCI_PORT(port);
    disk->abar = hba->abar;
    disk->memory = page;
    disk->dma64 = hba->dma64;
    disk->dev.driver = disk;
    disk->dev.begin = ahci_begin;
    disk->dev.finish = ahci_finish;
    str_format(disk->dev.name, sizeof disk->dev.name, "ahci%04x.%u", hba->bdf, port);
    remember(disk);

    enum err e = bring_up(disk, &disk->id);
    if (e != E_OK) {
        if (e != E_NODISK)
            log_line("ahci", "open dev=%s failed: %s", disk->dev.name, err_name(e));
        ahci_close_disk(disk);
        return e;
    }
    disk->dev.sectors = disk->id.sectors;
    disk->dev.align_sectors = disk->id.block_sectors;
    disk->dev.max_sectors = ata_max_sectors(&disk->id, AHCI_MAX_SECTORS);
    log_line("ahci", "disk dev=%s model=\"%s\" sectors=%llu block=%u lba48=%d", disk->dev.name, disk->id.model,
             (unsigned long long)disk->id.sectors, (unsigned)disk->id.block_sectors * ATA_SECTOR_BYTES, disk->id.lba48);
    return E_OK;
}

bool ahci_disk_intact(const struct ahci_disk *disk)
{
    uint64_t list = virt_to_phys(disk->memory->list).v, fis = virt_to_phys(disk->memory->received_fis).v;
    hpa_t port = disk->port;
    uint32_t ghc = port_read(disk->abar, AHCI_GHC);
    return disk->ready && !disk->in_flight && (ghc & (GHC_AE | GHC_IE)) == GHC_AE &&
           port_read(port, PXCLB) == (uint32_t)list && port_read(port, PXCLBU) == (uint32_t)(list >> 32) &&
           port_read(port, PXFB) == (uint32_t)fis && port_read(port, PXFBU) == (uint32_t)(fis >> 32) &&
           port_read(port, PXIE) == 0 && (port_read(port, PXCMD) & (PXCMD_ST | PXCMD_FRE)) == (PXCMD_ST | PXCMD_FRE) &&
           port_read(port, PXCI) == 0 && port_read(port, PXSACT) == 0 &&
           (port_read(port, PXSSTS) & PXSSTS_DET_MASK) == PXSSTS_DET_READY && !(port_read(port, PXIS) & PXIS_PRCS) &&
           !(port_read(port, PXTFD) & (ATA_STATUS_BSY | ATA_STATUS_DRQ));
}

enum err ahci_reopen_disk(const struct ahci_hba *hba, struct ahci_disk *disk)
{
    struct ata_identity now;
    port_change(hba->abar, AHCI_GHC, GHC_IE, GHC_AE);
    disk->in_flight = false;
    enum err e = bring_up(disk, &now);
    if (e == E_NODISK || (e == E_OK && !ata_same_disk(&now, &disk->id)))
        e = E_GONE;
    disk->ready = e == E_OK;
    if (e != E_OK)
        log_line("ahci", "reopen dev=%s failed: %s", disk->dev.name, err_name(e));
    return e;
}
