/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Reads ACPI tables through phys_to_virt, and only ranges that the caller calls readable. Tables lie: every
   length is bounded, every checksum counted, and every entry must end inside its table. One damaged table costs what
   it describes; only a broken RSDP or root table is an error. */
#include "drivers/acpi.h"

#include "bits.h"
#include "hostmem.h"
#include "str.h"

#include <string.h>

/* 5.2.5.1 "Finding the RSDP on IA-PC Systems". */
#define BDA_EBDA_SEGMENT 0x40eu
#define EBDA_SEARCH_BYTES 1024u
#define EBDA_LOWEST 0x80000u
#define BIOS_AREA 0xe0000u
#define BIOS_AREA_END 0x100000u
#define RSDP_ALIGN 16u

/* 5.2.5.3 "Root System Description Pointer (RSDP) Structure". */
#define RSDP_V1_BYTES 20u
enum { RSDP_REVISION = 15, RSDP_RSDT = 16, RSDP_LENGTH = 20, RSDP_XSDT = 24 };

/* 5.2.6 "System Description Table Header". */
enum { SDT_LENGTH = 4, SDT_REVISION = 8, SDT_BYTES = 36 };
#define SDT_MAX_BYTES (1u << 20)
#define ROOT_ENTRIES_MAX 128u

/* 5.2.12 "Multiple APIC Description Table (MADT)". */
enum { MADT_LAPIC_ADDRESS = 36, MADT_FLAGS = 40, MADT_ENTRIES = 44 };
enum { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_LAPIC_ADDRESS_OVERRIDE = 5, MADT_X2APIC = 9 };
#define MADT_PCAT_COMPAT BIT32(0)
#define LAPIC_ENABLED BIT32(0)

/* 5.2.9 "Fixed ACPI Description Table (FADT)". */
enum {
    FADT_SCI_INT = 46,
    FADT_PM1A_EVT_BLK = 56,
    FADT_PM1A_CNT_BLK = 64,
    FADT_PM_TMR_BLK = 76,
    FADT_PM_TMR_LEN = 91,
    FADT_FLAGS = 112,
    FADT_RESET_REG = 116,
    FADT_RESET_VALUE = 128,
    FADT_X_PM1A_EVT_BLK = 148,
    FADT_X_PM1A_CNT_BLK = 172,
    FADT_X_PM_TMR_BLK = 208,
};
#define FADT_V1_BYTES 116u
#define FADT_TMR_VAL_EXT BIT32(8)
#define FADT_RESET_REG_SUP BIT32(10)
#define PM_TMR_BYTES 4u
#define GAS_BYTES 12u

/* IA-PC HPET Specification 1.0a, 3.2.4 "The ACPI 2.0 HPET Description Table". */
enum { HPET_BASE = 40, HPET_BYTES = 56 };
/* PCI Firmware Specification 3.3, 4.1.2 "MCFG Table Description". */
enum { MCFG_ENTRIES = 44, MCFG_ENTRY_BYTES = 16 };

static const uint8_t *at(uint64_t pa)
{
    return phys_to_virt((hpa_t){pa});
}

static bool sums_to_zero(const uint8_t *p, uint32_t bytes)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

static bool rsdp_valid(const uint8_t *p)
{
    return memcmp(p, "RSD PTR ", 8) == 0 && sums_to_zero(p, RSDP_V1_BYTES);
}

static uint64_t search_rsdp(uint64_t base, uint64_t end, acpi_readable *readable)
{
    if (!readable(base, end - base))
        return 0;
    for (uint64_t pa = base; pa + RSDP_V1_BYTES <= end; pa += RSDP_ALIGN)
        if (rsdp_valid(at(pa)))
            return pa;
    return 0;
}

uint64_t acpi_find_rsdp(acpi_readable *readable)
{
    if (readable(BDA_EBDA_SEGMENT, 2)) {
        uint64_t ebda = (uint64_t)load16(at(BDA_EBDA_SEGMENT)) << 4;
        uint64_t found = 0;
        if (ebda >= EBDA_LOWEST && ebda + EBDA_SEARCH_BYTES <= BIOS_AREA_END)
            found = search_rsdp(ebda, ebda + EBDA_SEARCH_BYTES, readable);
        if (found)
            return found;
    }
    return search_rsdp(BIOS_AREA, BIOS_AREA_END, readable);
}

/* The table at pa, if it is whole; its length in *bytes. */
static const uint8_t *table(uint64_t pa, acpi_readable *readable, uint32_t *bytes)
{
    if (pa == 0 || !readable(pa, SDT_BYTES))
        return NULL;
    *bytes = load32(at(pa) + SDT_LENGTH);
    if (*bytes < SDT_BYTES || *bytes > SDT_MAX_BYTES || !readable(pa, *bytes) || !sums_to_zero(at(pa), *bytes))
        return NULL;
    return at(pa);
}

