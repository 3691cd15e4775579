/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Console commands; see the header. They run in the host with the guest stopped: from the run loop when it is
 * virtual, from a visit when it is native. */
#include "kernel/commands.h"

#include "bits.h"
#include "ckpt/devices.h"
#include "ckpt/store_read.h"
#include "ckpt/store_speed.h"
#include "ckpt/store_text.h"
#include "clock.h"
#include "hostmem.h"
#include "io.h"
#include "kernel/auto.h"
#include "kernel/checkpoint.h"
#include "kernel/console_irq.h"
#include "kernel/digest.h"
#include "kernel/dma_watch.h"
#include "kernel/guest.h"
#include "kernel/log_control.h"
#include "kernel/machine.h"
#include "kernel/merging.h"
#include "kernel/paging.h"
#include "kernel/run.h"
#include "kernel/transition.h"
#include "kernel/tsc_debt.h"
#include "log.h"
#include "str.h"
#include "version.h"

#include <string.h>

#define BENCH_BYTES_MAX (64ull << 20)
#define LEAVE_TIMEOUT_US 2000000u
#define FLUSH_TIMEOUT_US 500000u
#define RESET_WAIT_US 100000u
#define PORT_RESET_CONTROL 0xcf9u
#define RESET_CONTROL_COLD 0x06u
#define RESET_CONTROL_ARM 0x02u
#define PORT_KBC 0x64u
#define KBC_PULSE_RESET 0xfeu

static char notes[REPORT_NOTES_MAX][REPORT_TEXT_MAX];
static uint32_t note_count;

void commands_note(const char *fmt, ...)
{
    if (note_count == REPORT_NOTES_MAX)
        return;
    va_list args;
    va_start(args, fmt);
    (void)str_vformat(notes[note_count++], REPORT_TEXT_MAX, fmt, args);
    va_end(args);
}

void commands_look_at_masters(void)
{
    if (checkpoint_condition() == STORE_READY && (guest.mode == MODE_VIRTUAL || cpu_count == 1))
        (void)dma_watch_masters();
}

static void note_masters(struct status_report *r)
{
    const struct pci_function *f;
    commands_look_at_masters();
    for (unsigned i = 0; (f = dma_watch_unknown(i)) && r->notes < REPORT_NOTES_MAX; i++)
        (void)str_format(r->note[r->notes++], REPORT_TEXT_MAX, "%02x:%02x.%x (class %06x) may write memory unseen: %s",
                         PCI_BUS(f->bdf), PCI_DEVICE(f->bdf), PCI_FUNCTION(f->bdf), f->class_code,
                         machine.options.unknown_dma == DMA_CHOICE_REFUSE ? "no checkpoints"
                                                                          : "the guest stands still for checkpoints");
}

