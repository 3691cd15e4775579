/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Boot steps; see the header. */
#include "kernel/setup.h"

#include "bits.h"
#include "ckpt/dev_pci.h"
#include "ckpt/devices.h"
#include "clock.h"
#include "cpu.h"
#include "drivers/acpi.h"
#include "drivers/ahci.h"
#include "drivers/ahci_core.h"
#include "drivers/disk.h"
#include "drivers/ioapic.h"
#include "drivers/lapic.h"
#include "drivers/pci.h"
#include "drivers/uart.h"
#include "ept/second_level.h"
#include "hostmem.h"
#include "kernel/apic_watch.h"
#include "kernel/checkpoint.h"
#include "kernel/commands.h"
#include "kernel/console.h"
#include "kernel/console_irq.h"
#include "kernel/digest.h"
#include "kernel/guest.h"
#include "kernel/guest_access.h"
#include "kernel/hidden_access.h"
#include "kernel/log_control.h"
#include "kernel/machine.h"
#include "kernel/paging.h"
#include "kernel/policy.h"
#include "kernel/smp.h"
#include "kernel/startup.h"
#include "kernel/state.h"
#include "kernel/timebase.h"
#include "kernel/traps.h"
#include "kernel/tsc_debt.h"
#include "kernel/wallclock.h"
#include "log.h"
#include "msr.h"
#include "str.h"
#include "virt_env.h"

#include <string.h>

#define IO_BITMAP_PAGES 3u /* VMX uses two, SVM's permission map has a third */
#define FOUR_GIB (4ull << 30)
#define IDE_COMMAND_PORTS 8u
#define IDE_PRIMARY 0x1f0u
#define IDE_PRIMARY_CONTROL 0x3f6u
#define IDE_SECONDARY 0x170u
#define IDE_SECONDARY_CONTROL 0x376u
#define BUS_MASTER_PORTS 16u
#define BUS_MASTER_BAR 4u
#define ECAM_BUS_SHIFT 20
#define ECAM_FUNCTION_SHIFT 12
#define DEFAULT_IOAPIC 0xfec00000u
#define CPUID_PERFMON 0x0au
#define CPUID_EXT 0x80000001u
#define CPUID_EXT_EDX_1G BIT32(26)
#define MSR_IA32_VMX_EPT_VPID_CAP 0x48cu
#define EPT_CAP_1G BIT(17)
#define CPUID1_ECX_TSC_DEADLINE BIT32(24)
#define ACCEPT_TIMEOUT_US 10000u
#define LOW_RAM_END 0x9f000u

struct virt_env virt_env;

void setup_console_line(const struct options *o)
{
    enum err e = console_irq_init(o->console_port, o->console_gsi);
    if (e) {
        log_line("boot", "no console: %s: port=%#x", err_name(e), o->console_port);
        return;
    }
    if (!log_attach(console_irq_boot_line))
        log_line("boot", "no room for another log sink");
}

static bool readable(uint64_t pa, uint64_t bytes)
{
    return pa < FOUR_GIB && bytes < FOUR_GIB && pa + bytes <= FOUR_GIB;
}

void setup_acpi(void)
{
    char why[160] = "";
    struct boot_info *bi = &machine.boot;
    uint64_t found = acpi_find_rsdp(readable);
    if (!bi->rsdp_bytes && found) {
        bi->rsdp_bytes = ACPI_RSDP_BYTES;
        memcpy(bi->rsdp, phys_to_virt((hpa_t){found}), ACPI_RSDP_BYTES);
    }
    bi->rsdp_address = found;
    if (!bi->rsdp_bytes) {
        log_line("boot", "no ACPI tables");
        return;
    }
    enum err e = acpi_read(bi->rsdp, bi->rsdp_bytes, readable, &machine.acpi, why, sizeof why);
    if (e) {
        log_line("boot", "%s: %s", err_name(e), why);
        commands_note("%s: %s", err_name(e), why);
        return;
    }
    machine.has_acpi = true;
    log_line("boot", "acpi: tables=%u bad=%u cpus=%u ioapics=%u hpet=%#llx pm_timer=%#llx", machine.acpi.tables,
             machine.acpi.bad_tables, machine.acpi.cpu_count, machine.acpi.ioapic_count,
             (unsigned long long)machine.acpi.hpet_address, (unsigned long long)machine.acpi.pm_timer.address);
}

enum err setup_cpus(void)
{
    const struct acpi_info *a = &machine.acpi;
    _Static_assert(ACPI_CPUS_MAX >= CPUS_MAX, "all of them are known");
    return a->cpu_count > CPUS_MAX ? E_SMP : cpus_init_others(a->apic_id, a->cpu_count);
}

/* Any page of RAM that a CPU in real mode can start in; it is borrowed. */
static uint64_t low_page(void)
{
    for (uint64_t page = LOW_RAM_END - PAGE_BYTES; page; page -= PAGE_BYTES)
        if (memmap_is(&machine.map, page, page + PAGE_BYTES, MEMMAP_RAM))
            return page;
    return 0;
}

