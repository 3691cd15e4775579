/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as the firmware's ACPI tables, at E0000. Input: fix-ups (1), the bytes there. A fix-up makes the checksums
   of the RSDP and of the tables it leads to right. */
/* UNITS: drivers/acpi.c */
#include "bits.h"
#include "drivers/acpi.h"
#include "fuzz.h"
#include "unit.h"

#include <string.h>

#define ARENA (1u << 20)
#define AT 0xe0000u
#define TABLES_MAX 64u
#define RSDP_V1_BYTES 20u

static uint8_t *memory;

static bool readable(uint64_t pa, uint64_t bytes)
{
    return pa <= ARENA && bytes <= ARENA - pa;
}

static void fix_sum(uint64_t at, uint32_t bytes, uint32_t field)
{
    uint8_t sum = 0;
    if (!readable(at, bytes) || bytes <= field)
        return;
    memory[at + field] = 0;
    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + memory[at + i]);
    memory[at + field] = (uint8_t)-sum;
}

static void fix_table(uint64_t at, uint32_t entry_bytes)
{
    if (at < AT || !readable(at, 36)) /* what was not laid is not cleaned */
        return;
    uint32_t bytes = load32(memory + at + 4);
    for (uint32_t i = 0; entry_bytes && i < TABLES_MAX && 36 + (i + 1) * entry_bytes <= bytes; i++) {
        uint64_t e = at + 36 + (uint64_t)i * entry_bytes;
        if (readable(e, entry_bytes))
            fix_table(entry_bytes == 8 ? load64(memory + e) : load32(memory + e), 0);
    }
    fix_sum(at, bytes, 9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct acpi_info info;
    static char why[200];
    if (!memory) {
        memory = calloc(1, ARENA);
        env_phys_offset = (uintptr_t)memory;
    }
    if (size < 1)
        return 0;
    memset(memory + AT, 0, ARENA - AT);
    memcpy(memory + AT, data + 1, min_u64(size - 1, ARENA - AT));
    uint64_t at = data[0] & 1 ? AT : acpi_find_rsdp(readable);
    if (data[0] & 1) {
        if (readable(AT, 36)) {
            memcpy(memory + AT, "RSD PTR ", 8);
            fix_sum(AT, RSDP_V1_BYTES, 8);
            fix_table(load32(memory + AT + 16), 4);
            fix_table(load64(memory + AT + 24), 8);
            fix_sum(AT, 36, 32);
        }
        at = acpi_find_rsdp(readable);
    }
    if (!at)
        return 0;
    enum err e = acpi_read(memory + at, memory[at + 15] >= 2 ? ACPI_RSDP_BYTES : RSDP_V1_BYTES, readable, &info, why,
                           sizeof why);
    if (e) {
        FUZZ_CHECK(why[0] && memchr(why, 0, sizeof why));
        return 0;
    }
    FUZZ_CHECK(info.ioapic_count <= ACPI_IOAPICS_MAX && info.override_count <= ACPI_OVERRIDES_MAX &&
               info.mcfg_count <= ACPI_MCFG_MAX && info.bad_tables <= info.tables);
    for (uint32_t irq = 0; irq < 256; irq++) {
        uint16_t flags;
        int io = acpi_gsi_ioapic(&info, acpi_isa_gsi(&info, (uint8_t)irq, &flags));
        FUZZ_CHECK(io < (int)info.ioapic_count);
    }
    return 0;
}
