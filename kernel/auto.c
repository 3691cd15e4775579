/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Checkpoints by the clock.
 *
 *   guest native:  HPET --NMI--> gateway: may be the timer's --> visit: it was --> enter, save, leave by the run loop
 *   guest virtual: HPET --NMI--> exit --> run loop: it was --> save
 *
 * One timer, armed for the moment it is due, in both modes and on both vendors; a guest that computes has no exit in between.
 * While a checkpoint is taken or restored, timer and line are the guest's: both hold what it left there. Whenever
 * the leader looks, timer and line must be as the host left them. A guest that has taken either keeps it. */
#include "kernel/auto.h"

#include "bits.h"
#include "ckpt/store.h"
#include "clock.h"
#include "kernel/auto_plan.h"
#include "kernel/checkpoint.h"
#include "kernel/console.h"
#include "kernel/cpus.h"
#include "kernel/gateway_data.h"
#include "kernel/guest.h"
#include "kernel/host_timer.h"
#include "kernel/merging.h"
#include "kernel/saving.h"
#include "log.h"
#include "str.h"

#define US_PER_S 1000000u
#define KEEP_DEFAULT 10u
#define KEEP_LEAST 2u    /* the newest may hold the fault already */
#define AGAIN_US 10000u  /* while a command of the console is under way */
#define LOOK_US 1000000u /* is the timer still ours? At exits that there are anyway */
#define PATIENCE_MAX_US 60000000u

static struct auto_report a; /* every_s 0: off */
static uint64_t due_us;

static void off(void)
{
    a.every_s = 0;
    host_timer_look_us = HOST_TIMER_NO_LOOK;
}

static void refused(enum err e, const char *why)
{
    a.failed++;
    a.last = e;
    log_line("auto", "%s: %s%s", err_name(e), why, a.every_s ? "" : "; auto is off now");
    console_notice("auto: %s: %s%s", err_name(e), why, a.every_s ? "" : "; auto is off now");
}

/* keep 0: the store is full, one chain goes. */
static void make_room(struct store *s, uint64_t keep)
{
    for (uint32_t n = 0; n < STORE_TABLE_MAX; n++) {
        uint64_t id = store_oldest_automatic(s, keep);
        if (!id)
            return;
        uint64_t parent = store_find(s, id)->parent;
        enum err failed = store_delete(s, id);
        log_line("auto", "makes room: id=%llu %s", (unsigned long long)id, err_name(failed));
        if (failed || (!keep && !parent))
            return;
    }
}

static void take(void)
{
    char why[REPORT_TEXT_MAX] = "";
    struct ckpt_result result = {0};
    struct store *s = checkpoint_store();
    bool full = s && auto_plan_full(store_chain_length(s, STORE_LATEST), a.keep);
    saving_patience_us = min_u64(a.every_s * US_PER_S / 2, PATIENCE_MAX_US);
    enum err e = checkpoint_save("auto", full, ENTRY_FLAG_AUTOMATIC, &result, why, sizeof why);
    if (e)
        refused(e, why[0] ? why : err_text(e));
    else
        a.taken++;
    if (s && (!e || e == E_FULL))
        make_room(s, e ? 0 : a.keep);
    if (s && e == E_FULL)
        merging_shorten(KEEP_LEAST, KEEP_LEAST + 1);
    else if (s && !e)
        merging_shorten(a.keep, auto_plan_most(a.keep));
    saving_patience_us = SAVING_PATIENCE_US;
    due_us = auto_plan_next(due_us, clock_us(), a.every_s * US_PER_S);
}

/* The timer for what is next. */
static enum err arm(void)
{
    uint64_t now = clock_us();
    if (!host_timer_start())
        return E_NOTIMER;
    host_timer_arm(max_u64(due_us, now + AGAIN_US) - now);
    host_timer_look_us = now + LOOK_US;
    return E_OK;
}

void auto_look(void)
{
    if (gateway.timer_tsc >> GATEWAY_TIMER_PASS && guest.mode == MODE_VIRTUAL) {
        cpus[0]->vcpu.nmi_pending = true; /* meant to be sent to it as a native one */
        gateway.timer_tsc &= ~BIT(GATEWAY_TIMER_PASS);
    }
    enum err e = host_timer_runs() && !host_timer_intact() ? E_NOTIMER : E_OK;
    uint64_t now = clock_us();
    if (!e && !console_busy() && auto_plan_due(due_us, now, host_timer_armed(), guest.mode == MODE_NATIVE))
        take();
    if (!e)
        e = arm();
    if (!e)
        return;
    off();
    enum err stopped = host_timer_stop();
    (void)stopped; /* as far as it is the host's still */
    refused(e, err_text(e));
}

void auto_visit(void)
{
    if (host_timer_visited() || !(gateway.timer_tsc >> GATEWAY_TIMER_PASS))
        auto_look();
}

void auto_restart(void)
{
    due_us = clock_us() + a.every_s * US_PER_S;
}

enum err auto_command(const struct command *c, char *text, size_t len)
{
    enum err e = E_OK;
    if (c->arg != ARG_NONE) {
        e = host_timer_stop();
        if (e)
            return e;
        off();
    }
    if (c->arg == ARG_EVERY) {
        if (!checkpoint_store())
            return checkpoint_trouble(text, len);
        if (store_locked(checkpoint_store()))
            return E_KEY;
        a = (struct auto_report){.every_s = c->every_s, .keep = c->keep ? c->keep : KEEP_DEFAULT};
        auto_restart();
        e = arm();
        if (e) {
            off();
            return e;
        }
    }
    struct auto_report r;
    auto_report(&r);
    if (!r.every_s)
        (void)str_format(text, len, "auto off");
    else
        (void)str_format(text, len, "every %llu s, keep %llu, next in %llu s, taken %llu, failed %llu, last error %s",
                         (unsigned long long)r.every_s, (unsigned long long)r.keep, (unsigned long long)r.next_s,
                         (unsigned long long)r.taken, (unsigned long long)r.failed, r.last ? err_name(r.last) : "none");
    return E_OK;
}

void auto_report(struct auto_report *r)
{
    uint64_t now = clock_us();
    *r = a;
    r->next_s = a.every_s && due_us > now ? (due_us - now + US_PER_S - 1) / US_PER_S : 0;
}
