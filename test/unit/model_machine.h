/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A register-level model of a small machine for the storage drivers' tests: PCI configuration space, two AHCI HBAs of
   four ports, one IDE controller, and disks that can be told to misbehave. Linked instead of drivers/io.c. What a
   driver does against the specification is counted in machine.violations and named on stderr. */
#ifndef SOJOURN_TEST_MODEL_MACHINE_H
#define SOJOURN_TEST_MODEL_MACHINE_H

#include "types.h"

#define MODEL_HBAS 2
#define MODEL_PORTS 4
#define MODEL_PCI 8

struct model_disk {
    bool present, atapi, lba48, identify_fails;
    uint32_t block_bytes; /* 512 or 4096 */
    uint64_t blocks;      /* logical; memory behind the first image_blocks of them */
    uint64_t image_blocks;
    uint8_t *image;
    char serial[20];
    /* misbehaviour, counted down per command (IDENTIFY excepted) */
    int fail_next, fault_next, hang_next, short_next, flush_fail_next, vanish_next;
    /* what was seen last */
    uint8_t last_command;
    uint64_t last_lba;
    uint32_t last_count;
    unsigned commands, writes, flushes;
};

struct model_port {
    uint32_t clb, clbu, fb, fbu, is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
    bool stuck_cr;   /* CR stays until COMRESET */
    bool stuck_hard; /* CR stays until HBA reset */
    bool stuck_busy; /* BSY until COMRESET */
    bool no_link;    /* COMRESET does not bring the link up */
    unsigned comresets;
    uint64_t link_at_us; /* spinning up: the link comes then; 0: not */
    int polls_left;      /* until the running command ends */
    bool running;
    struct model_disk disk;
};

struct model_hba {
    uint64_t abar;
    uint32_t cap, ghc, pi, vs, cap2, bohc;
    bool dead, firmware_clings, staggered;
    unsigned resets;
    struct model_port port[MODEL_PORTS];
};

struct model_channel {
    uint8_t count[2], lba[3][2], device, status, error, control;
    uint8_t bm_command, bm_status;
    uint32_t bm_table;
    int polls_left;
    bool pending, stuck_busy; /* stuck_busy: BSY until SRST; with dead until the end of days */
    bool dead, bm_error_next;
    unsigned resets;
    uint16_t pio[256];
    unsigned pio_at;
    struct model_disk disk[2];
};

struct model_machine {
    uint32_t cf8;
    struct {
        uint16_t bdf;
        uint8_t config[256];
    } pci[MODEL_PCI];
    unsigned pci_count;
    struct model_hba hba[MODEL_HBAS];
    struct model_channel ide[2];
    uint16_t ide_base[2], ide_control[2], bm_base;
    int latency; /* polls a command takes */
    unsigned violations;
};

extern struct model_machine machine;

/* An empty machine with a host bridge. */
void machine_reset(void);
uint8_t *machine_pci_add(uint16_t bdf, uint16_t vendor, uint16_t device, uint32_t class_code, uint8_t header_type);
void machine_add_hba(unsigned index, uint16_t bdf, bool dma64);
void machine_add_ide(uint16_t bdf, bool native);
/* sectors of 512; memory for all of it when it is small. */
void disk_make(struct model_disk *d, uint64_t sectors, bool lba48);
void port_plug(struct model_port *p);

/* Memory below 4 GiB, as the hidden pool is. */
void *low_alloc(size_t bytes);

#endif
