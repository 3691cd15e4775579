/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stops, orders and calls between CPUs. Each CPU is a thread whose stack lies in a window as the host lays them out, so
 * that cpu_self() works as it is; the leader is the test itself. An NMI is a flag, taken where a CPU can take one: in the
 * guest, where the host waits, and where it asks for it. smp.c is included, so that its waits can yield. */
/* UNITS: kernel/guarded.asm */
#include "cpu.h"
#include "kernel/cpus.h"

static void fake_pause(void);
#define cpu_pause fake_pause
#include "kernel/smp.c"

#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CPUS 4u
#define ROUNDS 1000u
#define WAIT_S 20 /* of real time: longer than any scheduler lets a thread wait */
#define MISSED_US (2ull * STOP_TIMEOUT_US)
static uint64_t missed_us = MISSED_US;

struct cpu *cpus[CPUS_MAX];
uint32_t cpu_count;
struct gateway_data gateway;

/* What a CPU does between two stops. DEAF: in the guest, with NMIs held back. */
enum life { IN_GUEST, IN_HOST, DEAF, FREEZES, FROZEN, ENDED };

static uint8_t (*windows)[CPU_WINDOW_BYTES];
static pthread_t threads[CPUS];
static volatile enum life life[CPUS];
static volatile uint32_t nmi[CPUS], sent[CPUS];        /* pending; sent so far */
static volatile uint32_t follows[CPUS], foreign[CPUS]; /* returns from smp_follow(); NMIs taken for the guest's */
static volatile uint32_t outside[CPUS];                /* in the guest just now */
static volatile uint32_t runs[CPUS], told[CPUS],
    did[CPUS];                  /* orders carried out; what the last said; what came of it */
static volatile uint32_t stray; /* orders on another CPU than they are for */
static volatile enum err answer[CPUS];
static uint32_t tell, absentee; /* absentee: the clock goes on once everybody else has come; 0: it stands still */
static jmp_buf leader_froze;
static time_t test_end;
static bool running; /* the threads */
static volatile bool rest_open;

/* The test's own stack is in no window. */
static struct cpu *thread_cpu(void)
{
    struct cpu *c = cpu_self();
    for (uint32_t i = 1; i < CPUS; i++)
        if (c == cpus[i])
            return c;
    return NULL;
}

static void take_nmi(struct cpu *c)
{
    if (__atomic_exchange_n(&nmi[c->index], 0, __ATOMIC_SEQ_CST))
        __atomic_fetch_add(&c->vcpu.host_nmi, 1, __ATOMIC_SEQ_CST);
}

bool digest_rest_is_open(void)
{
    return rest_open;
}

static bool held_up; /* between a look and the next question for the time: the NMI is sent meanwhile */

void traps_take_nmi(void)
{
    struct cpu *c = thread_cpu();
    take_nmi(c ? c : cpus[1]); /* tests without threads are about CPU 1 */
    if (held_up) {
        held_up = false;
        cpus[1]->gate->owed = OWED_SENT;
        nmi[1] = 1;
        env_clock_us += STOP_TIMEOUT_US;
    }
}

static bool all_but_absentee_came(void)
{
    for (uint32_t i = 1; i < CPUS; i++)
        if (i != absentee && cpus[i]->present && cpus[i]->stopped != stops)
            return false;
    return true;
}

static void fake_pause(void)
{
    struct cpu *c = thread_cpu();
    if (c)
        take_nmi(c);
    else if (time(NULL) > test_end)
        ck_abort_msg("the leader waits for ever");
    else if (frozen)
        longjmp(leader_froze, 1);
    else if (absentee && all_but_absentee_came() && !(missed_us < MISSED_US && sent[absentee]))
        env_clock_us += missed_us; /* what has been sent comes, however long this machine takes for it */
    sched_yield();
}

void lapic_send(uint32_t apic_id, uint32_t command)
{
    ck_assert_uint_eq(command, LAPIC_SEND_NMI);
    for (uint32_t i = 0; i < CPUS; i++)
        if (cpus[i]->apic_id == apic_id) {
            ck_assert(cpus[i]->present && cpus[i]->gate->owed);
            __atomic_fetch_add(&sent[i], 1, __ATOMIC_SEQ_CST);
            __atomic_store_n(&nmi[i], 1, __ATOMIC_SEQ_CST);
            return;
        }
    ck_abort_msg("NMI to nobody: %u", apic_id);
}

