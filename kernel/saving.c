/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Taking a checkpoint.
 *
 *   [native: enter] -> stop all CPUs at a quiet moment -> CPUs, devices -> withdraw write permission -> let go     the stop
 *                   -> pages to the store, compressed, one write in flight, in turns with the guest on this CPU;
 *                      what it writes to first is copied before (kernel/live.c) -> flush, commit -> [leave]
 *
 * A device that may write memory meanwhile, past the second-level tables, would tear it. Then the guest stands still until
 * all is written (kernel/bus_masters.c tells). */
#include "kernel/saving.h"

#include "bits.h"
#include "ckpt/dev_vga.h"
#include "ckpt/devices.h"
#include "clock.h"
#include "cpu.h"
#include "drivers/lapic.h"
#include "hostmem.h"
#include "kernel/base.h"
#include "kernel/bus_masters.h"
#include "kernel/checkpoint.h"
#include "kernel/dma_watch.h"
#include "kernel/gateway_install.h"
#include "kernel/guest.h"
#include "kernel/host_timer.h"
#include "kernel/live.h"
#include "kernel/machine.h"
#include "kernel/policy.h"
#include "kernel/run.h"
#include "kernel/smp.h"
#include "kernel/startup.h"
#include "kernel/state.h"
#include "kernel/transition.h"
#include "kernel/tsc_debt.h"
#include "kernel/turns.h"
#include "kernel/wallclock.h"
#include "log.h"
#include "str.h"

#include <string.h>

#define CUT_TIMEOUT_US 1000000u
#define CUT_TRIES_MIN 50u
#define CUT_STEP_US 2000u
#define DISK_TURN_US 1000u
#define OPEN_TURN_US 200u
#define DISK_POLL_US 10u

static const struct ckpt_layout *layout;
static struct ckpt_devices devices;
static struct vcpu_state *cut_cpus; /* as of the cut, while the CPUs go on */
static void *page_buffer;           /* of what was taken last */
static struct checkpoint_times last_times;
uint64_t saving_patience_us = SAVING_PATIENCE_US;
struct page_source {
    uint64_t twin; /* the page that may be the same as the last one, 0: none */
    bool compare;  /* when all are taken: do they have this stamp? */
    uint64_t stamp;
};
static bool torn; /* the last one was given up because they had not */
/* What the last attempt at a cut was given up for. */
static struct {
    uint32_t cpu;
    const char *why;
} not_quiet;

const struct checkpoint_times *checkpoint_last_times(void)
{
    return &last_times;
}

enum err saving_init(const struct ckpt_layout *of_machine)
{
    layout = of_machine;
    devices.room = ckpt_devices_bytes(dev_classes, dev_class_count);
    devices.mem = pool_alloc_pages(align_up(devices.room, PAGE_BYTES) / PAGE_BYTES);
    cut_cpus = pool_alloc_pages(align_up(layout->cpu_count * sizeof *cut_cpus, PAGE_BYTES) / PAGE_BYTES);
    page_buffer = pool_alloc_pages(1);
    if (!devices.mem || !cut_cpus || !page_buffer)
        return E_NOMEM;
    if (live_init(layout))
        log_line("ckpt", "no memory for live checkpoints: the guest will stand still for them");
    else if (base_init(layout))
        log_line("ckpt", "no memory for incremental checkpoints: each will be a full one");
    return E_OK;
}

/* On each CPU. E_BUSY: an interrupt waits for an EOI that cannot be replayed, or an NMI waits for the guest, which the
   state of a CPU does not hold. */
static enum err capture_cpu(struct cpu *c)
{
    bool level = lapic_level_in_service();
    bool starts = startup_pending(c);
    if (level || c->vcpu.nmi_pending || starts) {
        not_quiet.cpu = c->index;
        not_quiet.why = level                 ? "level interrupt in service"
                        : c->vcpu.nmi_pending ? "NMI pending"
                                              : "start or reset pending";
        return E_BUSY;
    }
    enum err e = transition_capture(c);
    if (!e)
        state_capture_xsave(c->state);
    if (!e && guest.mode == MODE_VIRTUAL)
        live_read_log(c);
    return e;
}

/* Of all memory as it is, or as it was taken. */
static uint64_t stamp(bool taken)
{
    struct page_cursor at;
    uint64_t page, sum = 0;
    page_cursor_start(&at, layout);
    while (page_cursor_step(&at, &page))
        sum += base_stamp(page, taken ? NULL : phys_to_virt((hpa_t){page * PAGE_BYTES}));
    return sum;
}

/* All CPUs are stopped. What is saved, and compared, is the guest's memory without the gateway. */
static void hide_gateway(bool on)
{
    static bool hidden;
    if (on && guest.gateway_installed) {
        gateway_install_hide();
        hidden = true;
    } else if (!on && hidden) {
        gateway_install_show_again();
        hidden = false;
    }
}

