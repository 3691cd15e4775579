/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Where the store is, and restoring. Saving is in kernel/saving.c.
 *
 *   restore   read and check everything -> stop DMA and interrupts -> memory -> devices -> TSC -> CPU -> go on virtual,
 *             and leave as any settled guest is left
 *
 * After the first page is written there is no way back, so everything that can be refused is refused before. */
#include "kernel/checkpoint.h"

#include "bits.h"
#include "ckpt/devices.h"
#include "ckpt/hash.h"
#include "ckpt/load.h"
#include "ckpt/store_read.h"
#include "clock.h"
#include "cpu.h"
#include "drivers/disk.h"
#include "drivers/lapic.h"
#include "drivers/pci.h"
#include "drivers/usb_halt.h"
#include "hostmem.h"
#include "kernel/apic_watch.h"
#include "kernel/auto.h"
#include "kernel/base.h"
#include "kernel/bus_masters.h"
#include "kernel/commands.h"
#include "kernel/console_irq.h"
#include "kernel/gateway_install.h"
#include "kernel/guest.h"
#include "kernel/host_timer.h"
#include "kernel/live.h"
#include "kernel/machine.h"
#include "kernel/paging.h"
#include "kernel/policy.h"
#include "kernel/saving.h"
#include "kernel/smp.h"
#include "kernel/state.h"
#include "kernel/store_key.h"
#include "kernel/transition.h"
#include "kernel/tsc_debt.h"
#include "kernel/wallclock.h"
#include "log.h"
#include "msr.h"
#include "str.h"

#include <string.h>

#define CPUID_FEATURE_1_ECX_IGNORE (CPUID1_ECX_OSXSAVE | CPUID1_ECX_VMX | CPUID1_ECX_HYPERVISOR)

static struct store store;
static struct block_part store_part;
static enum store_condition condition;
static enum err trouble = E_NOSTORE;
static const char *trouble_detail = "";
static void *work;
static struct ckpt_restore restoring;
static struct ckpt_layout layout;
static uint64_t restored_id;
static bool memory_touched;
uint64_t checkpoint_restored_id(void)
{
    return restored_id;
}

bool checkpoint_memory_touched(void)
{
    return memory_touched;
}

const struct ckpt_layout *checkpoint_layout(void)
{
    return &layout;
}

enum store_condition checkpoint_condition(void)
{
    return condition;
}

struct store *checkpoint_store(void)
{
    return condition == STORE_READY ? &store : NULL;
}

uint8_t *checkpoint_seen(size_t *bytes)
{
    *bytes = restoring.seen_bytes;
    return restoring.seen;
}

enum err checkpoint_trouble(char *text, size_t len)
{
    (void)str_format(text, len, "%s%s%s", err_text(trouble), *trouble_detail ? ": " : "", trouble_detail);
    return condition == STORE_READY ? E_OK : trouble;
}

static enum err describe_machine(void)
{
    enum err e = E_OK;
    memset(&layout, 0, sizeof layout);
    for (uint32_t i = 0; i < machine.map.count && !e; i++)
        if (machine.map.entry[i].type == MEMMAP_RAM)
            e = format_add_ram(&layout, machine.map.entry[i].base, machine.map.entry[i].end);
    layout.cpu_count = cpu_count;
    layout.hidden = (struct ckpt_range){hidden.base, hidden.bytes};
    struct cpuid_regs r = cpu_cpuid(0, 0);
    memcpy(layout.cpu_vendor, &r.ebx, 4);
    memcpy(layout.cpu_vendor + 4, &r.edx, 4);
    memcpy(layout.cpu_vendor + 8, &r.ecx, 4);
    r = cpu_cpuid(1, 0);
    layout.cpu_signature = r.eax;
    layout.cpu_features[0] = r.ecx & ~CPUID_FEATURE_1_ECX_IGNORE;
    layout.cpu_features[1] = r.edx;
    r = cpu_cpuid(7, 0);
    layout.cpu_features[2] = r.ebx;
    layout.cpu_features[3] = r.ecx & ~CPUID7_ECX_OSPKE;
    r = cpu_cpuid(0x80000001, 0);
    layout.cpu_features[4] = r.ecx;
    layout.cpu_features[5] = r.edx;
    size_t n = strlen(guest.backend->name);
    memcpy(layout.backend, guest.backend->name, n < sizeof layout.backend ? n : sizeof layout.backend);
    layout.device_hash = bus_masters_scan();
    return e;
}