enum err setup_start_cpus(void)
{
    uint64_t page = low_page();
    if (cpu_count == 1)
        return E_OK;
    enum err e = page ? startup_all(page) : E_NOMEM;
    apic_watch_update(); /* all of them are held */
    return e;
}

/* The LAPIC delivers a pending vector as soon as interrupts are open for an instant; the trap handler sends no EOI. */
static enum err accept_vector(uint8_t vector)
{
    volatile uint64_t *now = &cpu_self()->interrupts_seen;
    uint64_t seen = *now, end = deadline_in_us(ACCEPT_TIMEOUT_US);
    bool svm = cpu_rdmsr(MSR_EFER) & EFER_SVME;
    if (svm)
        cpu_stgi();
    while (*now == seen && !deadline_passed(end))
        traps_open_interrupts();
    if (svm)
        cpu_clgi();
    if (*now != seen)
        return E_OK;
    log_line("lapic", "vector was not delivered to the host: cpu=%u vector=%#x", cpu_self()->index, vector);
    return E_TIMEOUT;
}

static enum err (*each_fn)(uint32_t cpu, void *arg);
static void *each_arg;

static enum err one_of_each(struct cpu *c)
{
    return each_fn(c->index, each_arg);
}

static enum err on_each_cpu(enum err (*fn)(uint32_t cpu, void *arg), void *arg)
{
    each_fn = fn;
    each_arg = arg;
    return smp_each(one_of_each, NULL);
}

static uint64_t wall_us(void)
{
    return wallclock_unix_s() * 1000000u;
}

void setup_devices(void)
{
    static uint16_t hidden_bdf[1];
    const struct acpi_info *a = &machine.acpi;
    struct devices_env env = {
        .lapic = {cpu_rdmsr, cpu_wrmsr, accept_vector, cpu_cpuid(1, 0).ecx & CPUID1_ECX_TSC_DEADLINE,
                  cpu_cpuid(0, 0).eax >= CPUID_PERFMON && (cpu_cpuid(CPUID_PERFMON, 0).eax & 0xffu) >= 2},
        .cpu_count = cpu_count,
        .on_each_cpu = on_each_cpu,
        .hpet = {a->hpet_address},
        .console_port = machine.options.console ? machine.options.console_port : 0,
        .tsc = cpu_rdtsc,
        .tsc_hz = clock_tsc_hz(),
        .wall_us = wall_us,
        .write_tsc = tsc_debt_set,
    };
    for (; env.ioapic_count < a->ioapic_count && env.ioapic_count < IOAPIC_UNITS_MAX; env.ioapic_count++)
        env.ioapic[env.ioapic_count] =
            (struct ioapic_location){{a->ioapic[env.ioapic_count].address}, a->ioapic[env.ioapic_count].gsi_base};
    if (!machine.has_acpi)
        env.ioapic[env.ioapic_count++] = (struct ioapic_location){{DEFAULT_IOAPIC}, 0};
    if (a->pm_timer.present && a->pm_timer.space == ACPI_SPACE_IO) {
        env.pm_timer_port = (uint16_t)a->pm_timer.address;
        env.pm_timer_bits = a->pm_timer_32bit ? 32 : 24;
    }
    if (machine.disk.ours) {
        hidden_bdf[0] = machine.disk.store.bdf;
        env.hidden = hidden_bdf;
        env.hidden_count = 1;
    }
    devices_init(&env);
}

static void hide_controller(const struct disk_controller *c)
{
    policy_hide_pci(c->bdf);
    log_line("boot", "store controller %02x:%02x.%x hidden from the guest", PCI_BUS(c->bdf), PCI_DEVICE(c->bdf),
             PCI_FUNCTION(c->bdf));
    if (c->kind != DISK_ATA)
        return;
    policy_hide_ports(IDE_PRIMARY, IDE_COMMAND_PORTS);
    policy_hide_ports(IDE_PRIMARY_CONTROL, 1);
    policy_hide_ports(IDE_SECONDARY, IDE_COMMAND_PORTS);
    policy_hide_ports(IDE_SECONDARY_CONTROL, 1);
    struct pci_bar bar = pci_read_bar(c->bdf, BUS_MASTER_BAR);
    if (bar.io && bar.base)
        policy_hide_ports((uint16_t)bar.base, BUS_MASTER_PORTS);
}

enum err setup_store(struct block_part *part)
{
    char selector[OPTIONS_LABEL_MAX + 8] = "auto";
    const struct options *o = &machine.options;
    if (o->store == STORE_CHOICE_NONE)
        return E_NOSTORE;
    if (o->store == STORE_CHOICE_GPT)
        (void)str_format(selector, sizeof selector, "gpt:%s", o->store_label);
    enum err e = disk_find_store(selector, part, &machine.disk);
    if (e == E_OK && machine.disk.ours) {
        hide_controller(&machine.disk.store);
        return E_OK;
    }
    log_line("boot", "store: %s: %s", err_name(e), err_text(e));
    return e ? e : E_SHARED;
}

/* Does a function of the guest's have registers on this page? */
static bool page_is_shared(uint64_t page)
{
    size_t count;
    const struct dev_pci_id *id = pci_state_functions(&count);
    for (; count--; id++)
        if (pci_memory_begins_on(id->bdf, page))
            return true;
    return false;
}