static void do_status(struct status_report *r)
{
    r->version = SOJOURN_VERSION;
    r->backend = guest.backend ? guest.backend->name : "none";
    /* A visit is no mode: the guest rests native. */
    r->mode = guest.mode == MODE_NATIVE ? REPORT_NATIVE : REPORT_VIRTUAL;
    r->activity = REPORT_IDLE;
    r->guest = guest.run == GUEST_RUNNING  ? REPORT_RUNNING
               : guest.run == GUEST_PARKED ? REPORT_PARKED
                                           : REPORT_NO_GUEST;
    r->cpus = cpu_count;
    r->ram_bytes = machine.ram_bytes;
    r->hidden_bytes = hidden.bytes + hidden_log.bytes;
    enum store_condition c = checkpoint_condition();
    r->store.state = c == STORE_READY ? REPORT_STORE_READY : c == STORE_BAD ? REPORT_STORE_BAD : REPORT_STORE_ABSENT;
    struct store *s = checkpoint_store();
    if (s) {
        struct store_usage u = store_usage(s);
        r->store.bytes = u.bytes;
        r->store.used = u.used;
        r->store.checkpoints = u.checkpoints;
        if (store_locked(s))
            r->store.state = REPORT_STORE_LOCKED;
        (void)str_format(r->store.text, sizeof r->store.text, "%son %s, controller %02x:%02x.%x kept from the guest",
                         s->sealed ? "encrypted, " : "", machine.disk.name, (unsigned)machine.disk.store.bdf >> 8,
                         ((unsigned)machine.disk.store.bdf >> 3) & 31u, (unsigned)machine.disk.store.bdf & 7u);
    } else {
        enum err e = checkpoint_trouble(r->store.text, sizeof r->store.text);
        (void)e;
    }
    r->transitions.enter = guest.enters;
    r->transitions.leave = guest.leaves;
    r->transitions.refused = guest.refused;
    enum err last = guest.last_refusal;
    if (last == E_DIGEST)
        (void)str_format(r->transitions.last_refusal, REPORT_TEXT_MAX, "%s: %s", err_name(last), err_text(last));
    else if (last)
        (void)str_format(r->transitions.last_refusal, REPORT_TEXT_MAX, "%s: cpu %u: %s", err_name(last),
                         guest.last_refusal_cpu, err_text(last));
    for (uint32_t i = 0; i < cpu_count; i++) {
        for (unsigned k = 0; k < EXIT_KIND_COUNT; k++)
            r->exits[k] += cpus[i]->exits[k];
        r->cycles.enter = max_u64(r->cycles.enter, cpus[i]->enter_cycles);
        r->cycles.leave = max_u64(r->cycles.leave, cpus[i]->leave_cycles);
    }
    r->cycles.stop = guest.stop_cycles;
    r->stops_us.last = guest.stop_last_us;
    r->stops_us.max = guest.stop_max_us;
    static const char *const dirty_names[] = {"fault", "bit", "log"};
    r->dirty = dirty_names[cpus[0]->vcpu.dirty];
    r->hidden_writes = guest.hidden_writes_dropped;
    r->uptime_us = clock_us();
    r->first_guest_us = guest.first_entry_us;
    auto_report(&r->automatic);
    const struct checkpoint_times *t = checkpoint_last_times();
    r->checkpoint.bytes = t->bytes;
    r->checkpoint.capture_us = t->capture_us;
    r->checkpoint.look_us = t->look_us;
    r->checkpoint.write_us = t->write_us;
    r->checkpoint.wait_us = t->wait_us;
    r->checkpoint.commit_us = t->commit_us;
    if (guest.run == GUEST_PARKED)
        memcpy(r->reason, guest.park_reason, sizeof guest.park_reason);
    else if (guest.held)
        (void)str_format(r->reason, sizeof r->reason, "held until the time-stamp counter has caught up");
    else if (guest.mode == MODE_VIRTUAL && guest.last_refusal && guest.want == MODE_VIRTUAL && guest.settle_us)
        (void)str_format(r->reason, sizeof r->reason, "%s", err_text(guest.last_refusal));
    r->notes = note_count;
    memcpy(r->note, notes, sizeof r->note);
    note_masters(r);
}

static enum err do_enter(char *text, size_t len)
{
    bool ahead = guest.entered_ahead; /* done when this line was seen (kernel/transition.c) */
    guest.entered_ahead = false;
    if (guest.run != GUEST_RUNNING)
        return guest.run == GUEST_PARKED ? E_PARKED : E_NOGUEST;
    guest.want = MODE_VIRTUAL;
    tsc_debt_let_go();
    if (guest.mode == MODE_VIRTUAL) {
        if (!ahead)
            (void)str_format(text, len, "the guest is virtual already");
        return E_OK;
    }
    enum err e = transition_enter();
    if (e) {
        transition_refused("enter", e);
        (void)str_format(text, len, "cpu %u: %s; the guest stays native", guest.refusal_cpu, err_text(e));
    }
    return e;
}

static enum err do_leave(char *text, size_t len)
{
    if (guest.run != GUEST_RUNNING)
        return guest.run == GUEST_PARKED ? E_PARKED : E_NOGUEST;
    if (guest.mode == MODE_NATIVE) {
        guest.want = MODE_NATIVE;
        (void)str_format(text, len, "the guest is native already");
        return E_OK;
    }
    if (tsc_debt_left() && tsc_debt_payable()) {
        guest.want = MODE_NATIVE;
        (void)str_format(text, len, "the guest will be native once the time-stamp counter has caught up");
        return E_OK;
    }
    commands_look_at_masters();
    /* The run loop leaves as soon as it can; the answer is given there, and what was typed ahead waits for it. */
    guest.settled = true;
    guest.want = MODE_NATIVE;
    guest.leave_asked = true;
    guest.leave_give_up_us = clock_us() + LEAVE_TIMEOUT_US;
    console_defer();
    return E_OK;
}