static void add_cpu(struct acpi_info *info, uint32_t apic_id, uint32_t flags)
{
    if (!(flags & LAPIC_ENABLED))
        return;
    if (info->cpu_count < ACPI_CPUS_MAX)
        info->apic_id[info->cpu_count] = apic_id;
    info->cpu_count++;
}

static void madt_entry(struct acpi_info *info, const uint8_t *e, uint8_t len)
{
    switch (e[0]) {
    case MADT_LAPIC:
        if (len >= 8)
            add_cpu(info, e[3], load32(e + 4));
        break;
    case MADT_X2APIC:
        if (len >= 16)
            add_cpu(info, load32(e + 4), load32(e + 8));
        break;
    case MADT_IOAPIC:
        if (len >= 12 && info->ioapic_count < ACPI_IOAPICS_MAX)
            info->ioapic[info->ioapic_count++] =
                (struct acpi_ioapic){.id = e[2], .address = load32(e + 4), .gsi_base = load32(e + 8)};
        break;
    case MADT_OVERRIDE:
        if (len >= 10 && info->override_count < ACPI_OVERRIDES_MAX)
            info->override[info->override_count++] =
                (struct acpi_override){.irq = e[3], .gsi = load32(e + 4), .flags = load16(e + 8)};
        break;
    case MADT_LAPIC_ADDRESS_OVERRIDE:
        if (len >= 12)
            info->lapic_address = load64(e + 4);
        break;
    default:
        break;
    }
}

static bool read_madt(struct acpi_info *info, const uint8_t *t, uint32_t bytes)
{
    if (bytes < MADT_ENTRIES || info->has_madt)
        return false;
    info->has_madt = true;
    info->lapic_address = load32(t + MADT_LAPIC_ADDRESS);
    info->pcat_compat = load32(t + MADT_FLAGS) & MADT_PCAT_COMPAT;
    for (uint32_t i = MADT_ENTRIES; i < bytes;) {
        if (bytes - i < 2 || t[i + 1] < 2 || t[i + 1] > bytes - i)
            return false; /* what came before the damage stays */
        madt_entry(info, t + i, t[i + 1]);
        i += t[i + 1];
    }
    return true;
}

/* A Generic Address Structure at offset, if the table is long enough and it says anything. */
static bool read_gas(const uint8_t *t, uint32_t bytes, uint32_t offset, struct acpi_register *r)
{
    if (bytes < offset + GAS_BYTES || load64(t + offset + 4) == 0)
        return false;
    *r = (struct acpi_register){
        .present = true, .space = t[offset], .bits = t[offset + 1], .address = load64(t + offset + 4)};
    return true;
}

/* The extended field wins; older tables have the 32-bit port only. */
static void read_block(const uint8_t *t, uint32_t bytes, uint32_t wide, uint32_t narrow, uint8_t bits,
                       struct acpi_register *r)
{
    if (read_gas(t, bytes, wide, r))
        return;
    uint32_t port = load32(t + narrow);
    if (port != 0)
        *r = (struct acpi_register){.present = true, .space = ACPI_SPACE_IO, .bits = bits, .address = port};
}

static bool read_fadt(struct acpi_info *info, const uint8_t *t, uint32_t bytes)
{
    if (bytes < FADT_V1_BYTES || info->has_fadt)
        return false;
    info->has_fadt = true;
    info->fadt_flags = load32(t + FADT_FLAGS);
    info->sci_irq = load16(t + FADT_SCI_INT);
    read_block(t, bytes, FADT_X_PM1A_EVT_BLK, FADT_PM1A_EVT_BLK, 32, &info->pm1a_event);
    read_block(t, bytes, FADT_X_PM1A_CNT_BLK, FADT_PM1A_CNT_BLK, 16, &info->pm1a_control);
    if (t[FADT_PM_TMR_LEN] == PM_TMR_BYTES)
        read_block(t, bytes, FADT_X_PM_TMR_BLK, FADT_PM_TMR_BLK, 32, &info->pm_timer);
    info->pm_timer_32bit = info->fadt_flags & FADT_TMR_VAL_EXT;
    if (bytes > FADT_RESET_VALUE && (info->fadt_flags & FADT_RESET_REG_SUP) &&
        read_gas(t, bytes, FADT_RESET_REG, &info->reset))
        info->reset_value = t[FADT_RESET_VALUE];
    return true;
}

