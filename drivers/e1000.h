/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary of the 8254x family and the 82574: the registers that a checkpoint has to do with. PCI/PCI-X Family of Gigabit Ethernet
   Controllers Software Developer's Manual 13.4 "Main Register Descriptions", 82574 datasheet 10.2 "Configuration and
   Status Registers - CSR Space". */
#ifndef SOJOURN_DRIVERS_E1000_H
#define SOJOURN_DRIVERS_E1000_H

#include "bits.h"
#include "drivers/pci_class.h"

#define E1000_82540EM 0x100Eu
#define E1000_82545EM 0x100Fu
#define E1000_82574L 0x10D3u

#define E1000_CTRL 0x0000u
#define E1000_ICS 0x00C8u
#define E1000_IMS 0x00D0u
#define E1000_IMC 0x00D8u
#define E1000_RCTL 0x0100u
#define E1000_TCTL 0x0400u
#define CTRL_RST BIT32(26)
#define CTRL_PHY_RST BIT32(31)
#define TCTL_EN BIT32(1)
#define RCTL_EN BIT32(1)
#define RCTL_DTYP_MASK (3u << 10)
#define RCTL_DTYP_SPLIT (1u << 10) /* packet split: descriptors of four addresses */
#define RCTL_BSIZE_SHIFT 16
#define RCTL_BSIZE_MASK 3u
#define RCTL_BSEX BIT32(25) /* sizes times 16, and 2048 is reserved */
#define RCTL_FLXBUF_SHIFT 27
#define RCTL_FLXBUF_MASK 0xFu /* KiB; 0: by BSIZE */
#define E1000_BUFFER_MAX 16384u

/* A ring's registers, of the card's ring n. */
#define E1000_RX_RING(n) (0x2800u + 0x100u * (n))
#define E1000_TX_RING(n) (0x3800u + 0x100u * (n))
#define E1000_BAL 0x00u
#define E1000_BAH 0x04u
#define E1000_LEN 0x08u
#define E1000_HEAD 0x10u
#define E1000_TAIL 0x18u
#define E1000_BAL_MASK 0xFFFFFFF0u /* the rest is ignored, whatever was written */
#define E1000_LEN_MASK 0xFFF80u    /* bytes, in units of 128 */
/* Where the 82542 had its rings. */
#define E1000_OLD_RX_FIRST 0x0110u
#define E1000_OLD_RX_END 0x0160u
#define E1000_OLD_TX_FIRST 0x0420u
#define E1000_OLD_TX_END 0x0440u

#endif