/* CPUs and devices at one instant: all CPUs are stopped. E_BUSY also: a command is in flight. */
static enum err capture(struct page_source *source)
{
    /* What a device writes from here on must not get into the checkpoint; what it wrote before is of the cut. */
    if (source->compare) {
        hide_gateway(true);
        source->stamp = stamp(false);
    }
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
    hide_gateway(false);
    if (guest.mode == MODE_NATIVE) {
        enum err e = transition_enter();
        if (e)
            return e;
        guest.want = MODE_NATIVE;
    }
    smp_release();
    run_on(CUT_STEP_US);
    ckpt_clear(&devices);
    enum err e = smp_stop();
    if (!e && guest.run != GUEST_RUNNING) {
        smp_release();
        e = E_PARKED;
    }
    return e;
}

/* Stops all CPUs at a moment when everything can be captured, and keeps them stopped unless it fails. */
static enum err capture_when_quiet(struct page_source *source)
{
    uint64_t end = deadline_in_us(CUT_TIMEOUT_US);
    enum err e = smp_stop();
    if (e)
        return e;
    e = capture(source);
    /* Where stopping all CPUs takes long, time alone would not say that it has been tried. */
    for (unsigned tries = 0; e == E_BUSY && (tries < CUT_TRIES_MIN || !deadline_passed(end)); tries++) {
        e = let_it_run();
        if (e)
            return e;
        e = capture(source);
    }
    if (e == E_BUSY)
        log_line("ckpt", "no moment to cut: cpu=%u %s", not_quiet.cpu, not_quiet.why);
    if (e) {
        hide_gateway(false);
        smp_release();
    }
    return e;
}

static const void *page_for_reading(void *ctx, gpa_t gpa)
{
    (void)ctx;
    return phys_to_virt((hpa_t){gpa.v});
}

/* The longest one of a checkpoint is the one to be told. */
static void note_stop(uint64_t start, uint64_t start_tsc)
{
    guest.stop_cycles = max_u64(guest.stop_cycles, cpu_rdtsc() - start_tsc);
    guest.stop_last_us = max_u64(guest.stop_last_us, clock_us() - start);
    guest.stop_max_us = max_u64(guest.stop_max_us, guest.stop_last_us);
}

/* After an extent. A guest that halts gives the rest of its turn back. */
static void breathe(void *ctx, uint64_t done, uint64_t total)
{
    struct turns *t = ctx;
    (void)total;
    uint64_t begin = clock_us(), rate = machine.options.rate_mib_s;
    uint64_t pause = turns_pause(t, begin, done, rate, live_pressed());
    if (!pause)
        return;
    uint64_t end = deadline_in_us(pause);
    do
        run_on(pause);
    while (rate && !deadline_passed(end) && guest.run == GUEST_RUNNING && !live_pressed());
    turns_back(t, begin, clock_us());
}

/* The guest stood still, its devices perhaps not. */
static bool taken_as_it_was(const struct page_source *source)
{
    torn = stamp(true) != source->stamp;
    return !torn;
}

static enum err next_page(void *ctx, uint64_t *page, const void **content)
{
    struct page_source *source = ctx;
    enum err e = E_OK;
    *content = page_buffer; /* which a twin's twin is still in */
    if (source->twin && !live_pressed() && live_take_same(source->twin, page_buffer))
        *page = source->twin;
    else
        e = live_take(page, page_buffer, content);
    source->twin = e ? 0 : base_twin(*page);
    if (e == E_NOTFOUND && !(source->compare ? taken_as_it_was(source) : dma_watch_holds()))
        e = E_DMA;
    return e;
}

/* Which pages have changed, and which of them are the same? If the pool is full before all have been looked at, then of
   those only. compare: what is looked at may be something else when it is taken. */
static void survey(const struct ckpt_request *request, bool compare)
{
    const struct ckpt_progress *turns = request->progress;
    struct page_cursor at;
    uint64_t page, done = 0, begin = clock_us();
    if (compare && request->meta.parent)
        return;
    page_cursor_start(&at, layout);
    base_survey_begin(!compare, checkpoint_store()->io[0], STORE_IO_BYTES);
    while (!live_pressed() && page_cursor_step(&at, &page)) {
        const void *content = live_peek(page);
        struct hash128 now = content ? base_hash(content) : (struct hash128){0, 0};
        if (content && live_peek(page)) /* still: so it was all the time */
            base_survey(page, now);
        if (turns && ++done % EXTENT_PAGES_MAX == 0)
            turns->step(turns->ctx, 0, 0);
    }
    last_times.look_us = clock_us() - begin;
}