/* Until the next NMI: natively, or virtual. */
static void visit_guest(struct cpu *c)
{
    uint32_t i = c->index;
    if (!smp_leave_host(c))
        return;
    outside[i] = 1;
    while (life[i] == DEAF || (!nmi[i] && life[i] == IN_GUEST))
        sched_yield();
    outside[i] = 0;
    smp_in_host(c);
    if (__atomic_exchange_n(&nmi[i], 0, __ATOMIC_SEQ_CST) && !smp_explains_nmi(c))
        foreign[i]++;
}

/* As the run loop: first the leader's orders, and what they made of this CPU; then the guest. */
static void *cpu_thread(void *arg)
{
    (void)arg;
    struct cpu *c = cpu_self();
    uint32_t i = c->index;
    while (life[i] != ENDED) {
        if (life[i] == FREEZES) {
            smp_freeze();
            life[i] = FROZEN;
        }
        if (life[i] == DEAF || life[i] == FROZEN) {
            if (life[i] == DEAF)
                visit_guest(c);
            sched_yield();
            continue;
        }
        if (smp_called(c)) {
            smp_follow(c);
            did[i] = told[i];
            __atomic_fetch_add(&follows[i], 1, __ATOMIC_SEQ_CST);
        }
        while (c->vcpu.host_nmi) {
            c->vcpu.host_nmi--;
            if (!smp_explains_nmi(c))
                foreign[i]++;
        }
        if (life[i] == IN_GUEST)
            visit_guest(c);
        else
            fake_pause();
    }
    return NULL;
}

static void set_up(void)
{
    if (!windows)
        windows = aligned_alloc(CPU_WINDOW_BYTES, CPUS * CPU_WINDOW_BYTES);
    ck_assert_ptr_nonnull(windows);
    memset(windows, 0, CPUS * CPU_WINDOW_BYTES);
    memset(&gateway, 0, sizeof gateway);
    cpu_count = CPUS;
    stop = stops = depth = missing = order = 0;
    frozen = 0;
    tell = absentee = stray = 0;
    missed_us = MISSED_US;
    rest_open = true;
    env_clock_us = 0;
    test_end = time(NULL) + WAIT_S;
    env_clock_step_us = 0;
    for (uint32_t i = 0; i < CPUS; i++) {
        struct cpu *c = cpus[i] = (struct cpu *)(void *)&windows[i][CPU_SELF_OFFSET];
        c->index = i;
        c->apic_id = 10 + i;
        c->present = true;
        c->place = CPU_GUEST;
        c->loaded = true;
        c->gate = &gateway.cpu[i];
        c->gate->in_host = 1;
        life[i] = ENDED;
        answer[i] = E_OK;
        nmi[i] = sent[i] = follows[i] = foreign[i] = outside[i] = runs[i] = told[i] = did[i] = 0;
    }
}

static void launch(enum life how)
{
    running = true;
    for (uint32_t i = 1; i < CPUS; i++) {
        pthread_attr_t attr;
        const size_t below = CPU_SELF_OFFSET + CPU_SELF_PAGES * PAGE_BYTES;
        life[i] = how;
        ck_assert_int_eq(pthread_attr_init(&attr), 0);
        ck_assert_int_eq(pthread_attr_setstack(&attr, &windows[i][below], CPU_WINDOW_BYTES - below), 0);
        ck_assert_int_eq(pthread_create(&threads[i], &attr, cpu_thread, NULL), 0);
        pthread_attr_destroy(&attr);
    }
}

/* After each test, too: one that failed must not leave its threads to the next. */
static void end_threads(void)
{
    frozen = 0;
    stop = 0;
    if (!running)
        return;
    running = false;
    for (uint32_t i = 1; i < CPUS; i++)
        life[i] = ENDED;
    for (uint32_t i = 1; i < CPUS; i++)
        pthread_join(threads[i], NULL);
}

static void wait_until(const volatile uint32_t *what, uint32_t value)
{
    const time_t end = time(NULL) + WAIT_S;
    while (*what != value && time(NULL) < end)
        sched_yield();
    ck_assert_uint_eq(*what, value);
}

static enum err note(struct cpu *c)
{
    uint32_t i = c->index;
    if (i ? cpu_self() != c : thread_cpu() != NULL)
        stray++;
    told[i] = tell;
    runs[i]++;
    return answer[i];
}

