/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Registers of the guest's IDE channels for ckpt/dev_ide. Status is read from the alternate status register,
   which does not acknowledge the guest's interrupt. */
#include "ckpt/dev_ide.h"
#include "ckpt/dev_pci.h"
#include "drivers/pci.h"
#include "io.h"
#include "log.h"

#define PCI_CLASS_IDE_ANY_INTERFACE ((uint32_t)PCI_CLASS_IDE << 8)
#define PCI_CLASS_NO_INTERFACE 0xFFFF00u
#define CONTROL_IN_BAR 2u /* PCI IDE Controller Specification 1.0: the control port is byte 2 of its block */

static const struct {
    uint16_t command, control;
} legacy[IDE_CHANNELS] = {{0x1F0, 0x3F6}, {0x170, 0x376}};

size_t ide_state_list(uint16_t bdf[DEV_IDE_CONTROLLERS])
{
    return pci_state_find(PCI_CLASS_IDE_ANY_INTERFACE, PCI_CLASS_NO_INTERFACE, bdf, DEV_IDE_CONTROLLERS);
}

bool ide_state_present(void)
{
    uint16_t bdf[DEV_IDE_CONTROLLERS];
    return ide_state_list(bdf) > 0;
}

static void locate(uint16_t bdf, uint32_t k, struct dev_ide_channel *c)
{
    uint8_t interface = (uint8_t)pci_read(bdf, PCI_REVISION_ID + 1, 1);
    c->command_base = legacy[k].command;
    c->control_port = legacy[k].control;
    c->bus_master = 0;
    if (interface & IDE_NATIVE(k)) {
        c->command_base = (uint16_t)pci_read_bar(bdf, 2 * k).base;
        c->control_port = (uint16_t)(pci_read_bar(bdf, 2 * k + 1).base + CONTROL_IN_BAR);
    }
    struct pci_bar bm = pci_read_bar(bdf, IDE_BUS_MASTER_BAR);
    if (interface & IDE_BUS_MASTER && bm.io && bm.base)
        c->bus_master = (uint16_t)(bm.base + k * BM_CHANNEL_STRIDE);
}

static void read_channel(struct dev_ide_channel *c)
{
    c->status = io_in8(c->control_port);
    c->present = c->command_base && !ata_floating(c->status);
    if (!c->present) {
        c->status = 0;
        return;
    }
    c->device = io_in8((uint16_t)(c->command_base + ATA_DEVICE));
    if (c->bus_master) {
        c->bm_command = io_in8((uint16_t)(c->bus_master + BM_COMMAND));
        c->bm_status = io_in8((uint16_t)(c->bus_master + BM_STATUS));
        c->prd_table = io_in32((uint16_t)(c->bus_master + BM_TABLE)) & ~3u;
    }
}

enum err ide_state_capture(struct dev_ide_state *s)
{
    s->head = DEV_HEAD(DEV_IDE_VERSION, struct dev_ide_state);
    s->controllers = (uint32_t)ide_state_list(s->bdf);
    for (uint32_t i = 0; i < s->controllers; i++)
        for (uint32_t k = 0; k < IDE_CHANNELS; k++) {
            struct dev_ide_channel *c = &s->channel[i][k];
            locate(s->bdf[i], k, c);
            read_channel(c);
        }
    static unsigned tries;
    const struct dev_ide_channel *busy = dev_ide_not_idle(s, &tries);
    if (!busy)
        return E_OK;
    log_line("ide", "not idle: command=%04x status=%02x bm=%02x", busy->command_base, busy->status, busy->bm_status);
    return E_BUSY;
}

enum err ide_state_quiesce(void)
{
    uint16_t bdf[DEV_IDE_CONTROLLERS];
    size_t count = ide_state_list(bdf);
    for (size_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < IDE_CHANNELS; k++) {
            struct dev_ide_channel c = {0};
            locate(bdf[i], k, &c);
            read_channel(&c);
            if (!c.present)
                continue;
            io_out8(c.control_port, ATA_CONTROL_NIEN);
            if (c.bus_master)
                io_out8((uint16_t)(c.bus_master + BM_COMMAND), (uint8_t)(c.bm_command & ~BM_COMMAND_START));
        }
    return E_OK;
}

enum err ide_state_restore(const struct dev_ide_state *s)
{
    for (uint32_t i = 0; i < s->controllers; i++)
        for (uint32_t k = 0; k < IDE_CHANNELS; k++) {
            const struct dev_ide_channel *c = &s->channel[i][k];
            if (!c->present)
                continue;
            io_out8((uint16_t)(c->command_base + ATA_DEVICE), c->device);
            if (c->bus_master) {
                io_out32((uint16_t)(c->bus_master + BM_TABLE), c->prd_table);
                io_out8((uint16_t)(c->bus_master + BM_COMMAND), c->bm_command & BM_COMMAND_TO_MEMORY);
                io_out8((uint16_t)(c->bus_master + BM_STATUS),
                        (c->bm_status & BM_STATUS_CAPABLE) | BM_STATUS_ERROR | BM_STATUS_INTERRUPT);
            }
            io_out8(c->control_port, 0);
        }
    return E_OK;
}