void commands_leave_refused(enum err e)
{
    transition_refused("leave", e);
    const struct cpu *who = cpus[guest.refusal_cpu];
    log_line("run",
             "cpu=%u nmi_pending=%u host_nmi=%llu event=%u block_nmi=%u block_sti=%u block_mov_ss=%u activity=%u",
             who->index, who->vcpu.nmi_pending, (unsigned long long)who->vcpu.host_nmi, who->state->event.valid,
             who->state->block_nmi, who->state->block_sti, who->state->block_mov_ss, who->state->activity);
    if (guest.leave_asked)
        console_finish(e, "cpu %u: %s; the guest stays virtual", guest.refusal_cpu, err_text(e));
    else
        console_notice("leave refused: %s: cpu %u: %s; the guest stays virtual", err_name(e), guest.refusal_cpu,
                       err_text(e));
    guest.leave_asked = false;
}

static enum err do_checkpoint(const struct command *c, char *text, size_t len)
{
    struct ckpt_result result = {0};
    enum err e = checkpoint_save(c->label, c->options & OPT_FULL, 0, &result, text, len);
    if (e)
        return e;
    (void)str_format(text, len, "checkpoint %llu: %llu pages, %llu zero, %llu unchanged, %llu bytes, stopped %llu us",
                     (unsigned long long)result.id, (unsigned long long)result.pages,
                     (unsigned long long)result.zero_pages, (unsigned long long)result.unchanged_pages,
                     (unsigned long long)result.bytes, (unsigned long long)guest.stop_last_us);
    return E_OK;
}

static void fill_row(const struct disk_entry *e, struct checkpoint_row *row)
{
    row->id = e->id;
    memcpy(row->label, e->label, sizeof row->label);
    row->label[sizeof row->label - 1] = 0;
    row->incremental = e->kind == CKPT_INCREMENTAL;
    row->parent = e->parent;
    row->time_s = e->time > 0 ? (uint64_t)e->time : 0;
    row->pages = e->pages;
    row->bytes = store_entry_bytes(e);
    row->disk = e->disk == CKPT_DISK_CONSISTENT    ? REPORT_DISK_CONSISTENT
                : e->disk == CKPT_DISK_MEMORY_ONLY ? REPORT_DISK_MEMORY_ONLY
                                                   : REPORT_DISK_NONE;
    row->pinned = (e->flags & ENTRY_FLAG_PINNED) != 0;
    row->state = store_state_name(e);
}

static enum err do_list(uint32_t index, struct checkpoint_row *row, char *text, size_t len)
{
    struct store *s = checkpoint_store();
    if (!s)
        return checkpoint_trouble(text, len);
    if (index >= store_count(s))
        return E_NOTFOUND;
    fill_row(store_entry(s, index), row);
    return E_OK;
}

static enum err show_section(void *ctx, const struct disk_record *record, const void *data)
{
    struct checkpoint_detail *d = ctx;
    if (d->sections == REPORT_SECTIONS_MAX)
        return E_OK;
    struct checkpoint_section *x = &d->section[d->sections++];
    memcpy(x->name, record->name, RECORD_NAME_BYTES);
    x->bytes = record->payload_bytes;
    for (size_t i = 0; i < dev_class_count; i++)
        if (!strncmp(dev_classes[i]->name, record->name, RECORD_NAME_BYTES) && dev_classes[i]->show &&
            dev_classes[i]->version == record->version && dev_classes[i]->bytes == record->payload_bytes)
            dev_classes[i]->show(data, x->text, sizeof x->text);
    return E_OK;
}

static enum err do_show(uint64_t id, struct checkpoint_detail *d, char *text, size_t len)
{
    struct store *s = checkpoint_store();
    struct disk_meta meta;
    if (!s)
        return checkpoint_trouble(text, len);
    enum err e = checkpoint_describe(id, &meta);
    if (e)
        return e;
    const struct disk_entry *entry = store_find(s, id);
    fill_row(entry, &d->row);
    d->cpus = meta.layout.cpu_count;
    for (uint32_t i = 0; i < meta.layout.ram_count && i < CKPT_RANGES_MAX; i++)
        d->ram_bytes += meta.layout.ram[i].bytes;
    (void)str_format(d->made_by, sizeof d->made_by, "backend %.8s, store version %u", meta.layout.backend,
                     meta.version);
    d->restorable = ckpt_check_layout(&meta.layout, checkpoint_layout(), d->why_not, sizeof d->why_not) == E_OK;
    const struct ckpt_visitor visitor = {.section = show_section, .ctx = d};
    e = ckpt_walk(s, entry, &visitor, NULL);
    return e == E_KEY ? E_OK : e; /* the rest of it is for who has the key */
}