/* Every CPU has carried out n orders, and none is in the guest. */
static void expect_runs(uint32_t n)
{
    for (uint32_t i = 0; i < CPUS; i++) {
        ck_assert_uint_eq(runs[i], cpus[i]->present ? n : 0);
        ck_assert(!cpus[i]->present || !outside[i]);
    }
    ck_assert_uint_eq(stray, 0);
}

/* No NMI that a CPU sent another has been taken for the guest's. */
static void expect_no_foreign(void)
{
    for (uint32_t i = 0; i < CPUS; i++)
        ck_assert_uint_eq(foreign[i], 0);
}

START_TEST(stop_order_release)
{
    static const enum life lives[] = {IN_GUEST, IN_HOST};
    for (size_t l = 0; l < ARRAY_LEN(lives); l++) {
        set_up();
        launch(lives[l]);
        for (uint32_t round = 1; round <= ROUNDS; round++) {
            uint32_t who = 77;
            ck_assert_int_eq(smp_stop(), E_OK);
            ck_assert(smp_stopped());
            expect_runs(2 * (round - 1));
            ck_assert_int_eq(smp_each(note, &who), E_OK);
            ck_assert_uint_eq(who, 0);
            expect_runs(2 * round - 1);
            ck_assert_int_eq(smp_each(note, NULL), E_OK);
            expect_runs(2 * round);
            smp_release();
            ck_assert(!smp_stopped());
            for (uint32_t i = 1; i < CPUS; i++) {
                const time_t end = time(NULL) + WAIT_S;
                while (follows[i] < round && time(NULL) < end)
                    sched_yield();
                ck_assert_uint_ge(follows[i], round);
            }
        }
        end_threads();
        expect_no_foreign();
        for (uint32_t i = 1; i < CPUS; i++)
            ck_assert(lives[l] == IN_GUEST ? sent[i] > 0 : sent[i] == 0); /* the flag is enough in the host */
        ck_assert_uint_eq(sent[0], 0);
    }
}
END_TEST

START_TEST(stops_nest)
{
    set_up();
    launch(IN_GUEST);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        ck_assert_int_eq(smp_stop(), E_OK);
        uint32_t before = stops;
        ck_assert_int_eq(smp_stop(), E_OK);
        ck_assert_int_eq(smp_stop(), E_OK);
        ck_assert_uint_eq(stops, before);
        smp_release();
        ck_assert(smp_stopped());
        ck_assert_int_eq(smp_each(note, NULL), E_OK);
        smp_release();
        ck_assert(smp_stopped());
        ck_assert_int_eq(smp_each(note, NULL), E_OK);
        expect_runs(2 * round + 2);
        smp_release();
        ck_assert(!smp_stopped());
    }
    end_threads();
    expect_no_foreign();
}
END_TEST

START_TEST(the_first_failure_by_index)
{
    static const struct {
        enum err answers[CPUS], first;
        uint32_t who;
    } cases[] = {
        {{E_OK, E_OK, E_OK, E_IO}, E_IO, 3},     {{E_OK, E_OK, E_GDT, E_IO}, E_GDT, 2},
        {{E_OK, E_MODE, E_OK, E_IO}, E_MODE, 1}, {{E_GATE, E_MODE, E_GDT, E_IO}, E_GATE, 0},
        {{E_OK, E_OK, E_OK, E_OK}, E_OK, 0},
    };
    set_up();
    launch(IN_GUEST);
    ck_assert_int_eq(smp_stop(), E_OK);
    for (uint32_t n = 0; n < ARRAY_LEN(cases); n++) {
        for (uint32_t i = 0; i < CPUS; i++)
            answer[i] = cases[n].answers[i];
        uint32_t who = 77;
        ck_assert_int_eq(smp_each(note, &who), cases[n].first);
        ck_assert_uint_eq(who, cases[n].who);
        expect_runs(n + 1); /* all of them, whoever failed */
    }
    smp_release();
    end_threads();
}
END_TEST

/* What kernel/traps.c does to an order that meets changed code: on whatever stack, with whatever registers. */
static __attribute__((no_sanitize("address"))) enum err meets_damage(struct cpu *c)
{
    if (answer[c->index] != E_DIGEST)
        return note(c);
    ck_assert_uint_ne(c->order_stack, 0);
    __asm__ volatile("mov %0, %%rsp\n"
                     "mov %1, %%eax\n"
                     "xor %%ebx, %%ebx\n"
                     "xor %%ebp, %%ebp\n"
                     "xor %%r12d, %%r12d\n"
                     "xor %%r13d, %%r13d\n"
                     "xor %%r14d, %%r14d\n"
                     "xor %%r15d, %%r15d\n"
                     "jmp guarded_end"
                     :
                     : "c"(c->order_stack), "i"(E_DIGEST));
    __builtin_unreachable();
}

