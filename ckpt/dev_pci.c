/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_pci.h. PCI Local Bus 3.0 chapter 6 "Configuration Space" and 6.8 "Message Signaled Interrupts";
   PCI-to-PCI Bridge 1.2 chapter 3. */
#include "ckpt/dev_pci.h"

#include "str.h"

#include <string.h>

#define CFG_COMMAND 0x04u
#define CFG_STATUS 0x06u
#define CFG_CLASS 0x0Au /* subclass and base class */
#define CFG_HEADER_TYPE 0x0Eu
#define CFG_BAR0 0x10u
#define CFG_CAP_POINTER 0x34u
#define COMMAND_DECODE 0x0003u
#define COMMAND_MEMORY 0x0002u
#define COMMAND_BUS_MASTER 0x0004u
#define STATUS_CAPABILITIES 0x0010u
#define HEADER_LAYOUT 0x7Fu
#define HEADER_BRIDGE 1u
#define CAP_FIRST 0x40u
#define CAP_MAX 48 /* no more fit between 40h and FFh */
#define BAR_IO 1u
#define BAR_TYPE_64 4u
#define BAR_TYPE_MASK 6u
#define BAR_COUNT 6u
#define MSI_64 0x0080u
#define MSI_MASKABLE 0x0100u
#define MSI_ENABLE 0x0001u
#define MSIX_SIZE_MASK 0x07FFu
#define MSIX_BIR 7u
#define CLASS_IDE 0x0101u
#define CLASS_ISA_BRIDGE 0x0601u
#define VENDOR_INTEL 0x8086u

/* Registers to restore, by header layout. Addresses: they need decoding off. */
struct reg_range {
    uint8_t reg, bytes, count;
    bool address;
};

static const struct reg_range ranges_device[] = {
    {0x0C, 1, 2, false}, /* cache line size, latency timer */
    {0x10, 4, 6, true},  /* base address registers */
    {0x30, 4, 1, true},  /* expansion ROM */
    {0x3C, 1, 1, false}, /* interrupt line */
};
static const struct reg_range ranges_bridge[] = {
    {0x0C, 1, 2, false}, {0x10, 4, 2, true}, {0x18, 4, 1, true}, /* bus numbers, secondary latency */
    {0x1C, 2, 1, true},  {0x20, 4, 4, true},                     /* I/O, memory and prefetchable windows */
    {0x30, 4, 1, true},  {0x38, 4, 1, true}, {0x3C, 1, 1, false}, {0x3E, 2, 1, false},
};
/* Beyond the standard: what drivers are known to write. */
static const struct reg_range ranges_intel_isa[] = {{0x60, 1, 4, false}}; /* PIRQ routing: PIIX 60h, ICH9 60h */
static const struct reg_range ranges_intel_ide[] = {{0x40, 4, 3, false}}; /* PIIX timings, slave timing, UDMA */

void dev_pci_parse(struct dev_pci_function *f)
{
    f->cap_pm = f->cap_msi = f->cap_msix = f->cap_express = 0;
    if (!(load16(f->config + CFG_STATUS) & STATUS_CAPABILITIES))
        return;
    uint8_t at = f->config[CFG_CAP_POINTER] & 0xFCu;
    for (int i = 0; i < CAP_MAX && at >= CAP_FIRST; i++) {
        uint8_t *slot = NULL;
        switch (f->config[at]) {
        case PCI_CAP_PM:
            slot = &f->cap_pm;
            break;
        case PCI_CAP_MSI:
            slot = &f->cap_msi;
            break;
        case PCI_CAP_MSIX:
            slot = &f->cap_msix;
            break;
        case PCI_CAP_EXPRESS:
            slot = &f->cap_express;
            break;
        default:
            break;
        }
        /* The longest of these structures is 44 bytes; none may reach over the end. */
        if (slot && !*slot && at <= DEV_PCI_CONFIG_BYTES - 44)
            *slot = at;
        at = f->config[at + 1] & 0xFCu;
    }
}

uint64_t dev_pci_msix_table(const struct dev_pci_function *f, uint32_t *entries)
{
    *entries = 0;
    if (!f->cap_msix || !(load16(f->config + CFG_COMMAND) & COMMAND_MEMORY))
        return 0;
    uint16_t control = load16(f->config + f->cap_msix + PCI_MSIX_CONTROL);
    uint32_t table = load32(f->config + f->cap_msix + PCI_MSIX_TABLE), bir = table & MSIX_BIR;
    if (!(control & PCI_MSIX_ENABLE) || bir >= BAR_COUNT)
        return 0;
    uint32_t bar = load32(f->config + CFG_BAR0 + 4 * bir);
    uint64_t base = bar & ~0xFu;
    if (bar & BAR_IO || (bir == BAR_COUNT - 1 && (bar & BAR_TYPE_MASK) == BAR_TYPE_64))
        return 0;
    if ((bar & BAR_TYPE_MASK) == BAR_TYPE_64)
        base |= (uint64_t)load32(f->config + CFG_BAR0 + 4 * bir + 4) << 32;
    if (!base)
        return 0;
    *entries = (control & MSIX_SIZE_MASK) + 1u;
    return base + (table & ~MSIX_BIR);
}

