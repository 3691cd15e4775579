/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Drives an IDE channel by its ports: task file, bus master, soft reset (ATA8-APT 9 "Software reset protocol",
   "Programming Interface for Bus Master IDE Controller" 3.1 "Standard Programming Sequence"). What a status means is
   decided in ata_core.c. A failed command is tried once more after a reset of the channel, one that timed out is not.
 */
#include "drivers/ata.h"

#include "clock.h"
#include "drivers/pci.h"
#include "hostmem.h"
#include "io.h"
#include "log.h"
#include "str.h"

#include <string.h>

#define POLL_US 5
#define SETTLE_US 1 /* 400 ns until BSY is valid after a command or a change of device */
#define RESET_HOLD_US 5
#define RESET_SETTLE_US 2000
#define RESET_TIMEOUT_US 10000000
#define SELECT_TIMEOUT_US 1000000
#define IDENTIFY_TIMEOUT_US 5000000

static uint16_t legacy_base(unsigned channel)
{
    return channel ? 0x170 : 0x1F0;
}

static uint16_t legacy_control(unsigned channel)
{
    return channel ? 0x376 : 0x3F6;
}

static uint8_t alternate_status(const struct ata_channel *ch)
{
    return io_in8(ch->control);
}

static void out(const struct ata_channel *ch, uint16_t reg, uint8_t value)
{
    io_out8((uint16_t)(ch->base + reg), value);
}

static uint8_t in(const struct ata_channel *ch, uint16_t reg)
{
    return io_in8((uint16_t)(ch->base + reg));
}

/* ---- controller ------------------------------------------------------------------------------------------------ */

enum err ata_open(uint16_t bdf, struct ata_controller *c)
{
    memset(c, 0, sizeof *c);
    uint32_t interface = pci_read(bdf, PCI_REVISION_ID + 1, 1);
    struct pci_bar bm = pci_read_bar(bdf, IDE_BUS_MASTER_BAR);
    if (!(interface & IDE_BUS_MASTER) || !bm.io || bm.base == 0 || bm.base > UINT16_MAX) {
        log_line("ata", "probe bdf=%04x no bus master", bdf);
        return E_NODISK;
    }
    c->bdf = bdf;
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ata_channel *ch = &c->channel[i];
        ch->bus_master = (uint16_t)(bm.base + i * BM_CHANNEL_STRIDE);
        ch->base = legacy_base(i);
        ch->control = legacy_control(i);
        if (!(interface & IDE_NATIVE(i)))
            continue;
        struct pci_bar command = pci_read_bar(bdf, 2 * i), control = pci_read_bar(bdf, 2 * i + 1);
        bool assigned = command.io && command.base && control.io && control.base;
        ch->base = assigned ? (uint16_t)command.base : 0; /* 0: channel not there */
        ch->control = (uint16_t)(control.base + 2);
    }
    c->pci_command_before = pci_enable(bdf, PCI_COMMAND_IO | PCI_COMMAND_BUS_MASTER);
    log_line("ata", "open bdf=%04x base=%03x/%03x bm=%04x", bdf, c->channel[0].base, c->channel[1].base,
             c->channel[0].bus_master);
    return E_OK;
}

void ata_close(const struct ata_controller *c)
{
    /* nIEN can not be read back; cleared is what every firmware leaves. */
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        if (c->channel[i].base)
            io_out8(c->channel[i].control, 0);
    pci_write(c->bdf, PCI_COMMAND, 2, c->pci_command_before);
}

/* ---- channel --------------------------------------------------------------------------------------------------- */

static enum err wait_idle(const struct ata_channel *ch, uint8_t mask, uint64_t timeout_us)
{
    uint64_t end = deadline_in_us(timeout_us);
    bool late;
    do {
        late = deadline_passed(end);
        uint8_t status = alternate_status(ch);
        if (!(status & mask))
            return E_OK;
        if (ata_floating(status))
            return E_GONE;
        if (!late)
            clock_delay_us(POLL_US);
    } while (!late);
    return E_TIMEOUT;
}

