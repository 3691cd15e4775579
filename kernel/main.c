/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. From GRUB to the first guest instruction. Two phases:
 *
 *   main_early()  where GRUB loaded the image: read what the loader says, choose the hidden range, move there
 *   main_hidden() in hidden memory: log, clocks, tables, devices, store, backend, guest
 *
 * Whatever goes wrong ends in one of three ways on, never in a silent halt: the guest starts virtual, the guest starts
 * native with the reason on screen and console, or there is no guest and the console stays. */
#include "kernel/main.h"
#include "boot/guest.h"
#include "boot/memmap.h"
#include "boot/multiboot2.h"
#include "ckpt/devices.h"
#include "clock.h"
#include "cpu.h"
#include "drivers/ioapic.h"
#include "drivers/lapic.h"
#include "drivers/uart.h"
#include "hostmem.h"
#include "kernel/backend_choice.h"
#include "kernel/checkpoint.h"
#include "kernel/commands.h"
#include "kernel/console.h"
#include "kernel/console_irq.h"
#include "kernel/digest.h"
#include "kernel/guest.h"
#include "kernel/guest_access.h"
#include "kernel/log_control.h"
#include "kernel/log_ring.h"
#include "kernel/machine.h"
#include "kernel/native_start.h"
#include "kernel/paging.h"
#include "kernel/policy.h"
#include "kernel/run.h"
#include "kernel/screen.h"
#include "kernel/setup.h"
#include "kernel/startup.h"
#include "kernel/state.h"
#include "kernel/store_key.h"
#include "kernel/timebase.h"
#include "kernel/transition.h"
#include "kernel/traps.h"
#include "kernel/tsc_debt.h"
#include "kernel/wallclock.h"
#include "layout.h"
#include "log.h"
#include "str.h"
#include "version.h"

#include <string.h>

#define ASK_TIMEOUT_US 5000000u
#define LOADER_INFO_MAX (1u << 20)

struct machine machine;
struct guest guest;

static struct guest_plan plan;
static bool plan_applied; /* the modules are where the guest wants them: they cannot be planned again */
static char why[200];

static void say(const char *text)
{
    screen_print(text);
    log_line("boot", "%s", text);
}

static void warn(const char *text)
{
    say(text);
    commands_note("%s", text);
}

static void say_warnings(void)
{
    for (uint32_t i = 0; i < machine.options.warnings; i++)
        warn(machine.options.warning[i]);
}

static void read_loader(uint32_t magic, uint32_t info)
{
    clock_init();
    if (magic != MULTIBOOT2_BOOTLOADER_MAGIC) {
        screen_init(&machine.boot.fb);
        say(err_text(E_NOMULTIBOOT));
        panic("%s", err_name(E_NOMULTIBOOT));
    }
    enum err e = multiboot2_parse(phys_to_virt((hpa_t){info}), LOADER_INFO_MAX, &machine.boot, why, sizeof why);
    machine.boot.info_start = info;
    options_parse(e ? NULL : boot_string(&machine.boot, machine.boot.cmdline), &machine.options);
    const char *key_trouble = store_key_take(&machine.boot, &machine.options);
    screen_init(&machine.boot.fb);
    if (machine.options.console)
        setup_console_line(&machine.options);
    screen_print("Sojourn " SOJOURN_VERSION);
    log_line("boot", "Sojourn %s, loaded by %s", SOJOURN_VERSION, boot_string(&machine.boot, machine.boot.loader_name));
    if (e)
        panic("%s: %s", err_name(e), why);
    if (key_trouble)
        warn(key_trouble);
    say_warnings();
}

/* Native for good, with the reason where people look. */
static _Noreturn void go_native_for_good(enum err reason, const char *detail)
{
    char line[240];
    (void)str_format(line, sizeof line, "%s: %s; the guest starts on the bare CPU, without Sojourn", err_name(reason),
                     detail);
    if (reason)
        say(line);
    if (plan_applied && !machine.boot.keep_count)
        panic("the guest lies where its start on the bare CPU would begin");
    enum err e = plan_applied ? E_OK : guest_plan(&machine.boot, &machine.map, &plan, why, sizeof why);
    if (e) {
        (void)str_format(line, sizeof line, "%s: %s", err_name(e), why);
        say(line);
        say("No guest can be started. Reboot and choose another entry.");
        panic("%s", line);
    }
    store_key_forget();
    if (!plan_applied)
        guest_apply(&plan);
    console_irq_drain(200000);
    console_irq_disarm();
    startup_give_back();
    native_start(&plan.entry);
}

static void choose_hidden(void)
{
    enum err e = memmap_build(&machine.map, machine.boot.map, machine.boot.map_count);
    if (e)
        panic("the loader's memory map has too many entries");
    machine.ram_bytes = memmap_usable_bytes(&machine.map);
    for (uint32_t i = 0; i < machine.map.count; i++)
        if (machine.map.entry[i].type == MEMMAP_RAM)
            machine.ram_end = machine.map.entry[i].end;
    /* Until it has moved, the host runs where GRUB put it; and a start on the bare CPU begins there even later. */
    native_start_keep(&machine.boot);
    uint64_t bytes = memmap_hidden_bytes(machine.ram_bytes), base;
    e = memmap_choose_hidden(&machine.map, bytes, &base, why, sizeof why);
    if (e)
        go_native_for_good(e, why);
    e = guest_clear(&machine.boot, &machine.map, base, base + bytes, why, sizeof why);
    if (e)
        go_native_for_good(e, why);
    if (memmap_set(&machine.map, base, base + bytes, MEMMAP_RESERVED))
        go_native_for_good(E_NOMEM, "the memory map has no room for the hidden range");
    paging_place(base, bytes);
    if (!memmap_choose_log(&machine.map, HIDDEN_LOG_BYTES, &base) &&
        memmap_is(&machine.map, base, base + HIDDEN_LOG_BYTES, MEMMAP_RAM) &&
        !guest_clear(&machine.boot, &machine.map, base, base + HIDDEN_LOG_BYTES, why, sizeof why) &&
        !memmap_set(&machine.map, base, base + HIDDEN_LOG_BYTES, MEMMAP_RESERVED))
        hidden_log = (struct hidden_range){base, HIDDEN_LOG_BYTES};
}