START_TEST(an_order_that_meets_damage_ends)
{
    set_up();
    rest_open = false;
    launch(IN_GUEST);
    for (uint32_t whose = 0; whose < CPUS; whose++) {
        for (uint32_t i = 0; i < CPUS; i++) {
            answer[i] = i == whose ? E_DIGEST : E_OK;
            runs[i] = 0;
        }
        uint32_t who = 77;
        ck_assert_int_eq(smp_stop(), E_OK);
        ck_assert_int_eq(smp_each(meets_damage, &who), E_DIGEST);
        ck_assert_uint_eq(who, whose);
        for (uint32_t i = 0; i < CPUS; i++) {
            ck_assert_uint_eq(runs[i], i != whose);
            ck_assert_uint_eq(cpus[i]->order_stack, 0);
            answer[i] = E_OK;
        }
        ck_assert_int_eq(smp_each(note, &who), E_OK); /* the next is carried out by all */
        smp_release();
    }
    end_threads();
    expect_no_foreign();
}
END_TEST

START_TEST(an_absent_cpu_is_left_alone)
{
    set_up();
    cpus[2]->present = false;
    launch(IN_GUEST);
    life[2] = DEAF;
    for (uint32_t round = 1; round <= ROUNDS / 10; round++) {
        ck_assert_int_eq(smp_stop(), E_OK);
        ck_assert_int_eq(smp_each(note, NULL), E_OK);
        expect_runs(round);
        smp_release();
    }
    end_threads();
    ck_assert(!cpus[2]->gate->called && !sent[2]);
    expect_no_foreign();
}
END_TEST

START_TEST(one_cpu_alone)
{
    set_up();
    cpu_count = 1;
    ck_assert_int_eq(smp_stop(), E_OK);
    ck_assert_int_eq(smp_each(note, NULL), E_OK);
    ck_assert_uint_eq(runs[0], 1);
    smp_release();
    ck_assert(!smp_stopped());
}
END_TEST

/* Released, and stopped again at once: what the first stop made of a CPU must have come true before it is stopped for the
   second, and the leader looks at it. */
START_TEST(acts_on_one_stop_before_the_next)
{
    set_up();
    launch(IN_GUEST);
    ck_assert_int_eq(smp_stop(), E_OK);
    for (tell = 1; tell <= ROUNDS; tell++) {
        ck_assert_int_eq(smp_each(note, NULL), E_OK);
        smp_release();
        ck_assert_int_eq(smp_stop(), E_OK);
        for (uint32_t i = 1; i < CPUS; i++)
            ck_assert_uint_eq(did[i], tell);
    }
    smp_release();
    end_threads();
    expect_no_foreign();
}
END_TEST

START_TEST(a_cpu_that_does_not_come)
{
    for (absentee = 1; absentee < CPUS; absentee++) {
        uint32_t who = absentee;
        set_up();
        absentee = who;
        launch(IN_GUEST);
        life[who] = DEAF;
        wait_until(&outside[who], 1);
        for (uint32_t time_ = 1; time_ <= 3; time_++) {
            ck_assert_int_eq(smp_stop(), E_CPU);
            ck_assert_uint_eq(smp_missing(), who);
            ck_assert(!smp_stopped());
            ck_assert_uint_eq(depth, 0);
            char line[80];
            snprintf(line, sizeof line, "cpu did not come: cpu=%u apic_id=%u", who, 10 + who);
            ck_assert_ptr_nonnull(strstr(env_log, line));
            /* The others go on, with nothing done. */
            for (uint32_t i = 1; i < CPUS; i++)
                if (i != who) {
                    wait_until(&outside[i], 1);
                    ck_assert_uint_ge(follows[i], time_);
                }
            for (uint32_t i = 0; i < CPUS; i++)
                ck_assert_uint_eq(runs[i], 0);
        }
        /* It comes at last, finds that nobody wants anything any more, and is there the next time. */
        life[who] = IN_GUEST;
        wait_until(&outside[who], 1);
        absentee = 0;
        ck_assert_int_eq(smp_stop(), E_OK);
        ck_assert_int_eq(smp_each(note, NULL), E_OK);
        expect_runs(1);
        smp_release();
        end_threads();
        expect_no_foreign();
        absentee = who;
    }
}
END_TEST

