/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. PCI configuration space through configuration mechanism 1 (PCI Local Bus 3.0 section 3.2.2.3.2 "Software
   Generation of Configuration Transactions"): registers below 256, every bus of segment 0. CONFIG_ADDRESS is read
   before and put back after each access, because the guest may stand between its own write of CF8 and its access of
   CFC. */
#ifndef SOJOURN_DRIVERS_PCI_H
#define SOJOURN_DRIVERS_PCI_H

#include "drivers/pci_class.h"
#include "err.h"
#include "types.h"

#define PCI_PORT_CONFIG_ADDRESS 0xCF8
#define PCI_PORT_CONFIG_DATA 0xCFC

/* Registers of the type 0 header (section 6.1 "Configuration Space Organization"). */
#define PCI_VENDOR_ID 0x00
#define PCI_DEVICE_ID 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_REVISION_ID 0x08
#define PCI_HEADER_TYPE 0x0E
#define PCI_BAR0 0x10
#define PCI_BAR_COUNT 6
#define PCI_CAPABILITIES 0x34

#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_BUS_MASTER 0x0004u
#define PCI_COMMAND_INTX_DISABLE 0x0400u
#define PCI_STATUS_CAPABILITIES 0x0010u
#define PCI_CAPABILITY_MASK 0xFCu /* of a pointer in the list */

#define PCI_VENDOR_NONE 0xFFFFu
#define PCI_HEADER_TYPE_MULTI_FUNCTION 0x80u
#define PCI_HEADER_TYPE_LAYOUT 0x7Fu /* 0: device, 1: PCI-to-PCI bridge, 2: CardBus bridge */

#define PCI_BDF(bus, device, function) ((uint16_t)((bus) << 8 | (device) << 3 | (function)))
#define PCI_BUS(bdf) ((unsigned)(bdf) >> 8)
#define PCI_DEVICE(bdf) (((unsigned)(bdf) >> 3) & 0x1Fu)
#define PCI_FUNCTION(bdf) ((unsigned)(bdf)&7u)

/* bdf = bus << 8 | device << 3 | function. bytes: 1, 2 or 4; reg naturally aligned and < 256. A read that breaks this
   gives all ones, a write is dropped: what the bus itself does with an access nobody claims. */
uint32_t pci_read(uint16_t bdf, uint16_t reg, unsigned bytes);
void pci_write(uint16_t bdf, uint16_t reg, unsigned bytes, uint32_t value);
/* All 256 bytes, little endian. The guest is stopped while this is asked of every function, so it takes no detours. */
void pci_read_all(uint16_t bdf, uint8_t *out);

struct pci_function {
    uint16_t bdf, vendor, device;
    uint32_t class_code; /* 24 bits: class, subclass, programming interface */
    uint8_t header_type; /* with PCI_HEADER_TYPE_MULTI_FUNCTION */
};

/* All functions of all 256 buses in bdf order: bridges need not be understood, and further root buses are found too.
   Returns how many there are; only the first max are stored. */
size_t pci_scan(struct pci_function *out, size_t max);

struct pci_bar {
    bool io;       /* ports; else memory */
    bool wide;     /* 64-bit memory: takes the next slot as well */
    uint64_t base; /* 0: not assigned */
};

/* As assigned by the firmware; nothing is written, so that a live device is not disturbed by sizing. */
struct pci_bar pci_read_bar(uint16_t bdf, unsigned index);
/* Does the function have memory on this page? Its address is a multiple of PAGE_BYTES and not 0. What begins on an earlier page
   is larger than a page and ends on a page of its own, as its size is a power of two and its address a multiple of that. */
bool pci_memory_begins_on(uint16_t bdf, uint64_t page);

/* Set bits of the command register (PCI_COMMAND_*) and return what it held before. */
uint16_t pci_enable(uint16_t bdf, uint16_t command_bits);

#endif