static uint32_t value_at(const uint8_t *config, unsigned reg, unsigned bytes)
{
    return bytes == 1 ? config[reg] : bytes == 2 ? load16(config + reg) : load32(config + reg);
}

static size_t put(struct pci_config_write *out, size_t n, unsigned reg, unsigned bytes, uint32_t value)
{
    if (n == DEV_PCI_PLAN_MAX)
        return n;
    out[n] = (struct pci_config_write){(uint16_t)reg, (uint8_t)bytes, value};
    return n + 1;
}

static size_t put_ranges(const struct dev_pci_function *f, const uint8_t *now, const struct reg_range *r, size_t count,
                         bool address, struct pci_config_write *out, size_t n)
{
    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; r[i].address == address && k < r[i].count; k++) {
            unsigned reg = r[i].reg + k * r[i].bytes;
            uint32_t want = value_at(f->config, reg, r[i].bytes);
            if (want != value_at(now, reg, r[i].bytes))
                n = put(out, n, reg, r[i].bytes, want);
        }
    return n;
}

static size_t put_standard(const struct dev_pci_function *f, const uint8_t *now, bool address,
                           struct pci_config_write *out, size_t n)
{
    if ((f->id.header_type & HEADER_LAYOUT) == HEADER_BRIDGE)
        return put_ranges(f, now, ranges_bridge, ARRAY_LEN(ranges_bridge), address, out, n);
    if ((f->id.header_type & HEADER_LAYOUT) == 0)
        return put_ranges(f, now, ranges_device, ARRAY_LEN(ranges_device), address, out, n);
    return n;
}

size_t dev_pci_plan_addresses(const struct dev_pci_function *f, const uint8_t *now, struct pci_config_write *out)
{
    size_t n = 0;
    uint16_t command_now = load16(now + CFG_COMMAND);
    if (f->cap_pm && load16(now + f->cap_pm + PCI_PM_CSR) & PCI_PM_STATE)
        n = put(out, n, f->cap_pm + PCI_PM_CSR, 2, load16(now + f->cap_pm + PCI_PM_CSR) & ~PCI_PM_STATE);
    size_t before = n + 1;
    n = put(out, n, CFG_COMMAND, 2, command_now & ~(COMMAND_DECODE | COMMAND_BUS_MASTER));
    n = put_standard(f, now, true, out, n);
    if (n == before) /* no address differs: decoding may stay as it is */
        n--;
    n = put_standard(f, now, false, out, n);
    uint16_t class = load16(f->config + CFG_CLASS);
    if (f->id.vendor == VENDOR_INTEL && class == CLASS_ISA_BRIDGE)
        n = put_ranges(f, now, ranges_intel_isa, ARRAY_LEN(ranges_intel_isa), false, out, n);
    if (f->id.vendor == VENDOR_INTEL && class == CLASS_IDE)
        n = put_ranges(f, now, ranges_intel_ide, ARRAY_LEN(ranges_intel_ide), false, out, n);
    if (f->cap_express) { /* device control, link control */
        const struct reg_range control[] = {{(uint8_t)(f->cap_express + 0x08), 2, 1, false},
                                            {(uint8_t)(f->cap_express + 0x10), 2, 1, false}};
        n = put_ranges(f, now, control, ARRAY_LEN(control), false, out, n);
    }
    if (f->cap_msi) {
        uint16_t control = load16(f->config + f->cap_msi + 2);
        unsigned data = control & MSI_64 ? 0x0C : 0x08;
        const struct reg_range msi[] = {{(uint8_t)(f->cap_msi + 4), 4, control & MSI_64 ? 2 : 1, false},
                                        {(uint8_t)(f->cap_msi + data), 2, 1, false},
                                        {(uint8_t)(f->cap_msi + data + 4), 4, control & MSI_MASKABLE ? 1 : 0, false}};
        if (load16(now + f->cap_msi + 2) & MSI_ENABLE && control != load16(now + f->cap_msi + 2))
            n = put(out, n, f->cap_msi + 2u, 2, control & ~MSI_ENABLE);
        n = put_ranges(f, now, msi, ARRAY_LEN(msi), false, out, n);
    }
    if (f->msix_count) /* on, so that the table is alive, but silent until it is filled */
        n = put(out, n, f->cap_msix + PCI_MSIX_CONTROL, 2,
                load16(f->config + f->cap_msix + PCI_MSIX_CONTROL) | PCI_MSIX_FUNCTION_MASK);
    return n;
}