static bool read_hpet(struct acpi_info *info, const uint8_t *t, uint32_t bytes)
{
    struct acpi_register r;
    if (bytes < HPET_BYTES || !read_gas(t, bytes, HPET_BASE, &r) || r.space != ACPI_SPACE_MEMORY)
        return false;
    if (info->hpet_address == 0)
        info->hpet_address = r.address;
    return true;
}

static bool read_mcfg(struct acpi_info *info, const uint8_t *t, uint32_t bytes)
{
    if (bytes < MCFG_ENTRIES)
        return false;
    bool good = true;
    for (uint32_t i = MCFG_ENTRIES; bytes - i >= MCFG_ENTRY_BYTES; i += MCFG_ENTRY_BYTES) {
        struct acpi_mcfg m = {load64(t + i), load16(t + i + 8), t[i + 10], t[i + 11]};
        if (m.bus_end < m.bus_start || m.base == 0)
            good = false;
        else if (info->mcfg_count < ACPI_MCFG_MAX)
            info->mcfg[info->mcfg_count++] = m;
    }
    return good;
}

static bool read_table(struct acpi_info *info, const uint8_t *t, uint32_t bytes)
{
    if (memcmp(t, "APIC", 4) == 0)
        return read_madt(info, t, bytes);
    if (memcmp(t, "FACP", 4) == 0)
        return read_fadt(info, t, bytes);
    if (memcmp(t, "HPET", 4) == 0)
        return read_hpet(info, t, bytes);
    if (memcmp(t, "MCFG", 4) == 0)
        return read_mcfg(info, t, bytes);
    return true;
}

/* The root table: the XSDT when there is one and it is whole, else the RSDT. */
static const uint8_t *root_table(const uint8_t *rsdp, uint32_t rsdp_bytes, acpi_readable *readable, uint32_t *bytes,
                                 uint32_t *step)
{
    if (rsdp_bytes >= ACPI_RSDP_BYTES && rsdp[RSDP_REVISION] >= 2 && load32(rsdp + RSDP_LENGTH) >= ACPI_RSDP_BYTES &&
        sums_to_zero(rsdp, ACPI_RSDP_BYTES)) {
        const uint8_t *xsdt = table(load64(rsdp + RSDP_XSDT), readable, bytes);
        *step = 8;
        if (xsdt && memcmp(xsdt, "XSDT", 4) == 0)
            return xsdt;
    }
    const uint8_t *rsdt = table(load32(rsdp + RSDP_RSDT), readable, bytes);
    *step = 4;
    return rsdt && memcmp(rsdt, "RSDT", 4) == 0 ? rsdt : NULL;
}

enum err acpi_read(const uint8_t *rsdp, uint32_t rsdp_bytes, acpi_readable *readable, struct acpi_info *info, char *why,
                   size_t why_bytes)
{
    memset(info, 0, sizeof *info);
    if (rsdp_bytes < RSDP_V1_BYTES || !rsdp_valid(rsdp)) {
        str_format(why, why_bytes, "the ACPI root pointer (%u bytes) is damaged", (unsigned)rsdp_bytes);
        return E_ACPI;
    }
    uint32_t bytes, step;
    const uint8_t *root = root_table(rsdp, rsdp_bytes, readable, &bytes, &step);
    if (!root) {
        str_format(why, why_bytes, "the ACPI root table (RSDT at 0x%x) is damaged", (unsigned)load32(rsdp + RSDP_RSDT));
        return E_ACPI;
    }
    for (uint32_t i = SDT_BYTES; bytes - i >= step && info->tables < ROOT_ENTRIES_MAX; i += step) {
        uint32_t len;
        const uint8_t *t = table(step == 8 ? load64(root + i) : load32(root + i), readable, &len);
        info->tables++;
        if (!t || !read_table(info, t, len))
            info->bad_tables++;
    }
    return E_OK;
}

uint32_t acpi_isa_gsi(const struct acpi_info *info, uint8_t irq, uint16_t *flags)
{
    for (uint32_t i = 0; i < info->override_count; i++) {
        if (info->override[i].irq == irq) {
            *flags = info->override[i].flags;
            return info->override[i].gsi;
        }
    }
    *flags = 0;
    return irq;
}

int acpi_gsi_ioapic(const struct acpi_info *info, uint32_t gsi)
{
    int best = -1;
    for (uint32_t i = 0; i < info->ioapic_count; i++)
        if (info->ioapic[i].gsi_base <= gsi && (best < 0 || info->ioapic[i].gsi_base > info->ioapic[best].gsi_base))
            best = (int)i;
    return best;
}
