/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Stop-and-copy checkpoints.
 *
 *   save      stop (the guest is stopped whenever this runs) -> CPU -> devices -> [gateway out of guest memory]
 *             -> memory to the store, compressed, one write in flight -> commit -> [gateway back] -> go on
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
#include "kernel/console_irq.h"
#include "kernel/gateway_install.h"
#include "kernel/guest.h"
#include "kernel/live.h"
#include "kernel/machine.h"
#include "kernel/paging.h"
#include "kernel/policy.h"
#include "kernel/run.h"
#include "kernel/smp.h"
#include "kernel/state.h"
#include "kernel/transition.h"
#include "kernel/tsc_debt.h"
#include "kernel/wallclock.h"
#include "log.h"
#include "msr.h"
#include "str.h"

#include <string.h>

#define PCI_LIST_MAX 64u
#define CUT_TIMEOUT_US 1000000u
#define CUT_STEP_US 2000u
#define CUT_TRIES_MIN 50u
#define TURN_MAX_US 5000u
#define CPUID_FEATURE_1_ECX_IGNORE (CPUID1_ECX_OSXSAVE | CPUID1_ECX_VMX | CPUID1_ECX_HYPERVISOR)

static struct store store;
static struct block_part store_part;
static enum store_condition condition;
static enum err trouble = E_NOSTORE;
static const char *trouble_detail = "";
static void *work;
static struct ckpt_devices devices;
static struct ckpt_restore restoring;
static struct ckpt_layout layout;
static struct pci_function functions[PCI_LIST_MAX]; /* as found at boot */
static size_t function_count;
static uint64_t last_saved_id[64];
static unsigned saved_count;
static uint64_t restored_id;
static bool memory_touched;
static struct checkpoint_times last_times;
static void *page_buffer;
/* A checkpoint that is written in slices: when this one began, how many bytes of memory were done then, and how long the
   guest's last turn was. */
struct breath {
    uint64_t since, done, turn_us;
};
/* What the last attempt at a cut was given up for. */
static struct {
    uint32_t cpu;
    const char *why;
} not_quiet;

const struct checkpoint_times *checkpoint_last_times(void)
{
    return &last_times;
}

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

enum err checkpoint_trouble(char *text, size_t len)
{
    (void)str_format(text, len, "%s%s%s", err_text(trouble), *trouble_detail ? ": " : "", trouble_detail);
    return condition == STORE_READY ? E_OK : trouble;
}

static void describe_machine(void)
{
    memset(&layout, 0, sizeof layout);
    for (uint32_t i = 0; i < machine.map.count && layout.ram_count < CKPT_RANGES_MAX; i++) {
        const struct memmap_entry *e = &machine.map.entry[i];
        if (e->type != MEMMAP_RAM)
            continue;
        uint64_t base = align_up(e->base, PAGE_BYTES), end = align_down(e->end, PAGE_BYTES);
        if (base < end)
            layout.ram[layout.ram_count++] = (struct ckpt_range){base, end - base};
    }
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
    function_count = min_u64(pci_scan(functions, PCI_LIST_MAX), PCI_LIST_MAX);
    layout.device_hash = hash64(functions, function_count * sizeof functions[0], 0);
}

static void open_store(void)
{
    trouble = store_open(&store, store_part, work, STORE_WORK_BYTES, &trouble_detail);
    condition = trouble == E_OK ? STORE_READY : STORE_BAD;
    if (trouble)
        log_line("ckpt", "store not usable: %s: %s", err_name(trouble), trouble_detail);
    else
        log_line("ckpt", "store open: bytes=%llu checkpoints=%u", (unsigned long long)store_usage(&store).bytes,
                 store_count(&store));
}

void checkpoint_init(enum err found, const struct block_part *part)
{
    size_t state_bytes = ckpt_devices_bytes(dev_classes, dev_class_count);
    condition = STORE_ABSENT;
    trouble = found;
    describe_machine();
    if (found)
        return;
    work = pool_alloc_pages(align_up(STORE_WORK_BYTES, PAGE_BYTES) / PAGE_BYTES);
    devices.room = state_bytes;
    devices.mem = pool_alloc_pages(align_up(state_bytes, PAGE_BYTES) / PAGE_BYTES);
    restoring.devices.room = state_bytes;
    restoring.devices.mem = pool_alloc_pages(align_up(state_bytes, PAGE_BYTES) / PAGE_BYTES);
    restoring.cpus = pool_alloc_pages(align_up(cpu_count * sizeof(struct vcpu_state), PAGE_BYTES) / PAGE_BYTES);
    page_buffer = pool_alloc_pages(1);
    restoring.seen_bytes = align_up(ckpt_seen_bytes(&layout), PAGE_BYTES);
    restoring.seen = pool_alloc_pages(restoring.seen_bytes / PAGE_BYTES);
    if (!work || !devices.mem || !restoring.devices.mem || !restoring.cpus || !restoring.seen || !page_buffer) {
        trouble = E_NOMEM;
        return;
    }
    store_part = *part;
    if (live_init(&layout))
        log_line("ckpt", "no memory for live checkpoints: the guest will stand still for them");
    open_store();
}