size_t dev_pci_plan_enables(const struct dev_pci_function *f, struct pci_config_write *out)
{
    size_t n = 0;
    if (f->cap_msix)
        n = put(out, n, f->cap_msix + PCI_MSIX_CONTROL, 2, load16(f->config + f->cap_msix + PCI_MSIX_CONTROL));
    if (f->cap_msi)
        n = put(out, n, f->cap_msi + 2u, 2, load16(f->config + f->cap_msi + 2));
    uint32_t command = load16(f->config + CFG_COMMAND);
    if ((f->id.header_type & HEADER_LAYOUT) != HEADER_BRIDGE)
        command &= ~COMMAND_BUS_MASTER;
    n = put(out, n, CFG_COMMAND, 2, command);
    if (f->cap_pm && load16(f->config + f->cap_pm + PCI_PM_CSR) & PCI_PM_STATE)
        n = put(out, n, f->cap_pm + PCI_PM_CSR, 2, load16(f->config + f->cap_pm + PCI_PM_CSR));
    return n;
}

static enum err check_function(const struct dev_pci_state *s, uint32_t i, char *why, size_t why_len)
{
    struct dev_pci_function parsed = s->function[i];
    const struct dev_pci_function *f = &s->function[i];
    dev_pci_parse(&parsed);
    bool same = load16(f->config) == f->id.vendor && load16(f->config + 2) == f->id.device &&
                f->config[CFG_HEADER_TYPE] == f->id.header_type && !memcmp(&parsed, f, sizeof parsed);
    if (!same || (i > 0 && f->id.bdf <= s->function[i - 1].id.bdf))
        return dev_refuse(E_DEVICE, why, why_len, "pci %04x: header and configuration do not fit", f->id.bdf);
    uint32_t entries;
    dev_pci_msix_table(f, &entries);
    if (f->msix_count != entries || f->msix_first + f->msix_count > s->msix_entries)
        return dev_refuse(E_DEVICE, why, why_len, "pci %04x: impossible MSI-X table", f->id.bdf);
    return E_OK;
}

enum err dev_pci_check(const struct dev_pci_state *s, const struct dev_pci_id *machine, size_t machine_count, char *why,
                       size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_PCI_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->functions > DEV_PCI_FUNCTIONS || s->msix_entries > DEV_PCI_MSIX_ENTRIES)
        return dev_refuse(E_DEVICE, why, why_len, "pci: impossible number of functions");
    for (uint32_t i = 0; i < s->functions; i++) {
        e = check_function(s, i, why, why_len);
        if (e)
            return e;
        if (i >= machine_count || memcmp(&machine[i], &s->function[i].id, sizeof machine[i]))
            return dev_refuse(E_LAYOUT, why, why_len, "pci: %04x was %04x:%04x, this machine differs there",
                              s->function[i].id.bdf, s->function[i].id.vendor, s->function[i].id.device);
    }
    if (machine_count != s->functions)
        return dev_refuse(E_LAYOUT, why, why_len, "pci: %u functions, this machine has %u", (unsigned)s->functions,
                          (unsigned)machine_count);
    return E_OK;
}

enum err dev_pcibm_check(const struct dev_pcibm_state *s, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_PCI_VERSION, sizeof *s, why, why_len);
    if (!e && (s->functions > DEV_PCI_FUNCTIONS || s->zero))
        return dev_refuse(E_DEVICE, why, why_len, "pci: impossible number of functions");
    return e;
}

void dev_pci_show(const struct dev_pci_state *s, char *text, size_t len)
{
    unsigned masters = 0, msi = 0;
    for (uint32_t i = 0; i < s->functions && i < DEV_PCI_FUNCTIONS; i++) {
        const struct dev_pci_function *f = &s->function[i];
        masters += (load16(f->config + CFG_COMMAND) & COMMAND_BUS_MASTER) != 0;
        msi += f->msix_count || (f->cap_msi && load16(f->config + f->cap_msi + 2) & MSI_ENABLE);
    }
    str_format(text, len, "%u functions, %u bus masters, %u with message interrupts", (unsigned)s->functions, masters,
               msi);
}