static bool page_unchanged(void *ctx, uint64_t page, const void *content)
{
    (void)ctx;
    return base_unchanged(page, content);
}

static void hold_screen(bool on)
{
    live_hold(VGA_MEMORY, on ? VGA_MEMORY_BYTES : 0);
    policy_hold_vga(on);
}

/* All CPUs are stopped, everything but memory is captured: the guest goes on. E_NOTYET: there is no timer; E_DMA: a device
   cannot be followed. Then it does not, and nothing has changed. */
static enum err go_on(bool others_write)
{
    if (!run_has_timer() && !host_timer_start())
        return E_NOTYET;
    memcpy(cut_cpus, cpus[0]->state, layout->cpu_count * sizeof *cut_cpus);
    live_begin(others_write);
    if (others_write && !dma_watch_begin()) {
        live_end();
        return E_DMA;
    }
    hold_screen(true);
    smp_release();
    return E_OK;
}

/* Likewise, and they stay stopped. */
static enum err write_stopped(const struct ckpt_request *request, bool compare, struct ckpt_result *result)
{
    live_lost_track();
    hide_gateway(true);
    if (live_ready())
        survey(request, compare);
    enum err e = E_NOTYET;
    while (e == E_NOTYET) /* some pieces */
        e = ckpt_capture_more(&devices);
    if (!e)
        e = ckpt_write(checkpoint_store(), request, cpus[0]->state, &devices, result);
    hide_gateway(false);
    smp_release();
    return e;
}

/* While the disk is busy, with a flush above all, this CPU is the guest's. */
static void turn_while_disk_works(void)
{
    uint64_t begin = clock_us();
    run_on(DISK_TURN_US);
    if (clock_us() - begin < DISK_POLL_US) /* it had nothing to do, or waits for the pool */
        clock_delay_us(DISK_POLL_US);
}

/* What is saved need not fault any more at the first write, if the CPU tells by itself what the guest writes. */
static void open_again(void)
{
    while (guest.mode == MODE_VIRTUAL && guest.want != MODE_NATIVE && guest.run == GUEST_RUNNING && live_open())
        run_on(OPEN_TURN_US);
}

const struct ckpt_progress *saving_turns_begin(void)
{
    static struct turns t;
    static const struct ckpt_progress turns = {breathe, &t};
    if (guest.mode != MODE_VIRTUAL || guest.run != GUEST_RUNNING || !(run_has_timer() || host_timer_start()))
        return NULL;
    uint32_t its = 0;
    for (uint32_t i = 0; i < cpu_count; i++)
        its += cpus[i]->place == CPU_GUEST;
    turns_begin(&t, clock_us(), its, saving_patience_us);
    checkpoint_store()->part.dev->idle = turn_while_disk_works;
    return &turns;
}

void saving_turns_end(void)
{
    checkpoint_store()->part.dev->idle = NULL;
    enum err stopped = host_timer_stop();
    (void)stopped; /* virtual: it waits */
}

/* A stop for each piece of what is slow to read, the rest in one if the guest wants to write there. */
static enum err capture_rest(const struct ckpt_progress *turns)
{
    enum err e = E_NOTYET;
    while (e == E_NOTYET) {
        uint64_t start = clock_us(), start_tsc = cpu_rdtsc();
        enum err stopped = smp_stop();
        if (stopped) {
            hold_screen(false);
            return stopped;
        }
        do
            e = ckpt_capture_more(&devices);
        while (e == E_NOTYET && live_pressed());
        if (e != E_NOTYET)
            hold_screen(false);
        smp_release();
        note_stop(start, start_tsc);
        if (turns)
            turns->step(turns->ctx, 0, 0);
    }
    return e;
}

static enum err write_live(struct ckpt_request *request, struct ckpt_result *result)
{
    request->progress = saving_turns_begin();
    enum err e = capture_rest(request->progress);
    if (request->meta.parent)
        live_skip_clean();
    if (!e)
        survey(request, false);
    if (!e)
        e = ckpt_write(checkpoint_store(), request, cut_cpus, &devices, result);
    dma_watch_end();
    live_end();
    open_again();
    saving_turns_end();
    return e;
}

static enum ckpt_disk guest_disks(void)
{
    const struct pci_function *f;
    for (size_t at = 0; (f = bus_masters_next(&at));)
        if (f->class_code >> 16 == PCI_BASE_CLASS_STORAGE)
            return CKPT_DISK_MEMORY_ONLY;
    return CKPT_DISK_NONE;
}

