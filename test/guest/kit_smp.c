/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC, and the other CPUs: found in the ACPI MADT, woken by INIT and two start-up IPIs through a trampoline of
   our own in RAM below 640 KiB. SDM 3A 8.4.4.1 "Typical BSP Initialization Sequence"; ACPI 5.2.12 "MADT". */
#include "cpu.h"
#include "kit.h"
#include "msr.h"

#define APIC_MMIO 0xfee00000u
#define MSR_X2APIC_FIRST 0x800u
#define ICR_PENDING BIT32(12)
#define ICR_INIT_ASSERT 0x4500u
#define ICR_STARTUP 0x4600u
#define ICR_OTHERS 0xc0000u
#define ICR_TRIES 1000000
#define INIT_WAIT_US 10000u
#define SIPI_WAIT_US 1000u
#define UP_TRIES 300u /* of 1 ms */
#define LOW_RAM_END 0x9f000u
#define LOW_RAM_FIRST 0x2000u
#define SVR_VECTOR KIT_VECTOR_SPURIOUS

#define BIOS_EBDA_SEGMENT 0x40eu
#define BIOS_AREA 0xe0000u
#define BIOS_AREA_END 0x100000u
#define RSDP_RSDT 16u
#define RSDP_BYTES 20u
#define TABLE_LENGTH 4u
#define TABLE_HEADER_BYTES 36u
#define TABLES_MAX 64u
#define MADT_ENTRIES 44u
#define MADT_LOCAL_APIC 0u
#define MADT_ID 3u
#define MADT_FLAGS 4u
#define MADT_ENABLED 1u

extern const uint8_t kit_other_start[], kit_other_start_end[];
extern volatile uint32_t kit_others_awake;
void kit_other_main(unsigned number);

unsigned kit_cpu_count = 1;
bool kit_x2apic;

uint32_t kit_apic_read(uint32_t reg)
{
    if (kit_x2apic)
        return (uint32_t)cpu_rdmsr(MSR_X2APIC_FIRST + reg / 16);
    return *(volatile uint32_t *)(uint64_t)(APIC_MMIO + reg);
}

void kit_apic_write(uint32_t reg, uint32_t value)
{
    if (kit_x2apic)
        cpu_wrmsr(MSR_X2APIC_FIRST + reg / 16, value);
    else
        *(volatile uint32_t *)(uint64_t)(APIC_MMIO + reg) = value;
}

void kit_apic_send(uint32_t apic_id, uint32_t low)
{
    if (kit_x2apic) {
        cpu_wrmsr(MSR_IA32_X2APIC_ICR, (uint64_t)apic_id << 32 | low);
        return;
    }
    for (int i = 0; i < ICR_TRIES && kit_apic_read(APIC_ICR) & ICR_PENDING; i++)
        cpu_pause();
    kit_apic_write(APIC_ICR_HIGH, apic_id << 24);
    kit_apic_write(APIC_ICR, low);
}

bool kit_has_x2apic(void)
{
    return cpu_cpuid(1, 0).ecx & CPUID1_ECX_X2APIC;
}

void kit_apic_defaults(struct kit_cpu *cpu)
{
    if (kit_x2apic)
        cpu_wrmsr(MSR_IA32_APIC_BASE, cpu_rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_EXTD);
    cpu->apic_id = kit_x2apic ? kit_apic_read(APIC_ID) : kit_apic_read(APIC_ID) >> 24;
    kit_apic_write(APIC_SVR, APIC_ENABLED | SVR_VECTOR);
    kit_apic_write(APIC_LVT_TIMER, APIC_MASKED | SVR_VECTOR);
    kit_apic_write(APIC_LVT_LINT0, APIC_DELIVERY_EXTINT | (cpu->number ? APIC_MASKED : 0));
    kit_apic_write(APIC_LVT_LINT1, APIC_DELIVERY_NMI | (cpu->number ? APIC_MASKED : 0));
    kit_apic_write(APIC_LVT_ERROR, APIC_MASKED | SVR_VECTOR);
    kit_apic_write(APIC_TPR, 0);
}

void kit_other_main(unsigned n)
{
    struct kit_cpu *cpu = &kit_cpus[n];
    kit_load_tables(cpu);
    kit_apic_defaults(cpu);
    cpu->up = 1;
    guest_other(cpu);
}

/* ---- ACPI ------------------------------------------------------------------------------------------------------ */

static bool sum_is_zero(const uint8_t *p, uint32_t bytes)
{
    uint8_t sum = 0;
    while (bytes--)
        sum = (uint8_t)(sum + *p++);
    return sum == 0;
}

static bool starts_with(const uint8_t *p, const char *text)
{
    for (; *text; text++, p++)
        if (*p != (uint8_t)*text)
            return false;
    return true;
}

