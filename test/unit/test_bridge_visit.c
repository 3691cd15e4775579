/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose an NMI of a native 32-bit guest is: the console's, another CPU's call, the host's timer, an echo, or the guest's own. */
#include "kernel/bridge_visit.c"
#include "unit.h"

#define PORT 0x2f8u
#define NOW 1000000u
#define RIP 0x12345u

struct gateway_data gateway;
struct bridge bridge;
struct guest guest;
const uint8_t bridge_page[1], bridge_leave[1];
static struct gateway_cpu block;
static struct cpu leader;
static uint8_t iir;
static unsigned hushed;

uint8_t io_in8(uint16_t port)
{
    ck_assert_uint_eq(port, PORT + UART_IIR);
    return iir;
}

void console_irq_hush(void)
{
    hushed++;
}

uint64_t gateway_slot32_entry(const void *table, enum paging_format format, unsigned i)
{
    (void)table, (void)format, (void)i;
    return 0;
}

unsigned gateway_slot32_entry_bytes(enum paging_format format)
{
    (void)format;
    return 4;
}

static void quiet(void)
{
    memset(&gateway, 0, sizeof gateway);
    memset(&block, 0, sizeof block);
    leader.gate = &block;
    hushed = 0;
    iir = UART_IIR_NONE;
    gateway.uart_port = PORT;
    gateway.forgive_cycles = 100;
    block.has_console = 1;
    block.tsc_in = NOW;
    block.frame.rip = RIP;
}

static void forgivable(void)
{
    gateway.forgive = 1;
    gateway.forgive_rip = RIP;
    gateway.forgive_tsc = NOW - 50;
}

static uint64_t sorted(void)
{
    bridge_sort_nmi(&leader);
    return block.nmi;
}

START_TEST(without_a_cause_it_is_the_guests)
{
    quiet();
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_GUESTS);
    ck_assert_uint_eq(block.foreign, 1);
    gateway.timer_tsc = NOW + 1; /* not yet */
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_GUESTS);
    ck_assert_uint_eq(gateway.timer_tsc, NOW + 1);
}
END_TEST

START_TEST(calls_and_bytes_are_ours)
{
    quiet();
    block.called = block.owed = 1;
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_OURS);
    ck_assert_uint_eq(block.owed, 0);
    quiet();
    iir = 4;
    block.owed = 1;
    gateway.timer_tsc = NOW / 2;
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_OURS);
    ck_assert(hushed == 1 && block.owed == 1 && gateway.timer_tsc == NOW / 2 && block.ours == 1);
}
END_TEST

START_TEST(an_echo_is_nobodys_once)
{
    quiet();
    block.owed = 1;
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_ECHO);
    forgivable();
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_ECHO);
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_GUESTS);
    forgivable();
    block.frame.rip = RIP + 1;
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_GUESTS);
    forgivable();
    block.frame.rip = RIP;
    gateway.forgive_tsc = NOW - 100;
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_GUESTS);
    ck_assert_uint_eq(block.foreign, 3);
}
END_TEST

/* It came in a visit, or was sent again at its end: then it hits the very instruction at which the guest goes on. */
START_TEST(the_timers_is_not_forgiven)
{
    quiet();
    forgivable();
    gateway.timer_tsc = 1;
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_OURS);
    ck_assert(gateway.timer_tsc == 0 && gateway.forgive == 1 && block.ours == 1);
    quiet();
    forgivable();
    gateway.timer_tsc = NOW / 2 | BIT(GATEWAY_TIMER_PASS); /* looked at: it was not the timer's */
    ck_assert_uint_eq(sorted(), BRIDGE_NMI_ECHO);
    ck_assert_uint_eq(gateway.timer_tsc, NOW / 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *u = suite_create("bridge_visit");
    TCase *c = tcase_create("all");
    tcase_add_test(c, without_a_cause_it_is_the_guests);
    tcase_add_test(c, calls_and_bytes_are_ours);
    tcase_add_test(c, an_echo_is_nobodys_once);
    tcase_add_test(c, the_timers_is_not_forgiven);
    suite_add_tcase(u, c);
    return u;
}

UNIT_MAIN("bridge_visit", suite)