/* Who may write memory? A native guest's other CPUs are stopped for the question. */
static enum err ask_masters(enum dma_masters *masters, enum ckpt_disk *disk)
{
    bool native = guest.mode == MODE_NATIVE;
    enum err e = native ? smp_stop() : E_OK;
    if (e)
        return e;
    *masters = dma_watch_masters();
    *disk = guest_disks();
    if (native)
        smp_release();
    const struct pci_function *f;
    for (unsigned i = 0; (f = dma_watch_unknown(i)); i++)
        log_line("ckpt", "the guest stands still: %02x:%02x.%x may write memory meanwhile: class=%06x", PCI_BUS(f->bdf),
                 PCI_DEVICE(f->bdf), PCI_FUNCTION(f->bdf), f->class_code);
    return E_OK;
}

static enum err save(struct ckpt_request *request, struct ckpt_result *result)
{
    enum dma_masters masters = DMA_UNKNOWN;
    enum err asked = ask_masters(&masters, &request->meta.disk);
    if (asked)
        return asked;
    struct page_source source = {.compare = masters == DMA_UNKNOWN};
    torn = false;
    bool live = masters != DMA_UNKNOWN && live_ready();
    if (masters == DMA_UNKNOWN && machine.options.unknown_dma == DMA_CHOICE_REFUSE)
        return E_DMA;
    if (live_ready()) {
        request->next = next_page;
        request->unchanged = page_unchanged;
        request->page_ctx = &source;
        live_prepare();
    }
    if (live && guest.mode == MODE_NATIVE) {
        enum err e = transition_enter();
        if (e)
            return e;
        guest.want = MODE_NATIVE;
    }
    ckpt_clear(&devices);
    guest.stop_cycles = guest.stop_last_us = 0;
    uint64_t start = clock_us(), start_tsc = cpu_rdtsc();
    enum err e = capture_when_quiet(&source);
    if (e)
        return e;
    last_times.capture_us = clock_us() - start;
    last_times.look_us = 0;
    base_begin(request->meta.parent);
    e = live ? go_on(masters != DMA_NOBODY) : E_NOTYET;
    if (e == E_DMA && machine.options.unknown_dma == DMA_CHOICE_REFUSE) {
        smp_release();
        return E_DMA;
    }
    live = !e;
    if (!live && masters == DMA_FOLLOWED) {
        source.compare = true;
        source.stamp = stamp(false);
    }
    if (live)
        note_stop(start, start_tsc);
    e = live ? write_live(request, result) : write_stopped(request, source.compare, result);
    if (!live)
        note_stop(start, start_tsc);
    if (!e && live_ready())
        base_is(checkpoint_store(), result->id);
    return e;
}

enum err checkpoint_save(const char *label, bool full, uint64_t flags, struct ckpt_result *result, char *text,
                         size_t len)
{
    if (checkpoint_condition() != STORE_READY)
        return checkpoint_trouble(text, len);
    if (guest.run != GUEST_RUNNING)
        return guest.run == GUEST_PARKED ? E_PARKED : E_NOGUEST;
    if (store_locked(checkpoint_store()))
        return E_KEY;
    tsc_debt_let_go();
    enum err e = host_timer_stop(); /* what is captured is the guest's own */
    if (!e)
        e = checkpoint_reopen();
    uint64_t parent = full || e ? 0 : base_find(checkpoint_store());
    if (!e) {
        struct ckpt_request request = {
            .meta = {.label = label,
                     .time = (int64_t)wallclock_unix_s(),
                     .kind = parent ? CKPT_INCREMENTAL : CKPT_FULL,
                     .layout = layout,
                     .parent = parent,
                     .flags = flags},
            .page = page_for_reading,
        };
        e = save(&request, result);
    }
    last_times.bytes = result->bytes;
    last_times.write_us = result->time_us;
    last_times.wait_us = result->wait_us;
    last_times.commit_us = result->commit_us;
    if (e) {
        if (e == E_DMA && (torn || *dma_watch_why()))
            (void)str_format(text, len, "%s",
                             torn ? "a device wrote to memory while it was saved: stop it or try again"
                                  : dma_watch_why());
        if (e == E_DEVICE)
            (void)str_format(text, len, "a device changed while it was saved; the log names it; try again");
        if (e == E_BUSY)
            (void)str_format(text, len, "no quiet moment: cpu %u: %s; try again", not_quiet.cpu, not_quiet.why);
        log_line("ckpt", "checkpoint failed: %s", err_name(e));
        return e;
    }
    struct live_counts live = live_counts();
    log_line("ckpt", "checkpoint: id=%llu parent=%llu unchanged=%llu stop_us=%llu copied=%llu waits=%llu",
             (unsigned long long)result->id, (unsigned long long)parent, (unsigned long long)result->unchanged_pages,
             (unsigned long long)guest.stop_last_us, (unsigned long long)live.kept, (unsigned long long)live.waits);
    return E_OK;
}