/* What it was sent went under: it is sent another one in time. */
START_TEST(an_nmi_that_is_lost)
{
    set_up();
    missed_us = OWED_TIMEOUT_US / 50;
    launch(IN_GUEST);
    wait_until(&outside[2], 1);
    absentee = 2;
    cpus[2]->gate->owed = OWED_SENT;
    uint64_t before = env_clock_us;
    ck_assert_int_eq(smp_stop(), E_OK);
    ck_assert_uint_eq(sent[2], 1);
    ck_assert(env_clock_us - before >= OWED_TIMEOUT_US && env_clock_us - before < STOP_TIMEOUT_US);
    smp_release();
    end_threads();
    expect_no_foreign();
}
END_TEST

static enum err freeze_here(struct cpu *c)
{
    if (c->index == 3)
        smp_freeze();
    return E_OK;
}

/* The others neither go back to the guest nor finish what they were called for. */
static void expect_frozen(void)
{
    const struct timespec a_while = {.tv_nsec = 20000000};
    uint32_t before[CPUS];
    for (uint32_t i = 1; i < 3; i++)
        wait_until(&outside[i], 0);
    for (uint32_t i = 0; i < CPUS; i++)
        before[i] = follows[i];
    nanosleep(&a_while, NULL);
    for (uint32_t i = 0; i < CPUS; i++) {
        ck_assert_uint_eq(follows[i], before[i]);
        ck_assert_uint_eq(outside[i], 0);
    }
}

START_TEST(freezing_is_for_good)
{
    /* Found while the guest runs. The leader, waiting for something, freezes too. */
    set_up();
    launch(IN_GUEST);
    for (uint32_t i = 1; i < CPUS; i++)
        wait_until(&outside[i], 1);
    life[3] = FREEZES;
    wait_until(&frozen, 1);
    expect_frozen();
    ck_assert(cpus[0]->gate->called && !cpus[3]->gate->called); /* everybody else */
    if (!setjmp(leader_froze)) {
        (void)!smp_stop();
        ck_abort_msg("the leader goes on");
    }
    expect_frozen();
    frozen = 0;
    smp_release();
    end_threads();

    /* Found while all carry out an order; not even a release ends it. */
    set_up();
    launch(IN_GUEST);
    ck_assert_int_eq(smp_stop(), E_OK);
    if (!setjmp(leader_froze)) {
        (void)!smp_each(freeze_here, NULL);
        ck_abort_msg("the leader goes on");
    }
    smp_release();
    expect_frozen();
    if (!setjmp(leader_froze)) {
        smp_follow(cpus[0]);
        ck_abort_msg("the leader goes on");
    }
    frozen = 0;
    end_threads();
}
END_TEST

START_TEST(whose_nmi)
{
    set_up();
    struct cpu *c = cpus[1];
    ck_assert(!smp_explains_nmi(c)); /* none is under way */
    c->gate->in_host = 0;
    smp_kick(c);
    ck_assert(c->gate->called && c->gate->owed && sent[1] == 1);
    ck_assert(smp_explains_nmi(c));
    ck_assert(!smp_explains_nmi(c)); /* one explains one */
    ck_assert(!c->gate->owed);
    smp_kick(c);
    smp_kick(c); /* one that is under way is enough, */
    smp_leave_host_for_good(c);
    ck_assert_uint_eq(sent[1], 2);
    ck_assert(smp_explains_nmi(c));
    c->gate->owed = OWED_ANNOUNCED; /* and one that somebody is about to send */
    smp_kick(c);
    ck_assert_uint_eq(sent[1], 2);
    ck_assert(smp_explains_nmi(c));
    /* In the host the flag is enough, and it must not be taken for an NMI to come. */
    c->gate->in_host = 1;
    c->gate->called = 0;
    smp_kick(c);
    ck_assert(c->gate->called && !c->gate->owed && sent[1] == 2);
}
END_TEST

