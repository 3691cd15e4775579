/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The AHCI driver: polled, one command at a time in slot 0, no interrupts. A controller or port that turns out
   not to be ours is given back as the firmware left it, since the guest may be one that boots through the firmware. */
#ifndef SOJOURN_DRIVERS_AHCI_H
#define SOJOURN_DRIVERS_AHCI_H

#include "block.h"
#include "drivers/ahci_core.h"

struct ahci_hba {
    uint16_t bdf, pci_command_before;
    bool dma64;
    hpa_t abar;
    uint32_t ports; /* PxI bits of the ports that exist */
    uint32_t ghc_before;
};

/* Take the controller: decoding and bus master on, firmware handoff, AHCI mode, interrupts off, disks spun up.
   E_NODISK: no usable register space. E_GONE: it does not answer. */
enum err ahci_open(uint16_t bdf, struct ahci_hba *hba) MUST_USE;
/* Where the registers of its last port end, in bytes. */
uint32_t ahci_register_bytes(hpa_t abar);
/* Give it back. All its disks must be closed. */
void ahci_close(const struct ahci_hba *hba);

struct ahci_disk {
    struct block_dev dev;
    struct ata_identity id;
    hpa_t abar, port; /* register blocks */
    struct ahci_port_memory *memory;
    bool dma64, ready, in_flight;
    enum block_op op; /* in flight */
    uint32_t bytes_wanted;
    uint64_t deadline_us;
    struct {
        uint32_t clb, clbu, fb, fbu, ie, cmd, sctl;
    } before;
};

/* Start a port and identify its disk. page: 4 KiB, zeroed, the disk's until it is closed. E_NODISK: nothing there, or
   no ATA disk, and the port is given back; any other error: something is there that does not work, given back as well.
 */
enum err ahci_open_disk(const struct ahci_hba *hba, unsigned port, void *page, struct ahci_disk *disk) MUST_USE;
void ahci_close_disk(struct ahci_disk *disk);

/* Is the port still as we set it up and idle? False after the guest, or a reset, had it. */
bool ahci_disk_intact(const struct ahci_disk *disk);
/* Set the port up again and make sure that it is the same disk; E_GONE if it is another one. */
enum err ahci_reopen_disk(const struct ahci_hba *hba, struct ahci_disk *disk) MUST_USE;

/* Stop a port, whoever started it: no DMA from it afterwards, neither commands nor received FISes. E_TIMEOUT: the HBA
   does not let go; only a reset of it (ahci_reset) helps then. */
enum err ahci_stop_port(hpa_t abar, unsigned port) MUST_USE;
/* HBA reset (AHCI 10.4.3 "HBA Reset"): all ports lose their state. Leaves AHCI mode on, interrupts off. */
enum err ahci_reset(hpa_t abar) MUST_USE;

#endif
