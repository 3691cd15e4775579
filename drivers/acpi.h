/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What the host needs from the firmware's ACPI tables: CPUs and interrupt controllers, HPET, PCI configuration
   windows, PM timer and reset register. No AML. Manual: ACPI 6.4, 5.2 "ACPI System Description Tables". */
#ifndef SOJOURN_DRIVERS_ACPI_H
#define SOJOURN_DRIVERS_ACPI_H

#include "err.h"
#include "types.h"

#define ACPI_CPUS_MAX 64
#define ACPI_IOAPICS_MAX 8
#define ACPI_OVERRIDES_MAX 16
#define ACPI_MCFG_MAX 8
#define ACPI_RSDP_BYTES 36

struct acpi_ioapic {
    uint32_t id, gsi_base;
    uint64_t address;
};

/* An ISA interrupt that arrives at another GSI or with another polarity. */
struct acpi_override {
    uint8_t irq;
    uint16_t flags; /* MPS INTI flags: polarity 1:0, trigger 3:2 */
    uint32_t gsi;
};

struct acpi_mcfg {
    uint64_t base;
    uint16_t segment;
    uint8_t bus_start, bus_end;
};

/* Generic Address Structure, ACPI 6.4 5.2.3.2. */
enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

struct acpi_register {
    bool present;
    uint8_t space; /* enum acpi_space */
    uint8_t bits;
    uint64_t address;
};

struct acpi_info {
    uint64_t rsdp_address;
    uint32_t tables, bad_tables; /* listed; of these unreadable or with a wrong length or checksum, and ignored */
    uint32_t cpu_count;          /* enabled ones, all counted even when not all fit below */
    uint32_t apic_id[ACPI_CPUS_MAX];
    uint64_t lapic_address;
    bool has_madt, pcat_compat; /* pcat_compat: an 8259 pair exists */
    uint32_t ioapic_count;
    struct acpi_ioapic ioapic[ACPI_IOAPICS_MAX];
    uint32_t override_count;
    struct acpi_override override[ACPI_OVERRIDES_MAX];
    uint64_t hpet_address; /* 0: none */
    uint32_t mcfg_count;
    struct acpi_mcfg mcfg[ACPI_MCFG_MAX];
    bool has_fadt;
    uint32_t fadt_flags;
    uint16_t sci_irq;
    struct acpi_register pm_timer, reset, pm1a_event, pm1a_control;
    bool pm_timer_32bit;
    uint8_t reset_value;
};

/* May the host read this physical range at all? Tables that point elsewhere are bad, not fatal. */
typedef bool acpi_readable(uint64_t pa, uint64_t bytes);

/* Where the firmware's RSDP lies: the first KiB of the EBDA, then 0xe0000-0xfffff. 0: not there. */
uint64_t acpi_find_rsdp(acpi_readable *readable);
/* rsdp: a copy of rsdp_bytes (20 or 36; from the loader, or read at the address found). E_ACPI with why when there is
   no way into the tables; a damaged table is left out and counted. */
enum err acpi_read(const uint8_t *rsdp, uint32_t rsdp_bytes, acpi_readable *readable, struct acpi_info *info, char *why,
                   size_t why_bytes) MUST_USE;
/* The GSI an ISA interrupt arrives at, and its flags. */
uint32_t acpi_isa_gsi(const struct acpi_info *info, uint8_t irq, uint16_t *flags);
/* The IOAPIC that has this GSI: index into ioapic[], or -1. Sizes are not in the tables; the next base bounds it. */
int acpi_gsi_ioapic(const struct acpi_info *info, uint32_t gsi);

#endif