START_TEST(leaving_the_host)
{
    set_up();
    struct cpu *c = cpus[1];
    ck_assert(smp_leave_host(c));
    ck_assert(!c->gate->in_host);
    smp_in_host(c);
    c->gate->called = 1;
    ck_assert(!smp_leave_host(c));
    ck_assert(c->gate->in_host && c->gate->called && !sent[1]);
    /* No way to stay: then by NMI. */
    smp_leave_host_for_good(c);
    ck_assert(!c->gate->in_host && c->gate->called && c->gate->owed && sent[1] == 1);
    smp_leave_host_for_good(c); /* outside already: whoever calls sees to it */
    ck_assert_uint_eq(sent[1], 1);
    set_up();
    smp_leave_host_for_good(c);
    ck_assert(!c->gate->in_host && !c->gate->owed && !sent[1]);
}
END_TEST

/* The call was noticed without its NMI. */
START_TEST(an_nmi_that_is_owed)
{
    static const struct {
        const char *what;
        uint32_t cpu;
        uint32_t owed;
        bool pending, loaded;
        enum cpu_place place;
        uint64_t host_nmi;
        bool taken; /* the NMI, and with it the debt */
        uint64_t left;
    } cases[] = {
        {"virtual", 1, OWED_SENT, true, true, CPU_GUEST, 0, true, 0},
        {"held", 1, OWED_SENT, true, false, CPU_HELD, 0, true, 0},
        {"in a visit NMIs stay blocked", 1, OWED_SENT, true, false, CPU_GUEST, 0, false, 0},
        {"the leader asks its console first", 0, OWED_SENT, true, true, CPU_GUEST, 0, false, 0},
        {"none owed", 1, 0, true, true, CPU_GUEST, 0, false, 0},
        {"none owed, one of the guest's here", 1, 0, false, true, CPU_GUEST, 1, false, 1},
        {"it was one with another, which has been taken", 1, OWED_SENT, false, true, CPU_GUEST, 0, true, 0},
        {"its sender was held up before it sent it", 1, OWED_ANNOUNCED, false, true, CPU_GUEST, 0, false, 0},
        {"its sender was held up after it had sent it", 1, OWED_ANNOUNCED, true, true, CPU_GUEST, 0, true, 0},
        {"it has come already", 1, OWED_SENT, false, true, CPU_GUEST, 1, true, 0},
        {"one of the guest's, too", 1, OWED_SENT, true, true, CPU_GUEST, 1, true, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        set_up();
        env_clock_step_us = 10; /* nobody waits for ever */
        struct cpu *c = cpus[cases[i].cpu];
        c->loaded = cases[i].loaded;
        c->place = cases[i].place;
        c->vcpu.host_nmi = cases[i].host_nmi;
        c->gate->called = 1;
        c->gate->owed = cases[i].owed;
        nmi[1] = cases[i].pending;
        smp_follow(c);
        ck_assert_msg(!c->gate->called, "%s", cases[i].what);
        ck_assert_msg(c->gate->owed == (cases[i].taken ? 0 : cases[i].owed), "%s", cases[i].what);
        ck_assert_msg(nmi[1] == (cases[i].pending && !cases[i].taken), "%s", cases[i].what);
        ck_assert_msg(c->vcpu.host_nmi == cases[i].left, "%s: %u", cases[i].what, (unsigned)c->vcpu.host_nmi);
    }
    set_up();
    held_up = true;
    cpus[1]->loaded = true;
    cpus[1]->gate->called = 1;
    cpus[1]->gate->owed = OWED_ANNOUNCED;
    smp_follow(cpus[1]);
    ck_assert(!cpus[1]->gate->owed && !nmi[1] && !cpus[1]->vcpu.host_nmi);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("smp");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 300);
    tcase_add_checked_fixture(t, NULL, end_threads);
    tcase_add_test(t, stop_order_release);
    tcase_add_test(t, stops_nest);
    tcase_add_test(t, the_first_failure_by_index);
    tcase_add_test(t, an_order_that_meets_damage_ends);
    tcase_add_test(t, an_absent_cpu_is_left_alone);
    tcase_add_test(t, one_cpu_alone);
    tcase_add_test(t, acts_on_one_stop_before_the_next);
    tcase_add_test(t, a_cpu_that_does_not_come);
    tcase_add_test(t, an_nmi_that_is_lost);
    tcase_add_test(t, freezing_is_for_good);
    tcase_add_test(t, whose_nmi);
    tcase_add_test(t, leaving_the_host);
    tcase_add_test(t, an_nmi_that_is_owed);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("smp", suite)
