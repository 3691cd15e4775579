/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 32-bit guest's commands, console and interrupts; narrow.h tells what it does. */
#include "narrow.h"

#define UART_IER 1u
#define UART_LCR 3u
#define UART_MCR 4u
#define UART_LSR 5u
#define LSR_DATA 1u
#define LSR_THRE BIT32(5)
#define PIC1 0x20u
#define PIC_EOI 0x20u
#define LINE_BYTES 40u
#define MB1_CMDLINE 16u
#define ONLY_THE_FIRST 8u
#define FLIPPED 0x20u

volatile uint32_t order;
static volatile uint32_t order_kind;
static uint32_t checked;

void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

uint64_t rdmsr(uint32_t number)
{
    uint64_t v;
    __asm__ volatile("rdmsr" : "=A"(v) : "c"(number));
    return v;
}

void wrmsr(uint32_t number, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "A"(value), "c"(number));
}

static void put(char ch)
{
    for (uint32_t i = 0; i < 1000000 && !(in8(COM1 + UART_LSR) & LSR_THRE); i++)
        ;
    out8(COM1, (uint8_t)ch);
}

void say(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            put('\r');
        put(*text);
    }
}

/* Hexadecimal. */
void say_number(const char *name, uint32_t value)
{
    say(name);
    put('=');
    int shift = 28;
    while (shift && !(value >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[value >> shift & 15]);
}

static void init_devices(void)
{
    static const uint8_t uart[][2] = {{UART_LCR, 0x80}, {0, 1}, {UART_IER, 0}, {UART_LCR, 3}, {2, 0}, {UART_MCR, 0x0b}};
    static const uint8_t pic[][2] = {
        {0x20, 0x11}, {0xa0, 0x11}, {0x21, VECTOR_PIC}, {0xa1, VECTOR_PIC + 8},          {0x21, 4},
        {0xa1, 2},    {0x21, 1},    {0xa1, 1},          {0x21, 0xff & ~BIT32(COM1_IRQ)}, {0xa1, 0xff}};
    for (uint32_t i = 0; i < ARRAY_LEN(uart); i++)
        out8((uint16_t)(COM1 + uart[i][0]), uart[i][1]);
    for (uint32_t i = 0; i < ARRAY_LEN(pic); i++)
        out8(pic[i][0], pic[i][1]);
}

void narrow_interrupt(struct frame *f)
{
    struct cpu *c = cpu_self();
    switch (f->vector) {
    case VECTOR_NMI:
        c->nmis++;
        return;
    case VECTOR_RELEASE:
        c->got = *f;
        narrow_back(&c->hold);
    case VECTOR_PIC + COM1_IRQ:
        while (in8(COM1 + UART_LSR) & LSR_DATA) {
            uint8_t byte = in8(COM1);
            if (byte == 'n')
                cpu_nmi_to_self();
            if (byte == 'g') {
                narrow_target[0] = narrow_target[1] = (uint32_t)narrow_release;
                cpu_v86_target(narrow_v86_exit);
            }
        }
        out8(PIC1, PIC_EOI);
        return;
    default:
        say("narrow EXCEPTION");
        say_number(" vector", f->vector);
        say_number(" error", f->error);
        say_number(" eip", f->eip);
        say_number(" cpu", c->number);
        say("\n");
        for (;;)
            __asm__ volatile("cli\n hlt");
    }
}

static void obey(struct cpu *c)
{
    uint32_t kind = order_kind;
    if (kind < 0x10) {
        if (!(kind & ONLY_THE_FIRST) || c->number == 0)
            cpu_mode(c, kind & 3);
        return;
    }
    hold_fill(c, c->number && (kind & 3) == 3 ? 1 : kind & 3);
    if (c->number == 0) {
        out8(COM1 + UART_IER, LSR_DATA);
        say("narrow holding\n");
    } else if ((kind & 3) == 2) {
        c->hold.eip = (uint32_t)narrow_spin; /* no interrupt would wake it */
    }
    narrow_hold(&c->hold);
    if (c->number == 0)
        out8(COM1 + UART_IER, 0);
    while (c->number > 0 && checked != c->number) /* one after the other: they share the UART */
        __asm__ volatile("pause" : : : "memory");
    hold_check(c);
    cpu_mode(c, c->number < CPUS_MAX ? order_kind >> 2 & 3 : 0);
    __atomic_store_n(&checked, c->number + 1, __ATOMIC_SEQ_CST);
}

static void command_all(uint32_t kind)
{
    static uint32_t number;
    narrow_target[0] = (uint32_t)narrow_spin;
    narrow_target[1] = (uint32_t)narrow_halt;
    cpu_v86_target(narrow_v86);
    checked = 0;
    order_kind = kind;
    __atomic_store_n(&order, ++number, __ATOMIC_SEQ_CST);
    obey(&cpus[0]);
    for (uint32_t i = 1; i < cpu_count; i++)
        while (cpus[i].order_done != number)
            __asm__ volatile("pause" : : : "memory");
}

void narrow_other(uint32_t number)
{
    struct cpu *c = &cpus[number];
    cpu_init(&(struct cpu){.number = number});
    c->number = number;
    for (;;) {
        uint32_t now = order;
        if (now != c->order_done) {
            obey(c);
            c->order_done = now;
        }
        __asm__ volatile("pause");
    }
}

static uint32_t hex(const char *at)
{
    uint32_t n = 0;
    for (; *at; at++)
        n = n << 4 | (uint32_t)(*at - (*at < 'a' ? '0' : 'a' - 10));
    return n;
}

static uint32_t read_command(void)
{
    char line[LINE_BYTES];
    uint32_t n = 0;
    for (;;) {
        while (!(in8(COM1 + UART_LSR) & LSR_DATA))
            __asm__ volatile("pause");
        char ch = (char)in8(COM1);
        if (ch == '\r')
            break;
        if (n < LINE_BYTES - 1)
            line[n++] = ch;
    }
    line[n] = 0;
    if (line[0] == 'f' && n >= 6) {
        cpu_flip(hex(line + 5));
        return FLIPPED;
    }
    return n < 6 ? 0xff : (line[0] == 'm' ? 0 : line[0] == 'o' ? ONLY_THE_FIRST : 0x10) + (uint32_t)(line[5] - '0');
}

static void report(void)
{
    uint32_t checks = 0, failed = 0, nmis = 0, gate, entries = cpu_footprint(&gate);
    for (uint32_t i = 0; i < cpu_count; i++) {
        checks += cpus[i].checks;
        failed += cpus[i].failed;
        nmis += cpus[i].nmis;
    }
    say_number("narrow checks", checks);
    say_number(" failed", failed);
    say_number(" nmis", nmis);
    say_number(" entries", entries);
    say_number(" gate", gate);
    say_number(" cpus", cpu_count);
    say("\n");
}

/* "cpus=N" at the command line's end. */
static uint32_t wanted_cpus(uint32_t info)
{
    const char *line = (const char *)load32((const void *)(info + MB1_CMDLINE));
    uint32_t n = 0;
    for (; *line; line++)
        n = (uint32_t)(*line - '0');
    return n >= 1 && n <= CPUS_MAX ? n : 1;
}

void narrow_main(uint32_t magic, uint32_t info)
{
    uint32_t wanted = wanted_cpus(info), mode = 0;
    (void)magic;
    init_devices();
    cpu_init(&cpus[0]);
    cpu_start_others(wanted);
    for (;;) {
        say("narrow ready\n");
        uint32_t kind = read_command();
        if ((kind & ~ONLY_THE_FIRST) < 3) {
            mode = kind & 3;
            command_all(kind);
            say("narrow mode\n");
        } else if (kind >= 0x10 && kind < 0x14) {
            command_all(kind | mode << 2);
            report();
        }
    }
}