/* A guest that finds no such function on PCI may still touch its registers; and these write to the store. */
static enum err hide_ahci_registers(uint16_t bdf)
{
    struct pci_bar memory = pci_read_bar(bdf, AHCI_ABAR_INDEX), index_data = pci_read_bar(bdf, AHCI_INDEX_DATA_BAR);
    if (index_data.io)
        policy_hide_ports((uint16_t)index_data.base, AHCI_INDEX_DATA_PORTS);
    uint64_t page = align_down(memory.base, PAGE_BYTES), end = memory.base + ahci_register_bytes((hpa_t){memory.base});
    enum err e = E_OK;
    for (; page < end && !e; page += PAGE_BYTES)
        if (page_is_shared(page))
            log_line("boot", "store controller: registers on a shared page, not hidden");
        else
            e = hidden_access_cover(&guest.second_level, (gpa_t){page});
    return e;
}

/* Absent to the guest: the console, and the store's controller, in ECAM, too. */
static enum err hide_what_is_ours(void)
{
    if (machine.options.console)
        policy_hide_ports(machine.options.console_port, UART_PORTS);
    if (!machine.disk.ours)
        return E_OK;
    uint16_t bdf = machine.disk.store.bdf;
    for (uint32_t i = 0; i < machine.acpi.mcfg_count; i++) {
        const struct acpi_mcfg *m = &machine.acpi.mcfg[i];
        if (m->segment || PCI_BUS(bdf) < m->bus_start || PCI_BUS(bdf) > m->bus_end)
            continue;
        uint64_t page = m->base + ((uint64_t)bdf << ECAM_FUNCTION_SHIFT);
        enum err e = hidden_access_cover(&guest.second_level, (gpa_t){page});
        if (e)
            return e;
    }
    return machine.disk.store.kind == DISK_AHCI ? hide_ahci_registers(bdf) : E_OK;
}

static void *one_page(void)
{
    return pool_alloc_pages(1);
}

static enum err build_second_level(void)
{
    bool vmx = guest.backend == &vmx_backend;
    bool pages_1g =
        vmx ? cpu_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & EPT_CAP_1G : cpu_cpuid(CPUID_EXT, 0).edx & CPUID_EXT_EDX_1G;
    struct second_level *sl = &guest.second_level;
    enum err e = sl_init(sl, vmx ? &codec_ept : &codec_npt, one_page, pages_1g);
    if (e)
        return e;
    state_capture_live(cpus[0]->state); /* for the MTRRs */
    uint64_t end = max_u64(align_up(machine.ram_end, LARGE_PAGE_BYTES), FOUR_GIB);
    e = sl_map_identity(sl, (gpa_t){0}, end, SL_RWX, vmx ? cpus[0]->state : NULL);
    if (!e)
        e = hidden_access_init(sl);
    if (!e)
        e = hide_what_is_ours();
    return e;
}

enum err setup_virtualization(char *why, size_t why_len)
{
    virt_env.io_bitmap = pool_alloc_pages(IO_BITMAP_PAGES);
    if (!virt_env.io_bitmap) {
        (void)str_format(why, why_len, "hidden memory too small for the I/O bitmap");
        return E_NOMEM;
    }
    virt_env.io_bitmap_pa = virt_to_phys(virt_env.io_bitmap);
    virt_env.host_cr3 = paging_cr3();
    virt_env.host_idt_base = traps_idtr().base;
    virt_env.host_cs = HOST_CS;
    virt_env.host_ss = HOST_SS;
    virt_env.host_tr = HOST_TR;
    virt_env.guest_read = guest_phys_read;
    virt_env.exited = digest_after_exit;
    virt_env.visible = machine.options.visible;
    enum err e = build_second_level();
    if (e) {
        (void)str_format(why, why_len, "second-level tables: %s", err_text(e));
        return e;
    }
    virt_env.second_level = &guest.second_level;
    virt_env.second_level_root = sl_root(&guest.second_level);
    policy_trap_ports();
    for (uint32_t i = 0; i < cpu_count && !e; i++)
        e = guest.backend->init_cpu(&cpus[i]->vcpu);
    if (!e)
        e = apic_watch_init();
    if (e)
        (void)str_format(why, why_len, "%s: %s", guest.backend->name, err_text(e));
    log_line("boot", "virtualization ready: table_pages=%llu pool_left=%llu",
             (unsigned long long)guest.second_level.table_pages, (unsigned long long)paging_pool_left());
    return e;
}

bool setup_ask_restore(uint64_t timeout_us)
{
    struct store *s = checkpoint_store();
    if (!s || !store_count(s))
        return false;
    char line[16] = "";
    uint64_t end = deadline_in_us(timeout_us);
    console_ask("Restore the newest checkpoint? [y/N] ");
    bool answered = false;
    while (!answered && !deadline_passed(end)) {
        console_irq_poll();
        answered = console_answer(line, sizeof line);
    }
    console_ask_end();
    return answered && (line[0] == 'y' || line[0] == 'Y');
}