static enum err select_unit(const struct ata_channel *ch, unsigned unit, uint8_t device)
{
    enum err e = wait_idle(ch, ATA_STATUS_BSY | ATA_STATUS_DRQ, SELECT_TIMEOUT_US);
    if (e != E_OK)
        return e;
    out(ch, ATA_DEVICE, (uint8_t)(ATA_DEVICE_OBSOLETE | device | (unit ? ATA_DEVICE_UNIT1 : 0)));
    clock_delay_us(SETTLE_US);
    return wait_idle(ch, ATA_STATUS_BSY | ATA_STATUS_DRQ, SELECT_TIMEOUT_US);
}

static void stop_bus_master(const struct ata_channel *ch)
{
    io_out8((uint16_t)(ch->bus_master + BM_COMMAND), 0);
    uint8_t capable = io_in8((uint16_t)(ch->bus_master + BM_STATUS)) & BM_STATUS_CAPABLE;
    io_out8((uint16_t)(ch->bus_master + BM_STATUS), capable | BM_STATUS_ERROR | BM_STATUS_INTERRUPT);
}

static enum err reset_channel(const struct ata_channel *ch)
{
    stop_bus_master(ch);
    io_out8(ch->control, ATA_CONTROL_NIEN | ATA_CONTROL_SRST);
    clock_delay_us(RESET_HOLD_US);
    io_out8(ch->control, ATA_CONTROL_NIEN);
    clock_delay_us(RESET_SETTLE_US);
    return wait_idle(ch, ATA_STATUS_BSY, RESET_TIMEOUT_US);
}