enum err checkpoint_reopen(void)
{
    if (condition == STORE_ABSENT)
        return trouble;
    return disk_reopen();
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
        e = store_format(&store, store_part, work, STORE_WORK_BYTES, uuid, (int64_t)wallclock_unix_s());
    if (e)
        return e;
    trouble_detail = "";
    trouble = E_OK;
    condition = STORE_READY;
    return E_OK;
}

static const void *page_for_reading(void *ctx, gpa_t gpa)
{
    (void)ctx;
    return phys_to_virt((hpa_t){gpa.v});
}

static void *page_for_writing(void *ctx, gpa_t gpa)
{
    (void)ctx;
    return phys_to_virt((hpa_t){gpa.v});
}

/* On each CPU. E_BUSY: an interrupt waits for an EOI that cannot be replayed, or an NMI waits for the guest, which the
   state of a CPU does not hold. */
static enum err capture_cpu(struct cpu *c)
{
    bool level = lapic_level_in_service();
    if (level || c->vcpu.nmi_pending || c->start_vector || c->reset) {
        not_quiet.cpu = c->index;
        not_quiet.why = level                 ? "level interrupt in service"
                        : c->vcpu.nmi_pending ? "NMI pending"
                                              : "start or reset pending";
        return E_BUSY;
    }
    enum err e = transition_capture(c);
    if (!e)
        state_capture_xsave(c->state);
    return e;
}

/* CPUs and devices at one instant: all CPUs are stopped. E_BUSY also: a command is in flight. */
static enum err capture(void)
{
    if (devices_in_service()) {
        not_quiet.why = "PIC interrupt in service";
        return E_BUSY;
    }
    enum err e = smp_each(capture_cpu, NULL);
    if (e)
        return e;
    not_quiet.why = "a device has a command in flight";
    return ckpt_capture(&devices, dev_classes, dev_class_count);
}

/* The guest runs on for a moment; a native one becomes virtual for that. All CPUs are stopped before and after. */
static enum err let_it_run(void)
{
    if (guest.mode == MODE_NATIVE) {
        enum err e = transition_enter();
        if (e)
            return e;
        guest.want = MODE_NATIVE;
    }
    smp_release();
    run_on(CUT_STEP_US);
    enum err e = smp_stop();
    if (!e && guest.run != GUEST_RUNNING) {
        smp_release();
        e = E_PARKED;
    }
    return e;
}

/* Stops all CPUs at a moment when everything can be captured, and keeps them stopped unless it fails. */
static enum err capture_when_quiet(void)
{
    uint64_t end = deadline_in_us(CUT_TIMEOUT_US);
    enum err e = smp_stop();
    if (e)
        return e;
    e = capture();
    /* Where stopping all CPUs takes long, time alone would not say that it has been tried. */
    for (unsigned tries = 0; e == E_BUSY && (tries < CUT_TRIES_MIN || !deadline_passed(end)); tries++) {
        e = let_it_run();
        if (e)
            return e;
        e = capture();
    }
    if (e == E_BUSY)
        log_line("ckpt", "no moment to cut: cpu=%u %s", not_quiet.cpu, not_quiet.why);
    if (e)
        smp_release();
    return e;
}

/* Does a device write memory that the store's controller does not know of? Its writes go past the second-level tables, and
   would tear what is written after the cut. Bridges forward, and do nothing by themselves. */
static bool others_write_memory(void)
{
    for (size_t i = 0; i < function_count; i++) {
        const struct pci_function *f = &functions[i];
        if (f->class_code >> 16 == PCI_BASE_CLASS_BRIDGE || policy_pci_hidden(f->bdf) ||
            (f->class_code >> 8 == PCI_CLASS_USB && usb_is_halted(f)))
            continue;
        if (pci_read(f->bdf, PCI_COMMAND, 2) & PCI_COMMAND_BUS_MASTER) {
            log_line("ckpt", "the guest stands still: %02x:%02x.%x may write memory meanwhile: class=%06x",
                     PCI_BUS(f->bdf), PCI_DEVICE(f->bdf), PCI_FUNCTION(f->bdf), f->class_code);
            return true;
        }
    }
    return false;
}

static void note_stop(uint64_t start)
{
    guest.stop_last_us = clock_us() - start;
    guest.stop_max_us = max_u64(guest.stop_max_us, guest.stop_last_us);
}

/* The guest stays stopped until all is written. */
static enum err save_stopped(const struct ckpt_request *request, struct ckpt_result *result)
{
    uint64_t start = clock_us();
    enum err e = capture_when_quiet();
    if (e)
        return e;
    last_times.capture_us = clock_us() - start;
    bool gateway_in = guest.gateway_installed;
    if (gateway_in)
        gateway_install_hide();
    e = ckpt_write(&store, request, cpus[0]->state, &devices, result);
    if (gateway_in)
        gateway_install_show_again();
    smp_release();
    note_stop(start);
    return e;
}

