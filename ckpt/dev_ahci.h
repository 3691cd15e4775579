/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure: the guest's AHCI controllers (the host's is hidden or kept, and not among them) with no command in flight.
   dev_ahci_hw.c is the shell. Drives behind them keep their media; settings a drive forgets at power-off (write cache,
   power management) are the firmware's again after a cold restore. */
#ifndef SOJOURN_CKPT_DEV_AHCI_H
#define SOJOURN_CKPT_DEV_AHCI_H

#include "ckpt/dev_common.h"
#include "drivers/ahci_core.h"

#define DEV_AHCI_VERSION 1
#define DEV_AHCI_CONTROLLERS 4u
/* What of PxCMD the guest's driver sets: start, spin-up, power, receive, ATAPI, LED and link power bits. */
#define DEV_AHCI_CMD_KEPT (PXCMD_ST | PXCMD_SUD | PXCMD_POD | PXCMD_FRE | BIT32(24) | BIT32(25) | BIT32(26) | BIT32(27))

struct dev_ahci_port {
    uint32_t clb, clbu, fb, fbu, ie, cmd, sctl;
    uint32_t in_flight; /* PxCI | PxSACT at the capture: must be 0 */
};

struct dev_ahci_controller {
    uint64_t abar;
    uint32_t ghc, ports; /* ports: PI */
    uint16_t bdf, zero[3];
    struct dev_ahci_port port[AHCI_PORTS_MAX];
};

struct dev_ahci_state {
    struct dev_head head;
    uint32_t controllers, zero;
    struct dev_ahci_controller controller[DEV_AHCI_CONTROLLERS];
};

_Static_assert(sizeof(struct dev_ahci_controller) == 24 + 32 * 32, "saved layout");
_Static_assert(sizeof(struct dev_ahci_state) == 16 + 4 * 1048, "saved layout");

enum err dev_ahci_check(const struct dev_ahci_state *s, const uint16_t *machine_bdf, size_t machine_count, char *why,
                        size_t why_len) MUST_USE;
void dev_ahci_show(const struct dev_ahci_state *s, char *text, size_t len);

bool ahci_state_present(void);
size_t ahci_state_list(uint16_t bdf[DEV_AHCI_CONTROLLERS]);
enum err ahci_state_capture(struct dev_ahci_state *s) MUST_USE; /* E_BUSY: a command is in flight; the log says where */
enum err ahci_state_quiesce(void) MUST_USE;
enum err ahci_state_restore(const struct dev_ahci_state *s) MUST_USE;

#endif