static void write_registers(const struct ata_channel *ch, const struct ata_registers *r)
{
    if (r->ext) { /* each register is two deep: the high half first */
        out(ch, ATA_COUNT, (uint8_t)(r->count >> 8));
        out(ch, ATA_LBA_LOW, (uint8_t)(r->lba >> 24));
        out(ch, ATA_LBA_MID, (uint8_t)(r->lba >> 32));
        out(ch, ATA_LBA_HIGH, (uint8_t)(r->lba >> 40));
    }
    out(ch, ATA_COUNT, (uint8_t)r->count);
    out(ch, ATA_LBA_LOW, (uint8_t)r->lba);
    out(ch, ATA_LBA_MID, (uint8_t)(r->lba >> 8));
    out(ch, ATA_LBA_HIGH, (uint8_t)(r->lba >> 16));
    out(ch, ATA_COMMAND, r->command);
    clock_delay_us(SETTLE_US);
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static enum err start(struct ata_disk *disk)
{
    struct ata_channel *ch = disk->channel;
    const struct ata_registers *r = &disk->registers;
    enum err e = select_unit(ch, disk->unit, r->device);
    if (e != E_OK)
        return e;
    io_out8(ch->control, ATA_CONTROL_NIEN);
    uint8_t direction = r->write ? 0 : BM_COMMAND_TO_MEMORY;
    if (r->bytes) {
        stop_bus_master(ch);
        io_out32((uint16_t)(ch->bus_master + BM_TABLE), (uint32_t)virt_to_phys(disk->table).v);
        io_out8((uint16_t)(ch->bus_master + BM_COMMAND), direction);
    }
    disk->deadline_us = deadline_in_us(ata_timeout_us(disk->op));
    write_registers(ch, r);
    if (r->bytes)
        io_out8((uint16_t)(ch->bus_master + BM_COMMAND), direction | BM_COMMAND_START);
    return E_OK;
}

static enum err wait_command(const struct ata_disk *disk)
{
    const struct ata_channel *ch = disk->channel;
    uint8_t bm, status;
    enum ata_verdict verdict;
    bool pending;
    do {
        bool late = deadline_passed(disk->deadline_us);
        bm = disk->registers.bytes ? io_in8((uint16_t)(ch->bus_master + BM_STATUS)) : 0;
        status = alternate_status(ch);
        verdict = ata_judge(status, bm);
        pending = verdict == ATA_PENDING && !late;
        if (pending && disk->dev.idle)
            disk->dev.idle();
        else if (pending)
            clock_delay_us(POLL_US);
    } while (pending);
    if (verdict == ATA_DONE)
        return E_OK;
    enum err e = verdict == ATA_GONE ? E_GONE : verdict == ATA_FAILED ? E_IO : E_TIMEOUT;
    log_line("ata", "command dev=%s op=%d %s status=0x%02x error=0x%02x bm=0x%02x", disk->dev.name, (int)disk->op,
             err_name(e), status, in(ch, ATA_FEATURES), bm);
    return e;
}

static enum err recover(struct ata_disk *disk)
{
    enum err e = reset_channel(disk->channel);
    disk->ready = e == E_OK;
    if (e != E_OK)
        log_line("ata", "reset dev=%s failed: %s", disk->dev.name, err_name(e));
    return e;
}

static enum err ata_finish(struct block_dev *dev)
{
    struct ata_disk *disk = dev->driver;
    struct ata_channel *ch = disk->channel;
    if (ch->busy != disk)
        return E_OK;
    enum err e = wait_command(disk);
    if (e == E_IO && recover(disk) == E_OK) {
        e = start(disk);
        if (e == E_OK)
            e = wait_command(disk);
    }
    stop_bus_master(ch);
    (void)in(ch, ATA_STATUS); /* takes back the device's interrupt request */
    if (e == E_GONE)
        disk->ready = false;
    else if (e != E_OK)
        (void)recover(disk); /* says itself when the disk stays lost: ready is false then */
    ch->busy = NULL;
    return e;
}

static enum err ata_begin(struct block_dev *dev, enum block_op op, uint64_t lba, uint32_t count, void *buf)
{
    struct ata_disk *disk = dev->driver;
    if (disk->channel->busy)
        return E_BUSY;
    if (!disk->ready)
        return E_GONE;
    if (op != BLOCK_FLUSH && count > dev->max_sectors)
        return E_BOUNDS;
    enum err e = ata_build_command(&disk->id, op, lba, count, &disk->registers);
    if (e != E_OK)
        return e;
    if (disk->registers.bytes) {
        uint32_t bytes = disk->registers.bytes;
        hpa_t data = virt_to_phys(buf);
        if (virt_to_phys((uint8_t *)buf + bytes - 1).v != data.v + bytes - 1)
            return E_BOUNDS;
        e = ata_build_prds(disk->table, data, bytes);
        if (e != E_OK)
            return e;
    }
    disk->op = op;
    e = start(disk);
    if (e == E_TIMEOUT && recover(disk) == E_OK) /* it was busy with something of others: once more */
        e = start(disk);
    if (e == E_OK)
        disk->channel->busy = disk;
    return e;
}

/* ---- opening and closing a disk -------------------------------------------------------------------------------- */

static enum err read_identify_words(const struct ata_channel *ch, uint16_t *words)
{
    uint64_t end = deadline_in_us(IDENTIFY_TIMEOUT_US);
    bool late, ready = false;
    do {
        late = deadline_passed(end);
        uint8_t status = alternate_status(ch);
        if (status == 0) /* no device behind the registers */
            return E_NODISK;
        if (!(status & ATA_STATUS_BSY)) {
            if (status & (ATA_STATUS_ERR | ATA_STATUS_DF)) {
                uint32_t signature = (uint32_t)in(ch, ATA_LBA_MID) | (uint32_t)in(ch, ATA_LBA_HIGH) << 8;
                return signature == ATA_SIGNATURE_ATAPI ? E_NODISK : E_IO;
            }
            ready = status & ATA_STATUS_DRQ;
        }
        if (!ready && !late)
            clock_delay_us(POLL_US);
    } while (!ready && !late);
    if (!ready)
        return E_TIMEOUT;
    for (unsigned i = 0; i < ATA_IDENTIFY_WORDS; i++)
        words[i] = io_in16((uint16_t)(ch->base + ATA_DATA));
    (void)in(ch, ATA_STATUS);
    return wait_idle(ch, ATA_STATUS_BSY | ATA_STATUS_DRQ, SELECT_TIMEOUT_US);
}

/* By PIO: IDENTIFY DEVICE has no DMA form that all disks know. */
static enum err bring_up(struct ata_disk *disk, struct ata_identity *id)
{
    const struct ata_channel *ch = disk->channel;
    if (ata_floating(alternate_status(ch)))
        return E_NODISK;
    io_out8(ch->control, ATA_CONTROL_NIEN);
    enum err e = select_unit(ch, disk->unit, 0);
    if (e == E_TIMEOUT) {
        e = reset_channel(ch);
        if (e == E_OK)
            e = select_unit(ch, disk->unit, 0);
    }
    if (e != E_OK)
        return e;
    if (ata_judge(alternate_status(ch), 0) == ATA_GONE)
        return E_NODISK;

    struct ata_registers r;
    ata_build_identify(&r);
    write_registers(ch, &r);
    uint16_t *words = (uint16_t *)disk->table; /* the page is free between commands */
    e = read_identify_words(ch, words);
    const char *why;
    if (e == E_OK) {
        e = ata_parse_identify(words, id, &why);
        if (e != E_OK)
            log_line("ata", "identify dev=%s refused: %s", disk->dev.name, why);
    }
    disk->ready = e == E_OK;
    return e;
}

enum err ata_open_disk(struct ata_controller *c, unsigned position, void *page, struct ata_disk *disk)
{
    memset(disk, 0, sizeof *disk);
    if (position >= IDE_CHANNELS * IDE_UNITS)
        return E_NODISK;
    struct ata_channel *ch = &c->channel[position / IDE_UNITS];
    if (ch->base == 0)
        return E_NODISK;
    if (ch->busy)
        return E_BUSY;
    disk->channel = ch;
    disk->unit = position % IDE_UNITS;
    disk->table = page;
    disk->dev.driver = disk;
    disk->dev.begin = ata_begin;
    disk->dev.finish = ata_finish;
    str_format(disk->dev.name, sizeof disk->dev.name, "ata%04x.%u", c->bdf, position);
    if (virt_to_phys(page).v > UINT32_MAX - PAGE_BYTES)
        return E_BOUNDS;

    enum err e = bring_up(disk, &disk->id);
    if (e != E_OK) {
        if (e != E_NODISK)
            log_line("ata", "open dev=%s failed: %s", disk->dev.name, err_name(e));
        return e;
    }
    disk->dev.sectors = disk->id.sectors;
    disk->dev.align_sectors = disk->id.block_sectors;
    disk->dev.max_sectors = ata_max_sectors(&disk->id, ATA_MAX_SECTORS);
    log_line("ata", "disk dev=%s model=\"%s\" sectors=%llu block=%u lba48=%d", disk->dev.name, disk->id.model,
             (unsigned long long)disk->id.sectors, (unsigned)disk->id.block_sectors * ATA_SECTOR_BYTES, disk->id.lba48);
    return E_OK;
}

void ata_close_disk(struct ata_disk *disk)
{
    (void)ata_finish(&disk->dev);
    disk->ready = false;
}

bool ata_disk_intact(const struct ata_disk *disk)
{
    const struct ata_channel *ch = disk->channel;
    uint8_t bm = io_in8((uint16_t)(ch->bus_master + BM_STATUS));
    return disk->ready && !ch->busy && ata_judge(alternate_status(ch), bm) == ATA_DONE &&
           io_in32((uint16_t)(ch->bus_master + BM_TABLE)) == (uint32_t)virt_to_phys(disk->table).v;
}

enum err ata_reopen_disk(struct ata_disk *disk)
{
    struct ata_identity now;
    disk->channel->busy = NULL;
    enum err e = reset_channel(disk->channel);
    if (e == E_OK)
        e = bring_up(disk, &now);
    if (e == E_NODISK || (e == E_OK && !ata_same_disk(&now, &disk->id)))
        e = E_GONE;
    disk->ready = e == E_OK;
    if (e != E_OK)
        log_line("ata", "reopen dev=%s failed: %s", disk->dev.name, err_name(e));
    return e;
}