static enum err do_restore_check(const struct command *c, char *text, size_t len)
{
    return checkpoint_restore_check(c->arg == ARG_ID ? c->checkpoint : STORE_LATEST, text, len);
}

static enum err do_restore(const struct command *c, char *text, size_t len)
{
    (void)c;
    return checkpoint_restore(text, len);
}

static enum err do_remove(uint64_t id, char *text, size_t len)
{
    struct store *s = checkpoint_store();
    if (!s)
        return checkpoint_trouble(text, len);
    enum err e = checkpoint_reopen();
    if (e)
        return e;
    e = store_delete(s, id);
    if (e == E_BUSY)
        e = merging_take_out(id);
    if (e == E_BUSY)
        (void)str_format(text, len,
                         "several checkpoints build on it, or one next to it is being merged; delete that one");
    return e;
}

static enum err do_pin(uint64_t id, bool pinned, char *text, size_t len)
{
    struct store *s = checkpoint_store();
    if (!s)
        return checkpoint_trouble(text, len);
    enum err e = checkpoint_reopen();
    return e ? e : store_pin(s, id, pinned);
}

static enum err do_verify(uint64_t id, char *text, size_t len)
{
    struct store *s = checkpoint_store();
    if (!s)
        return checkpoint_trouble(text, len);
    enum err e = checkpoint_reopen();
    if (!e && id)
        e = ckpt_verify(s, id, NULL);
    for (uint32_t i = 0; !e && !id && i < store_count(s); i++) {
        uint64_t one = store_entry(s, i)->id;
        e = format_is_rest(store_entry(s, i)) ? E_OK : ckpt_verify(s, one, NULL);
        if (e)
            (void)str_format(text, len, "checkpoint %llu: %s", (unsigned long long)one, err_text(e));
    }
    if (!e && !id)
        (void)str_format(text, len, "%u checkpoints verified", store_count(s));
    return e;
}

static enum err do_format(char *text, size_t len)
{
    enum err e = checkpoint_format();
    if (!e)
        (void)str_format(text, len, "the store is empty now");
    return e;
}

static enum err do_bench(char *text, size_t len)
{
    struct store *s = checkpoint_store();
    struct store_speed speed;
    if (!s)
        return checkpoint_trouble(text, len);
    enum err e = checkpoint_reopen();
    if (!e)
        e = store_measure_write(s, BENCH_BYTES_MAX, &speed);
    if (!e)
        (void)str_format(text, len, "wrote %llu bytes in %llu us, flushed in %llu us", (unsigned long long)speed.bytes,
                         (unsigned long long)speed.write_us, (unsigned long long)speed.flush_us);
    return e;
}

static void do_flush(void)
{
    uint64_t end = deadline_in_us(FLUSH_TIMEOUT_US);
    while (console_tx_pending() && !deadline_passed(end))
        console_irq_send();
    console_irq_drain(FLUSH_TIMEOUT_US);
}

void machine_reset(void)
{
    const struct acpi_register *reset = &machine.acpi.reset;
    if (machine.has_acpi && reset->present && reset->space == ACPI_SPACE_IO) {
        io_out8((uint16_t)reset->address, machine.acpi.reset_value);
        clock_delay_us(RESET_WAIT_US);
    }
    io_out8(PORT_RESET_CONTROL, RESET_CONTROL_ARM);
    clock_delay_us(50);
    io_out8(PORT_RESET_CONTROL, RESET_CONTROL_COLD);
    clock_delay_us(RESET_WAIT_US);
    io_out8(PORT_KBC, KBC_PULSE_RESET);
    clock_delay_us(RESET_WAIT_US);
}

static enum err do_reboot(char *text, size_t len)
{
    machine_reset();
    (void)str_format(text, len, "no way of resetting this machine worked");
    return E_DEVICE;
}

const struct console_ops commands = {
    .version = SOJOURN_VERSION,
    .status = do_status,
    .enter = do_enter,
    .leave = do_leave,
    .checkpoint = do_checkpoint,
    .list = do_list,
    .show = do_show,
    .restore_check = do_restore_check,
    .restore = do_restore,
    .remove = do_remove,
    .pin = do_pin,
    .verify = do_verify,
    .format = do_format,
    .bench = do_bench,
    .automatic = auto_command,
    .reboot = do_reboot,
    .log_read = log_read,
    .flush = do_flush,
};