static enum err next_page(void *ctx, uint64_t *page, void *to)
{
    (void)ctx;
    return live_take(page, to);
}

/* After an extent: half of this CPU's time is the guest's, or more if rate= says so. Without a timer its turns are as long
   as from one of its interrupts to the next, and so are the host's. */
static void breathe(void *ctx, uint64_t done, uint64_t total)
{
    struct breath *b = ctx;
    (void)total;
    uint64_t begin = clock_us(), worked = begin - b->since, rate = machine.options.rate_mib_s;
    if (worked < b->turn_us && !rate && !live_pressed())
        return;
    uint64_t due = rate ? (done - b->done) * 1000000 / (rate << 20) : 0;
    uint64_t pause = max_u64(worked, due > worked ? due - worked : 0);
    uint64_t end = deadline_in_us(pause);
    do
        run_on(pause);
    while (rate && !deadline_passed(end) && guest.run == GUEST_RUNNING && !live_pressed());
    b->done = done;
    b->since = clock_us();
    b->turn_us = min_u64(b->since - begin, TURN_MAX_US);
}

/* Stopped for the cut alone. */
static enum err save_live(struct ckpt_request *request, struct ckpt_result *result)
{
    struct breath breath = {0};
    struct ckpt_progress slices = {breathe, &breath};
    request->next = next_page;
    request->page_buffer = page_buffer;
    request->progress = &slices;
    live_prepare();
    if (guest.mode == MODE_NATIVE) {
        enum err e = transition_enter();
        if (e)
            return e;
        guest.want = MODE_NATIVE;
    }
    uint64_t start = clock_us();
    enum err e = capture_when_quiet();
    if (e)
        return e;
    memcpy(restoring.cpus, cpus[0]->state, layout.cpu_count * sizeof *restoring.cpus);
    restoring.step = RESTORE_NONE;
    live_begin();
    smp_release();
    note_stop(start);
    last_times.capture_us = guest.stop_last_us;
    run_expect_interrupts();
    breath.since = clock_us();
    e = ckpt_write(&store, request, restoring.cpus, &devices, result);
    live_end();
    return e;
}

enum err checkpoint_save(const char *label, struct ckpt_result *result, char *text, size_t len)
{
    if (condition != STORE_READY)
        return checkpoint_trouble(text, len);
    if (guest.run != GUEST_RUNNING)
        return guest.run == GUEST_PARKED ? E_PARKED : E_NOGUEST;
    enum err e = checkpoint_reopen();
    if (!e) {
        struct ckpt_request request = {
            .meta = {.label = label,
                     .time = (int64_t)wallclock_unix_s(),
                     .kind = CKPT_FULL,
                     .disk = CKPT_DISK_NONE,
                     .layout = &layout},
            .page = page_for_reading,
        };
        e = live_ready() && !others_write_memory() ? save_live(&request, result) : save_stopped(&request, result);
    }
    last_times.bytes = result->bytes;
    last_times.write_us = result->time_us;
    last_times.wait_us = result->wait_us;
    last_times.commit_us = result->commit_us;
    if (e) {
        log_line("ckpt", "checkpoint failed: %s", err_name(e));
        return e;
    }
    if (saved_count < ARRAY_LEN(last_saved_id))
        last_saved_id[saved_count++] = result->id;
    log_line("ckpt", "checkpoint: id=%llu pages=%llu zero=%llu bytes=%llu stop_us=%llu", (unsigned long long)result->id,
             (unsigned long long)result->pages, (unsigned long long)result->zero_pages,
             (unsigned long long)result->bytes, (unsigned long long)guest.stop_last_us);
    return E_OK;
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
    enum err e = smp_stop();
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

static bool saved_in_this_power_cycle(uint64_t id)
{
    for (unsigned i = 0; i < saved_count; i++)
        if (last_saved_id[i] == id)
            return true;
    return false;
}

static enum err drop_cpu(struct cpu *c)
{
    transition_drop(c);
    c->start_vector = 0;
    c->reset = c->suspect = false;
    return E_OK;
}

/* The guest that was here is gone; the console stays, in the run loop. All CPUs are stopped. */
static void lose_guest(void)
{
    guest.run = GUEST_NONE;
    guest.mode = MODE_VIRTUAL;
    guest.gateway_installed = false;
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
       reset that spares it): then all clocks move on by as much. */
    bool ahead = !tsc_writable() && cpu_rdtsc() > restoring.cpus[0].tsc;
    struct dev_restore_clock clock = {.same_power_cycle = ahead || saved_in_this_power_cycle(id)};
    lose_guest();
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
    enum err e = smp_stop();
    if (e)
        return e;
    e = restore_stopped(text, len);
    smp_release();
    return e;
}

enum err checkpoint_describe(uint64_t id, struct disk_meta *meta)
{
    if (condition != STORE_READY)
        return trouble;
    enum err e = checkpoint_reopen();
    return e ? e : ckpt_read_meta(&store, id, meta);
}
