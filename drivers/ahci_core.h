/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. AHCI 1.3.1 in names and structures: registers (section 3 "HBA Memory Registers"), command list, received FIS
   and command table (section 4.2 "HBA Memory Structures"), the Register FIS of Serial ATA 3 (10.5.5 "Register Host to
   Device FIS"), and what the status of a port means for a command. */
#ifndef SOJOURN_DRIVERS_AHCI_CORE_H
#define SOJOURN_DRIVERS_AHCI_CORE_H

#include "bits.h"
#include "drivers/ata_command.h"
#include "err.h"
#include "types.h"

#define AHCI_ABAR_INDEX 5
/* The same registers through a pair of ports, where it has one: AHCI 1.3.1 2.4 "Serial ATA Capability". */
#define AHCI_INDEX_DATA_BAR 4
#define AHCI_INDEX_DATA_PORTS 32u
#define AHCI_PORTS_MAX 32u

/* Generic host control. */
#define AHCI_CAP 0x00
#define AHCI_GHC 0x04
#define AHCI_PI 0x0C
#define AHCI_VS 0x10
#define AHCI_CAP2 0x24
#define AHCI_BOHC 0x28

#define CAP_SSS BIT32(27)
#define CAP_S64A BIT32(31)
#define GHC_HR BIT32(0)
#define GHC_IE BIT32(1)
#define GHC_AE BIT32(31)
#define VS_1_2 0x00010200u
#define CAP2_BOH BIT32(0)
#define BOHC_BOS BIT32(0)
#define BOHC_OOS BIT32(1)
#define BOHC_BB BIT32(4)

/* Port registers: AHCI_PORT(n) + PX... */
#define AHCI_PORT(n) (0x100u + 0x80u * (n))
#define PXCLB 0x00
#define PXCLBU 0x04
#define PXFB 0x08
#define PXFBU 0x0C
#define PXIS 0x10
#define PXIE 0x14
#define PXCMD 0x18
#define PXTFD 0x20
#define PXSIG 0x24
#define PXSSTS 0x28
#define PXSCTL 0x2C
#define PXSERR 0x30
#define PXSACT 0x34
#define PXCI 0x38

#define PXIS_PRCS BIT32(22) /* PhyRdy changed: mirrors PxSERR.DIAG.N */
#define PXIS_OFS BIT32(24)
#define PXIS_IFS BIT32(27)
#define PXIS_HBDS BIT32(28)
#define PXIS_HBFS BIT32(29)
#define PXIS_TFES BIT32(30)
#define PXIS_ERRORS (PXIS_OFS | PXIS_IFS | PXIS_HBDS | PXIS_HBFS | PXIS_TFES)
#define PXCMD_ST BIT32(0)
#define PXCMD_SUD BIT32(1)
#define PXCMD_POD BIT32(2)
#define PXCMD_FRE BIT32(4)
#define PXCMD_FR BIT32(14)
#define PXCMD_CR BIT32(15)
#define PXCMD_CPD BIT32(20)
#define PXCMD_ICC_MASK (0xFu << 28)
#define PXCMD_ICC_ACTIVE (1u << 28)
#define PXSSTS_DET_MASK 0xFu
#define PXSSTS_DET_NONE 0u
#define PXSSTS_DET_PRESENT 1u /* a device, but no link yet */
#define PXSSTS_DET_READY 3u
#define PXSCTL_DET_MASK 0xFu
#define PXSCTL_DET_COMRESET 1u
#define PXSCTL_IPM_MASK (0xFu << 8)
#define PXSCTL_IPM_NONE (3u << 8) /* no Partial, no Slumber: the link stays up while we poll */
#define PXSIG_ATA 0x00000101u
#define AHCI_ALL_BITS 0xFFFFFFFFu /* write 1 to clear: PxIS, PxSERR. As a value read: the controller is gone */

/* Section 4.2.2 "Command List Structure". */
struct ahci_command_header {
    uint32_t flags; /* CFL, W, PRDTL */
    uint32_t prdbc; /* bytes transferred, written by the HBA */
    uint32_t ctba, ctbau;
    uint32_t reserved[4];
};
#define AHCI_HEADER_FIS_DWORDS 5u
#define AHCI_HEADER_WRITE BIT32(6)
#define AHCI_HEADER_PRDTL_SHIFT 16

/* Section 4.2.3.3 "Physical Region Descriptor Table". */
struct ahci_prd {
    uint32_t dba, dbau, reserved;
    uint32_t dbc; /* bytes - 1, bits 21:0 */
};
#define AHCI_PRD_MAX_BYTES (4u * 1024 * 1024)
#define AHCI_PRDS 2u /* a buffer is contiguous, so this is the most a command needs */
#define AHCI_MAX_SECTORS (AHCI_PRDS * AHCI_PRD_MAX_BYTES / ATA_SECTOR_BYTES)

struct ahci_command_table {
    uint8_t cfis[64];
    uint8_t acmd[16];
    uint8_t reserved[48];
    struct ahci_prd prd[AHCI_PRDS];
};

/* All of a port's memory in one page, which gives every part its alignment: list 1 KiB, FIS 256, table 128. */
struct ahci_port_memory {
    struct ahci_command_header list[32];
    uint8_t received_fis[256];
    struct ahci_command_table table;
    uint8_t zero[96];
    uint16_t identify[ATA_IDENTIFY_WORDS];
    uint8_t unused[2048];
};

_Static_assert(sizeof(struct ahci_command_header) == 32, "AHCI 4.2.2");
_Static_assert(sizeof(struct ahci_prd) == 16, "AHCI 4.2.3.3");
_Static_assert(offsetof(struct ahci_command_table, prd) == 0x80, "AHCI 4.2.3");
_Static_assert(offsetof(struct ahci_port_memory, received_fis) % 256 == 0, "PxFB alignment");
_Static_assert(offsetof(struct ahci_port_memory, table) % 128 == 0, "CTBA alignment");
_Static_assert(sizeof(struct ahci_port_memory) == PAGE_BYTES, "one page a port");

/* Slot 0 of the list and its table. E_BOUNDS: the data is not word-aligned, too long, or out of a 32-bit HBA's reach.
 */
enum err ahci_build_command(struct ahci_port_memory *m, hpa_t m_pa, const struct ata_registers *r, hpa_t data,
                            bool dma64) MUST_USE;

/* May an HBA with or without S64A reach these bytes? Written so that nothing wraps. */
bool ahci_reachable(hpa_t start, uint64_t bytes, bool dma64);

enum ahci_verdict { AHCI_PENDING, AHCI_DONE, AHCI_FAILED, AHCI_GONE };

/* The command in slot 0. The caller reads PxCI first: a command whose CI bit is clear has its errors latched. */
struct ahci_status {
    uint32_t ci, is, tfd, ssts;
    uint32_t bytes_wanted, bytes_done; /* of a read; wanted 0: not checked */
};
enum ahci_verdict ahci_judge(const struct ahci_status *s);

#endif
