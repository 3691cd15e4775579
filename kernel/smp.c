/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See the header. A call is a flag in the CPU's gateway block, which the gateway looks at before anything else,
 * and an NMI only if the CPU is not in the host already: an NMI that meets another one of the guest's would be one with
 * it, so none is sent without need. Whoever leaves the host first says so and then looks at its flag, whoever calls
 * first sets the flag and then looks whether the CPU has left: one of the two sees the other. */
#include "kernel/smp.h"

#include "clock.h"
#include "cpu.h"
#include "drivers/lapic.h"
#include "kernel/digest.h"
#include "kernel/guarded.h"
#include "kernel/traps.h"
#include "log.h"

#define OWED_TIMEOUT_US 100000u /* microseconds on hardware; an emulator may stand still for a moment */
#define STOP_TIMEOUT_US 1000000u
#define ORDER_TIMEOUT_US 30000000u

static volatile uint32_t stop; /* number of the stop in force; 0: none */
static uint32_t stops, depth, missing;
static volatile uint32_t frozen;
static volatile uint32_t order; /* number of the last order */
static enum err (*volatile order_fn)(struct cpu *c);

static bool others_wanted(const struct cpu *c)
{
    return c->present && !cpu_leads(c);
}

/* Every wait here is also one for what never comes, once a CPU has found our own bug. */
static void pause_unless_frozen(void)
{
    do
        cpu_pause();
    while (frozen);
}

bool smp_leave_host(struct cpu *c)
{
    c->gate->in_host = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!c->gate->called)
        return true;
    c->gate->in_host = 1;
    return false;
}

/* If one is owed already, it does for this call, too: of two the second might come after the first has explained both.
   Whoever takes it gives up the debt before it looks whether it is called. */
static void send_nmi(struct cpu *c)
{
    uint32_t none = 0, announced = OWED_ANNOUNCED;
    if (!__atomic_compare_exchange_n(&c->gate->owed, &none, announced, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    lapic_send(c->apic_id, LAPIC_SEND_NMI);
    /* If it was taken already, nothing is owed any more. */
    __atomic_compare_exchange_n(&c->gate->owed, &announced, OWED_SENT, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

void smp_kick(struct cpu *c)
{
    c->gate->called = 1;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!c->gate->in_host)
        send_nmi(c);
}

void smp_leave_host_for_good(struct cpu *c)
{
    if (!c->gate->in_host || smp_leave_host(c))
        return;
    c->gate->in_host = 0;
    send_nmi(c);
}

bool smp_explains_nmi(struct cpu *c)
{
    if (!c->gate->owed)
        return false;
    c->gate->owed = 0;
    return true;
}

bool smp_stopped(void)
{
    return stop != 0;
}

uint32_t smp_missing(void)
{
    return missing;
}

void smp_release(void)
{
    if (--depth == 0)
        __atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
}

enum err smp_stop(void)
{
    if (depth++)
        return E_OK;
    if (++stops == 0)
        stops = 1;
    __atomic_store_n(&stop, stops, __ATOMIC_SEQ_CST);
    for (uint32_t i = 1; i < cpu_count; i++)
        if (others_wanted(cpus[i]))
            smp_kick(cpus[i]);
    uint64_t end = 0;
    for (uint32_t i = 1; i < cpu_count; i++) {
        uint64_t again = 0;
        while (others_wanted(cpus[i]) && cpus[i]->stopped != stops) {
            if (!end)
                end = deadline_in_us(STOP_TIMEOUT_US);
            if (!again) {
                again = deadline_in_us(OWED_TIMEOUT_US);
            } else if (deadline_passed(again)) { /* what was owed has not come: it was one with another, or is lost */
                again = end;
                cpus[i]->gate->owed = 0;
                smp_kick(cpus[i]);
            }
            if (deadline_passed(end)) {
                missing = i;
                smp_release();
                log_line("smp", "cpu did not come: cpu=%u apic_id=%u us=%u", i, cpus[i]->apic_id, STOP_TIMEOUT_US);
                return E_CPU;
            }
            pause_unless_frozen();
        }
    }
    return E_OK;
}

void smp_freeze(void)
{
    if (!cpu_count)
        return; /* so early that there is nobody */
    __atomic_store_n(&frozen, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i] && cpus[i]->present && cpus[i] != cpu_self())
            smp_kick(cpus[i]);
}

static enum err carry_out(struct cpu *c, enum err (*fn)(struct cpu *c))
{
    /* Where all code is open nothing of it can turn out to be changed. */
    return digest_rest_is_open() ? fn(c) : guarded(c, fn, &c->order_stack);
}

enum err smp_each(enum err (*fn)(struct cpu *c), uint32_t *who)
{
    if (who)
        *who = 0;
    if (cpu_count == 1)
        return carry_out(cpus[0], fn);
    order_fn = fn;
    uint32_t number = order + 1;
    __atomic_store_n(&order, number, __ATOMIC_SEQ_CST);
    enum err first = carry_out(cpus[0], fn);
    cpus[0]->order_done = number;
    uint32_t whose = 0;
    uint64_t end = 0;
    for (uint32_t i = 1; i < cpu_count; i++) {
        struct cpu *c = cpus[i];
        if (!others_wanted(c))
            continue;
        while (c->order_done != number) {
            if (!end)
                end = deadline_in_us(ORDER_TIMEOUT_US);
            if (deadline_passed(end))
                panic("cpu %u does not carry out an order", i);
            pause_unless_frozen();
        }
        if (!first && c->order_result) {
            first = c->order_result;
            whose = i;
        }
    }
    if (who)
        *who = whose;
    return first;
}

/* The call was noticed before its NMI came: it is on its way, and taken here, where nobody can mistake it for the
   guest's. Not in a visit, whose NMIs stay blocked: there the gateway knows it by its time. Nor by the leader, which
   asks its console first (kernel/run.c). */
static void take_owed_nmi(struct cpu *c)
{
    if (!c->gate->owed || cpu_leads(c) || !(c->loaded || c->place == CPU_HELD))
        return;
    uint64_t end = deadline_in_us(OWED_TIMEOUT_US);
    bool sent, passed;
    do { /* this CPU may be held up, too, where one lies upon another: what was sent before the last look has come then */
        passed = deadline_passed(end);
        sent = c->gate->owed == OWED_SENT;
        traps_take_nmi();
    } while (!c->vcpu.host_nmi && !passed);
    if (!c->vcpu.host_nmi && !sent)
        return; /* the sender was held up: it is the host's when it comes */
    c->gate->owed = 0;
    if (c->vcpu.host_nmi)
        __atomic_fetch_sub(&c->vcpu.host_nmi, 1, __ATOMIC_RELAXED);
}

void smp_follow(struct cpu *c)
{
    c->gate->called = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    take_owed_nmi(c);
    if (frozen)
        pause_unless_frozen();
    /* Of this stop only: what its orders have made of this CPU has to come true before it can come to the next. */
    uint32_t mine = stop;
    c->stopped = mine;
    while (mine && stop == mine) { /* the leader's waits have deadlines, and it releases us whatever happens */
        uint32_t number = order;
        if (number != c->order_done) {
            c->order_result = carry_out(c, order_fn);
            __atomic_store_n(&c->order_done, number, __ATOMIC_SEQ_CST);
        }
        pause_unless_frozen();
    }
}
