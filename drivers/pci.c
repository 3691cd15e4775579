/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Configuration mechanism 1; see pci.h. Decides nothing about devices. */
#include "drivers/pci.h"

#include "bits.h"
#include "io.h"

#define CONFIG_ENABLE BIT32(31)
#define CONFIG_SPACE_BYTES 256u
#define BUS_COUNT 256u
#define DEVICES_PER_BUS 32u
#define FUNCTIONS_PER_DEVICE 8u
#define CLASS_SHIFT 8 /* class code: the upper three bytes of the dword at PCI_REVISION_ID */

#define BAR_IO 0x1u
#define BAR_IO_BASE 0xFFFFFFFCu
#define BAR_MEMORY_TYPE 0x6u
#define BAR_MEMORY_TYPE_64 0x4u
#define BAR_MEMORY_BASE 0xFFFFFFF0u

static bool access_ok(uint16_t reg, unsigned bytes)
{
    return (bytes == 1 || bytes == 2 || bytes == 4) && reg < CONFIG_SPACE_BYTES && reg % bytes == 0;
}

static uint32_t config_address(uint16_t bdf, uint16_t reg)
{
    return CONFIG_ENABLE | (uint32_t)bdf << 8 | (reg & 0xFCu);
}

uint32_t pci_read(uint16_t bdf, uint16_t reg, unsigned bytes)
{
    if (!access_ok(reg, bytes))
        return UINT32_MAX;
    uint16_t data = (uint16_t)(PCI_PORT_CONFIG_DATA + (reg & 3u));
    uint32_t saved = io_in32(PCI_PORT_CONFIG_ADDRESS), value;
    io_out32(PCI_PORT_CONFIG_ADDRESS, config_address(bdf, reg));
    if (bytes == 1)
        value = io_in8(data);
    else if (bytes == 2)
        value = io_in16(data);
    else
        value = io_in32(data);
    io_out32(PCI_PORT_CONFIG_ADDRESS, saved);
    return value;
}

void pci_read_all(uint16_t bdf, uint8_t *out)
{
    uint32_t saved = io_in32(PCI_PORT_CONFIG_ADDRESS), address = config_address(bdf, 0);
    for (uint32_t reg = 0; reg < CONFIG_SPACE_BYTES; reg += 4) {
        io_out32(PCI_PORT_CONFIG_ADDRESS, address | reg);
        store32(out + reg, io_in32(PCI_PORT_CONFIG_DATA));
    }
    io_out32(PCI_PORT_CONFIG_ADDRESS, saved);
}

void pci_write(uint16_t bdf, uint16_t reg, unsigned bytes, uint32_t value)
{
    if (!access_ok(reg, bytes))
        return;
    uint16_t data = (uint16_t)(PCI_PORT_CONFIG_DATA + (reg & 3u));
    uint32_t saved = io_in32(PCI_PORT_CONFIG_ADDRESS);
    io_out32(PCI_PORT_CONFIG_ADDRESS, config_address(bdf, reg));
    if (bytes == 1)
        io_out8(data, (uint8_t)value);
    else if (bytes == 2)
        io_out16(data, (uint16_t)value);
    else
        io_out32(data, value);
    io_out32(PCI_PORT_CONFIG_ADDRESS, saved);
}

static bool read_function(uint16_t bdf, struct pci_function *f)
{
    uint32_t id = pci_read(bdf, PCI_VENDOR_ID, 4);
    f->bdf = bdf;
    f->vendor = (uint16_t)id;
    f->device = (uint16_t)(id >> 16);
    /* 0000 is what some bridges answer for a device that is still being reset. */
    if (f->vendor == PCI_VENDOR_NONE || f->vendor == 0)
        return false;
    f->class_code = pci_read(bdf, PCI_REVISION_ID, 4) >> CLASS_SHIFT;
    f->header_type = (uint8_t)pci_read(bdf, PCI_HEADER_TYPE, 1);
    return true;
}

size_t pci_scan(struct pci_function *out, size_t max)
{
    size_t found = 0;
    for (unsigned slot = 0; slot < BUS_COUNT * DEVICES_PER_BUS; slot++) {
        unsigned functions = 1;
        for (unsigned function = 0; function < functions; function++) {
            struct pci_function f;
            if (!read_function((uint16_t)(slot << 3 | function), &f)) {
                if (function == 0)
                    break;
                continue;
            }
            if (function == 0 && (f.header_type & PCI_HEADER_TYPE_MULTI_FUNCTION))
                functions = FUNCTIONS_PER_DEVICE;
            if (found < max)
                out[found] = f;
            found++;
        }
    }
    return found;
}

struct pci_bar pci_read_bar(uint16_t bdf, unsigned index)
{
    struct pci_bar bar = {0};
    if (index >= PCI_BAR_COUNT)
        return bar;
    uint16_t reg = (uint16_t)(PCI_BAR0 + 4 * index);
    uint32_t low = pci_read(bdf, reg, 4);
    if (low == UINT32_MAX) /* no such function any more */
        return bar;
    if (low & BAR_IO) {
        bar.io = true;
        bar.base = low & BAR_IO_BASE;
        return bar;
    }
    bar.base = low & BAR_MEMORY_BASE;
    bar.wide = (low & BAR_MEMORY_TYPE) == BAR_MEMORY_TYPE_64 && index + 1 < PCI_BAR_COUNT;
    if (bar.wide)
        bar.base |= (uint64_t)pci_read(bdf, (uint16_t)(reg + 4), 4) << 32;
    return bar;
}

bool pci_memory_begins_on(uint16_t bdf, uint64_t page)
{
    static const uint8_t bars_by_layout[] = {PCI_BAR_COUNT, 2, 1};
    uint8_t layout = pci_read(bdf, PCI_HEADER_TYPE, 1) & PCI_HEADER_TYPE_LAYOUT;
    unsigned count = layout < ARRAY_LEN(bars_by_layout) ? bars_by_layout[layout] : 0;
    for (unsigned i = 0; i < count; i++) {
        struct pci_bar bar = pci_read_bar(bdf, i);
        if (!bar.io && (bar.base ^ page) < PAGE_BYTES)
            return true;
        i += bar.wide;
    }
    return false;
}

uint16_t pci_enable(uint16_t bdf, uint16_t command_bits)
{
    uint16_t before = (uint16_t)pci_read(bdf, PCI_COMMAND, 2);
    if ((before & command_bits) != command_bits)
        pci_write(bdf, PCI_COMMAND, 2, before | (uint32_t)command_bits);
    return before;
}