static const uint8_t *find_rsdp(uint64_t from, uint64_t end)
{
    for (; from + RSDP_BYTES <= end; from += 16)
        if (starts_with((const uint8_t *)from, "RSD PTR ") && sum_is_zero((const uint8_t *)from, RSDP_BYTES))
            return (const uint8_t *)from;
    return NULL;
}

static const uint8_t *find_madt(void)
{
    uint64_t bda = BIOS_EBDA_SEGMENT;
    __asm__("" : "+r"(bda)); /* an address, not an object of known size */
    uint64_t ebda = (uint64_t)load16((const void *)bda) << 4;
    const uint8_t *rsdp = find_rsdp(BIOS_AREA, BIOS_AREA_END);
    if (!rsdp && ebda)
        rsdp = find_rsdp(ebda, ebda + 1024);
    if (!rsdp)
        return NULL;
    const uint8_t *rsdt = (const uint8_t *)(uint64_t)load32(rsdp + RSDP_RSDT);
    uint64_t count = (load32(rsdt + TABLE_LENGTH) - TABLE_HEADER_BYTES) / 4;
    for (uint64_t i = 0; i < min_u64(count, TABLES_MAX); i++) {
        const uint8_t *table = (const uint8_t *)(uint64_t)load32(rsdt + TABLE_HEADER_BYTES + 4 * i);
        if (starts_with(table, "APIC"))
            return table;
    }
    return NULL;
}

/* ---- the others ------------------------------------------------------------------------------------------------ */

static uint64_t trampoline_page(void)
{
    for (uint64_t page = LOW_RAM_END - PAGE_BYTES; page >= LOW_RAM_FIRST; page -= PAGE_BYTES)
        for (unsigned i = 0; i < kit_ram_count; i++)
            if (kit_ram[i].base <= page && page + PAGE_BYTES <= kit_ram[i].end)
                return page;
    return 0;
}

static bool wait_up(unsigned count)
{
    for (unsigned tries = 0; tries < UP_TRIES; tries++) {
        if (count < KIT_CPUS_MAX && kit_cpus[count].up) {
            kit_cpu_count = count + 1;
            return true;
        }
        kit_delay_us(SIPI_WAIT_US);
    }
    return false;
}

static void start_one(uint32_t apic_id, uint64_t page)
{
    kit_apic_send(apic_id, ICR_INIT_ASSERT);
    kit_delay_us(INIT_WAIT_US);
    for (unsigned tries = 0; tries < 2; tries++) {
        kit_apic_send(apic_id, ICR_STARTUP | (uint32_t)(page >> PAGE_SHIFT));
        if (wait_up(kit_cpu_count))
            return;
    }
    say_field("kit: CPU does not come up: apic", apic_id, 16);
    say("\n");
}

static void start_all(unsigned expected, uint64_t page)
{
    kit_apic_send(0, ICR_OTHERS | ICR_INIT_ASSERT);
    kit_delay_us(INIT_WAIT_US);
    kit_apic_send(0, ICR_OTHERS | ICR_STARTUP | (uint32_t)(page >> PAGE_SHIFT));
    for (unsigned n = 1; n < expected; n++)
        if (!wait_up(n)) {
            say_field("kit: CPUs that came up", n, 10);
            say("\n");
            return;
        }
}

void kit_start_others(void)
{
    const uint8_t *madt = find_madt();
    uint64_t page = trampoline_page(), limit = option_number(kit_cmdline, "cpus", KIT_CPUS_MAX);
    uint32_t own = kit_cpus[0].apic_id;
    uint32_t id[KIT_CPUS_MAX];
    unsigned found = 0;
    if (!madt || !page) {
        say("kit: no MADT, or no page for the trampoline: one CPU\n");
        return;
    }
    for (uint64_t at = MADT_ENTRIES; at + 2 <= load32(madt + TABLE_LENGTH) && madt[at + 1] >= 2; at += madt[at + 1])
        if (madt[at] == MADT_LOCAL_APIC && madt[at + MADT_FLAGS] & MADT_ENABLED && madt[at + MADT_ID] != own &&
            found + 1 < min_u64(limit, KIT_CPUS_MAX))
            id[found++] = madt[at + MADT_ID];
    if (!found)
        return;
    uint8_t *to = (uint8_t *)page;
    for (const uint8_t *from = kit_other_start; from < kit_other_start_end; from++)
        *to++ = *from;
    const char *how = option(kit_cmdline, "start");
    if (how && word_is(how, "broadcast"))
        start_all(found + 1, page);
    else
        for (unsigned i = 0; i < found; i++)
            start_one(id[i], page);
}