static void open_store(void)
{
    trouble = store_open(&store, store_part, work, STORE_WORK_BYTES, &trouble_detail);
    condition = trouble == E_OK ? STORE_READY : STORE_BAD;
    enum err e = trouble ? trouble : store_unlock(&store, store_key());
    const char *detail = trouble ? trouble_detail : err_text(e);
    if (e == E_KEY)
        commands_note("store: %s: %s", err_name(e), detail);
    else if (!e && store_key() && !store.sealed)
        commands_note("the store is not encrypted and stays so; format --yes makes an encrypted one");
    if (e)
        log_line("ckpt", "store not usable: %s: %s", err_name(e), detail);
    else
        log_line("ckpt", "store open: bytes=%llu checkpoints=%u", (unsigned long long)store_usage(&store).bytes,
                 store_count(&store));
}

void checkpoint_init(enum err found, const struct block_part *part)
{
    size_t state_bytes = ckpt_devices_bytes(dev_classes, dev_class_count);
    condition = STORE_ABSENT;
    enum err pieces = describe_machine();
    trouble = found ? found : pieces;
    if (trouble) {
        trouble_detail = found ? "" : "RAM in more than 32 pieces";
        return;
    }
    work = pool_alloc_pages(align_up(STORE_WORK_BYTES, PAGE_BYTES) / PAGE_BYTES);
    restoring.devices.room = state_bytes;
    restoring.devices.mem = pool_alloc_pages(align_up(state_bytes, PAGE_BYTES) / PAGE_BYTES);
    restoring.cpus = pool_alloc_pages(align_up(cpu_count * sizeof(struct vcpu_state), PAGE_BYTES) / PAGE_BYTES);
    restoring.seen_bytes = align_up(ckpt_seen_bytes(&layout), PAGE_BYTES);
    restoring.seen = pool_alloc_pages(restoring.seen_bytes / PAGE_BYTES);
    if (!work || !restoring.devices.mem || !restoring.cpus || !restoring.seen || saving_init(&layout)) {
        trouble = E_NOMEM;
        return;
    }
    store_part = *part;
    open_store();
}

enum err checkpoint_reopen(void)
{
    if (condition == STORE_ABSENT)
        return trouble;
    enum err e = guest.mode == MODE_NATIVE ? smp_stop() : E_OK;
    if (e)
        return e;
    lock_take(&policy_pci_lock);
    e = disk_wake();
    lock_release(&policy_pci_lock);
    if (guest.mode == MODE_NATIVE)
        smp_release();
    return e ? e : disk_reopen();
}

enum err checkpoint_format(void)
{
    if (!work)
        return trouble;
    uint8_t uuid[16];
    uint64_t seed[2] = {cpu_rdtsc(), wallclock_unix_s() ^ clock_us()};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t h = hash64(seed, sizeof seed, i + 1);
        memcpy(uuid + 8 * i, &h, 8);
    }
    enum err e = checkpoint_reopen();
    if (!e)
        e = store_format(&store, store_part, work, STORE_WORK_BYTES, uuid, (int64_t)wallclock_unix_s(), store_key());
    if (e)
        return e;
    trouble_detail = "";
    trouble = E_OK;
    condition = STORE_READY;
    return E_OK;
}

static void *page_for_writing(void *ctx, gpa_t gpa)
{
    (void)ctx;
    return phys_to_virt((hpa_t){gpa.v});
}

static enum err check_cpu_state(uint32_t i, char *text, size_t len)
{
    const struct vcpu_state *s = &restoring.cpus[i];
    if (s->activity == ACTIVITY_WAIT_SIPI)
        return E_OK;
    if (!cpus[i]->present) {
        (void)str_format(text, len, "CPU %u, which the checkpoint needs, did not come up", i);
        return E_LAYOUT;
    }
    return state_check(s, text, len);
}

