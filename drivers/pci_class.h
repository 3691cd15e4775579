/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vocabulary. Class codes and vendors that decide something here: PCI Code and ID Assignment Specification 1. */
#ifndef SOJOURN_DRIVERS_PCI_CLASS_H
#define SOJOURN_DRIVERS_PCI_CLASS_H

#define PCI_VENDOR_INTEL 0x8086u

#define PCI_BASE_CLASS_STORAGE 0x01u
#define PCI_BASE_CLASS_BRIDGE 0x06u
#define PCI_CLASS_IDE 0x0101u /* base class and subclass; the low byte is the programming interface */
#define PCI_CLASS_SATA_AHCI 0x010601u

#endif
