/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NMI guest: counts NMIs whose number it knows. Two that come while one is handled are one, by architecture (SDM 3A
 * 6.7.1 "Handling Multiple NMIs"), so each is sent only when the one before it has been counted, and what is sent from
 * inside the long handler has to become exactly one more. On COM1:
 *
 *   self N     to this CPU by the local APIC
 *   burst N    the same, and the handler sends itself two more: each round counts two
 *   cross N    to every other CPU, which waits in HLT with IF=0, and from there back to this one
 *   storm N    self and burst in turn, that far apart, until the byte s arrives
 *   count      how many there have been, on each CPU: those from outside, too
 *   hpet       switch its counter on, as a kernel does that uses it
 *   take       set up its last timer, without interrupts; tell what is in its registers
 *   take 1     tell only
 *   hang       HLT with IF=0 for ever
 *
 * "lost": not counted within the deadline (then it is sent again); "extra": one more than sent; "nested": one inside the
 * handler of another. The command line takes x2apic, cpus=N, start=broadcast. */
#include "cpu.h"
#include "kit.h"

#define LINE_BYTES 80u
#define WAIT_TRIES 3000000u
#define STORM_WAIT_TRIES 300000u
#define SETTLE_TRIES 3000u
#define HANDLER_TRIES 1500u
#define BURST 2u
#define STORM_STOP 's'
#define HPET_BASE 0xfed00000u
#define HPET_CAPABILITIES 0u
#define HPET_CONFIG 0x10u
#define HPET_TIMER(n) (0x100u + 0x20u * (n))
#define HPET_COMPARATOR 8u
#define HPET_ROUTE (2u << 9)
#define HPET_MARK 4711u

struct nmi_cpu {
    volatile uint64_t counted, nested;
    volatile uint32_t inside, burst, answer;
};

struct result {
    uint64_t sent, counted, lost, extra;
};

static struct nmi_cpu cpus[KIT_CPUS_MAX];

static void spin(unsigned tries)
{
    while (tries--)
        cpu_pause();
}

static void send_nmi(unsigned to)
{
    kit_apic_send(kit_cpus[to].apic_id, APIC_DELIVERY_NMI);
}

bool guest_interrupt(struct kit_frame *f)
{
    struct nmi_cpu *c = &cpus[f->cpu->number];
    if (f->vector != KIT_VECTOR_NMI)
        return false;
    c->nested += c->inside;
    c->inside = 1;
    for (uint32_t n = c->burst; n; n--)
        send_nmi(f->cpu->number);
    c->burst = 0;
    spin(HANDLER_TRIES);
    if (c->answer)
        send_nmi(0);
    c->answer = 0;
    c->counted++;
    c->inside = 0;
    return true;
}

/* Sends one to the CPU, and waits until it has counted as many more as that has to give. */
static void one(struct result *r, unsigned to, uint64_t gives, unsigned tries)
{
    struct nmi_cpu *c = &cpus[to];
    uint64_t before = c->counted;
    r->sent += gives;
    send_nmi(to);
    for (unsigned i = 0; i < tries && c->counted - before < gives; i++)
        cpu_pause();
    spin(SETTLE_TRIES);
    uint64_t got = c->counted - before;
    r->counted += got;
    r->lost += got < gives ? gives - got : 0;
    r->extra += got > gives ? got - gives : 0;
}

static void self(struct result *r, uint64_t count, unsigned burst, unsigned tries)
{
    while (count--) {
        cpus[0].burst = burst;
        one(r, 0, burst ? 2 : 1, tries);
        cpus[0].burst = 0; /* if it was lost */
    }
}

static void cross(struct result *r, uint64_t count)
{
    while (count--)
        for (unsigned to = 1; to < kit_cpu_count; to++) {
            uint64_t before = cpus[0].counted;
            cpus[to].answer = 1;
            one(r, to, 1, WAIT_TRIES);
            for (unsigned i = 0; i < WAIT_TRIES && cpus[0].counted == before; i++)
                cpu_pause();
            spin(SETTLE_TRIES);
            uint64_t got = cpus[0].counted - before;
            r->sent++;
            r->counted += got;
            r->lost += got == 0;
            r->extra += got > 1 ? got - 1 : 0;
        }
}

static bool stopped(void)
{
    return in8(COM1 + UART_LSR) & LSR_DATA && in8(COM1) == STORM_STOP;
}

static void storm(struct result *r, uint64_t gap)
{
    say("nmi storm begins\n");
    for (unsigned round = 0; !stopped(); round++) {
        self(r, 1, round % 4 ? 0 : BURST, STORM_WAIT_TRIES);
        spin((unsigned)gap);
    }
}

static void report(const char *what, const struct result *r)
{
    uint64_t nested = 0;
    for (unsigned n = 0; n < kit_cpu_count; n++)
        nested += cpus[n].nested;
    say("nmi ");
    say(what);
    say_field(" sent", r->sent, 10);
    say_field(" counted", r->counted, 10);
    say_field(" lost", r->lost, 10);
    say_field(" extra", r->extra, 10);
    say_field(" nested", nested, 10);
    say("\n");
}

static void count(void)
{
    say("nmi count");
    for (unsigned n = 0; n < kit_cpu_count; n++) {
        say(" ");
        say_number(cpus[n].counted, 10);
    }
    say("\n");
}

static volatile uint32_t *hpet(uint32_t reg)
{
    return (volatile uint32_t *)(uint64_t)(HPET_BASE + reg);
}

static void take(bool only_tell)
{
    uint32_t last = HPET_TIMER(*hpet(HPET_CAPABILITIES) >> 8 & 31u);
    if (!only_tell) {
        *hpet(last) = HPET_ROUTE;
        *hpet(last + HPET_COMPARATOR) = HPET_MARK;
    }
    say_field("nmi take", only_tell, 10);
    say_field(" config", *hpet(last), 16);
    say_field(" comparator", *hpet(last + HPET_COMPARATOR), 16);
    say("\n");
}

static void hang(void)
{
    say("nmi hangs\n");
    for (;;)
        cpu_cli_hlt();
}

static void command(const char *line)
{
    struct result r = {0};
    const char *at = line;
    while (*at && *at != ' ')
        at++;
    while (*at == ' ')
        at++;
    uint64_t n = number(&at);
    if (word_is(line, "count"))
        return count();
    if (word_is(line, "take"))
        return take(n);
    if (word_is(line, "hang"))
        return hang();
    if (word_is(line, "hpet")) {
        *hpet(HPET_CONFIG) |= 1;
        return say("nmi hpet runs\n");
    }
    if (word_is(line, "self"))
        self(&r, n, 0, WAIT_TRIES);
    else if (word_is(line, "burst"))
        self(&r, n, BURST, WAIT_TRIES);
    else if (word_is(line, "cross"))
        cross(&r, n);
    else if (word_is(line, "storm"))
        storm(&r, n);
    else
        return;
    report(line, &r);
}

void guest_setup(void)
{
}

void guest_other(struct kit_cpu *cpu)
{
    (void)cpu;
    for (;;)
        cpu_cli_hlt();
}

void guest_main(void)
{
    static char line[LINE_BYTES];
    say_field("nmi boot cpus", kit_cpu_count, 10);
    say(kit_x2apic ? " mode=x2apic\n" : " mode=xapic\n");
    for (;;) {
        say("nmi ready\n");
        kit_read_line(line, sizeof line);
        command(line);
    }
}