_Noreturn void main_early(uint32_t magic, uint32_t info)
{
    read_loader(magic, info);
    choose_hidden();
    uint64_t cr3 = paging_build_tables(machine.ram_end);
    if (!cr3)
        panic("hidden memory too small for the host's page tables: bytes=%llu", (unsigned long long)hidden.bytes);
    paging_relocate(cr3);
    main_hidden();
}

static enum err start_hidden_services(void)
{
    traps_init();
    traps_load(cpus[0]);
    char *log_area = phys_to_virt((hpa_t){hidden_log.bytes ? hidden_log.base : hidden.base + HIDDEN_LOG_OFFSET});
    log_start(log_area, LOG_RING_AREA_BYTES, log_area + LOG_RING_AREA_BYTES, LOG_RING_AREA_BYTES);
    log_line("boot", "hidden memory: base=%#llx bytes=%llu ram=%llu", (unsigned long long)hidden.base,
             (unsigned long long)hidden.bytes, (unsigned long long)machine.ram_bytes);
    store_key_wipe_traces();
    wallclock_init();
    guest_access_init(machine.ram_end);
    tsc_debt_probe();
    setup_acpi();
    enum err e = setup_cpus();
    setup_devices();
    transition_init();
    digest_seal_image();
    return e;
}

/* restore=: true when a checkpoint became the guest. */
static bool restore_instead(void)
{
    const struct options *o = &machine.options;
    uint64_t id = o->restore == RESTORE_CHOICE_ID ? o->restore_id : STORE_LATEST;
    if (o->restore == RESTORE_CHOICE_NEVER)
        return false;
    if (o->restore == RESTORE_CHOICE_ASK && !setup_ask_restore(ASK_TIMEOUT_US))
        return false;
    char text[200] = "";
    enum err e = checkpoint_restore_check(id, text, sizeof text);
    if (!e)
        e = checkpoint_restore(text, sizeof text);
    if (!e) {
        console_notice("restored checkpoint %llu", (unsigned long long)checkpoint_restored_id());
        return true;
    }
    char line[240];
    (void)str_format(line, sizeof line, "restore refused: %s: %s; the guest boots instead", err_name(e),
                     *text ? text : err_text(e));
    say(line);
    console_notice("%s", line);
    if (checkpoint_memory_touched())
        panic("the restore failed after memory was overwritten; a reset boots the guest");
    return false;
}

static void load_guest(void)
{
    char line[240];
    enum err e = guest_plan(&machine.boot, &machine.map, &plan, why, sizeof why);
    if (e == E_OVERLAP || e == E_NOMEM) {
        machine.boot.keep_count = 0; /* where GRUB put the host is of use for a start on the bare CPU only */
        e = guest_plan(&machine.boot, &machine.map, &plan, why, sizeof why);
    }
    if (e) {
        (void)str_format(line, sizeof line, "%s: %s", err_name(e), why);
        say(line);
        say("No guest. The console is alive: restore a checkpoint, or reboot and choose another entry.");
        console_notice("%s; no guest: restore a checkpoint, or reboot", line);
        return;
    }
    if (plan.note[0])
        say(plan.note);
    guest_apply(&plan);
    plan_applied = true;
    state_capture_live(cpus[0]->state);
    guest_entry_state(&plan.entry, cpus[0]->state);
    e = transition_load(cpus[0]);
    if (e)
        go_native_for_good(e, "the guest cannot be started virtual");
    transition_loaded();
    guest.run = GUEST_RUNNING;
    log_line("boot", "guest starts: kind=%s eip=%#x us=%llu", guest_kind_name(plan.kind), plan.entry.eip,
             (unsigned long long)clock_us());
}

/* On the stack of this CPU's window. */
static _Noreturn void main_on_window(void)
{
    enum err cpus_known = start_hidden_services();
    const struct options *o = &machine.options;
    if (o->start == START_CHOICE_NATIVE)
        go_native_for_good(E_OK, "");
    enum err e = state_probe();
    if (e)
        go_native_for_good(e, "this CPU's extended state does not fit");
    e = backend_choose(o->backend, why, sizeof why);
    if (!e && cpus_known)
        (void)str_format(why, sizeof why, "CPUs in the firmware's list: %u", machine.acpi.cpu_count), e = cpus_known;
    if (e)
        go_native_for_good(e, why);
    struct block_part part = {0};
    enum err found = setup_store(&part);
    setup_devices(); /* again, now that it is known what is hidden */
    e = setup_virtualization(why, sizeof why);
    if (!e)
        e = setup_start_cpus();
    if (e)
        go_native_for_good(e, why);
    checkpoint_init(found, &part);
    guest.settle_us = o->settle_never ? 0 : (uint64_t)o->settle_s * 1000000u;
    console_init(&commands);
    console_irq_rearm();
    if (!restore_instead())
        load_guest();
    log_detach(console_irq_boot_line);
    screen_release();
    transition_become_virtual(cpus[0]);
}

_Noreturn void main_hidden(void)
{
    if (cpus_init_first())
        panic("no room for the first CPU: %s", err_text(E_NOMEM));
    paging_continue(cpu_window(cpus[0]) + CPU_MAIN_TOP - sizeof(uint64_t), main_on_window);
}