enum err checkpoint_restore_check(uint64_t id, char *text, size_t len)
{
    if (condition != STORE_READY)
        return checkpoint_trouble(text, len);
    enum err e = store_locked(&store) ? E_KEY : smp_stop();
    if (e)
        return e;
    e = checkpoint_reopen();
    if (!e)
        e = ckpt_restore_check(&restoring, &store, id, &layout, dev_classes, dev_class_count, text, len);
    for (uint32_t i = 0; i < cpu_count && !e; i++)
        e = check_cpu_state(i, text, len);
    smp_release();
    return e;
}

static enum err drop_cpu(struct cpu *c)
{
    transition_drop(c);
    c->start_vector = 0;
    c->init_us = 0;
    c->reset = c->suspect = false;
    return E_OK;
}

/* The guest that was here is gone; the console stays, in the run loop. All CPUs are stopped. */
static void lose_guest(void)
{
    guest.run = GUEST_NONE;
    guest.mode = MODE_VIRTUAL;
    guest.gateway_installed = false;
    base_forget();
    live_lost_track();
    enum err e = smp_each(drop_cpu, NULL);
    (void)e; /* cannot fail */
}

/* On each CPU, the devices done: its state, then its control structure. */
static enum err restore_cpu(struct cpu *c)
{
    *c->state = restoring.cpus[c->index];
    memset(c->seen_cr3, 0, sizeof c->seen_cr3);
    return transition_load(c);
}

/* All CPUs are stopped. */
static enum err restore_stopped(char *text, size_t len)
{
    bool touched = false;
    memory_touched = false;
    uint64_t id = restoring.id;
    enum err e = ckpt_restore_memory(&restoring, page_for_writing, NULL, &touched);
    if (e) {
        /* Devices are stopped before the first page is read: whoever ran on them cannot go on. */
        bool stopped = guest.run != GUEST_NONE && restoring.step >= RESTORE_QUIESCED;
        (void)str_format(text, len, "%s%s", err_text(e),
                         touched   ? "; the guest's memory is lost: restore another checkpoint or reboot"
                         : stopped ? "; the guest's devices are stopped: restore again or reboot"
                                   : "");
        memory_touched = touched;
        if (touched || stopped)
            lose_guest();
        return e;
    }
    memory_touched = true; /* until a guest runs again */
    /* A TSC that cannot be written and is ahead of the cut just kept counting, whatever happened in between (a warm
       reset that spares it). Else the clocks have run on since a cut that was made since the store was opened. */
    bool since = machine.options.restore_clock == CLOCK_CHOICE_RUN && store_made_since_open(&store, id);
    struct dev_restore_clock clock = {.run_on = tsc_writable() ? since : cpu_rdtsc() > restoring.cpus[0].tsc};
    lose_guest();
    tsc_debt_put_adjust(restoring.cpus);
    e = ckpt_restore_devices(&restoring, &clock);
    if (!e)
        e = smp_each(restore_cpu, NULL);
    if (e)
        return e;
    transition_loaded();
    tsc_debt_apply();
    memory_touched = false;
    restored_id = id;
    guest.run = GUEST_RUNNING;
    guest.settled = true;
    guest.want = guest.settle_us ? MODE_NATIVE : MODE_VIRTUAL;
    guest.leave_give_up_us = 0;
    apic_watch_update();
    console_irq_rearm();
    log_line("ckpt", "restored: id=%llu", (unsigned long long)id);
    return E_OK;
}

enum err checkpoint_restore(char *text, size_t len)
{
    tsc_debt_let_go();
    enum err e = host_timer_stop();
    if (!e)
        e = smp_stop();
    if (e)
        return e;
    e = restore_stopped(text, len);
    smp_release();
    auto_restart();
    return e;
}

enum err checkpoint_describe(uint64_t id, struct disk_meta *meta)
{
    if (condition != STORE_READY)
        return trouble;
    enum err e = checkpoint_reopen();
    return e ? e : ckpt_read_meta(&store, id, meta);
}
