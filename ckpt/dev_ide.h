/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure: the guest's legacy and native IDE channels with no command in flight. dev_ide_hw.c is the shell. nIEN cannot be
   read; it is normalised to 0 (interrupts on), which is where every driver leaves an idle channel. Transfer modes set
   with SET FEATURES are in the drive: after a power cut they are the firmware's. */
#ifndef SOJOURN_CKPT_DEV_IDE_H
#define SOJOURN_CKPT_DEV_IDE_H

#include "ckpt/dev_common.h"
#include "drivers/ata_core.h"

#define DEV_IDE_VERSION 1
#define DEV_IDE_CONTROLLERS 2u

struct dev_ide_channel {
    uint16_t command_base, control_port, bus_master; /* ports; bus_master 0: none */
    uint8_t present;                                 /* something answers */
    uint8_t device;                                  /* device register: which drive, LBA bit */
    uint8_t status;                                  /* alternate status: neither BSY nor DRQ */
    uint8_t bm_command, bm_status;
    uint8_t zero;
    uint32_t prd_table;
};

struct dev_ide_state {
    struct dev_head head;
    uint32_t controllers, zero;
    uint16_t bdf[DEV_IDE_CONTROLLERS], zero2[2];
    struct dev_ide_channel channel[DEV_IDE_CONTROLLERS][IDE_CHANNELS];
};

_Static_assert(sizeof(struct dev_ide_channel) == 16, "saved layout");
_Static_assert(sizeof(struct dev_ide_state) == 24 + 4 * 16, "saved layout");

enum err dev_ide_check(const struct dev_ide_state *s, const uint16_t *machine_bdf, size_t machine_count, char *why,
                       size_t why_len) MUST_USE;
bool dev_ide_busy(const struct dev_ide_channel *c);
/* The channel that the cut has to wait for, or NULL. An interrupt the guest has not seen cannot be made again by a restore, so it
   gets some time to see it; but without a driver nobody ever clears the bit, so *tries counts the looks at it. */
const struct dev_ide_channel *dev_ide_not_idle(const struct dev_ide_state *s, unsigned *tries);
void dev_ide_show(const struct dev_ide_state *s, char *text, size_t len);

bool ide_state_present(void);
size_t ide_state_list(uint16_t bdf[DEV_IDE_CONTROLLERS]);
enum err ide_state_capture(struct dev_ide_state *s) MUST_USE; /* E_BUSY: a command is in flight; the log says where */
enum err ide_state_quiesce(void) MUST_USE;
enum err ide_state_restore(const struct dev_ide_state *s) MUST_USE;

#endif
