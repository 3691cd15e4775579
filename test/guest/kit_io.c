/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Console (COM1 and port 0xe9), command line words, interrupt controller and timer of the PC. */
#include "kit.h"

#define DEBUG_PORT 0xe9u
#define THRE_TRIES 10000000 /* seconds: a busy build machine may let the emulator stand still */
#define DRAIN_TRIES 1000000
#define PIC1 0x20u
#define PIC2 0xa0u
#define PIC_CASCADE 2u
#define PIT_HZ 1193182u
#define PIT_CHANNEL0 0x40u
#define PIT_CHANNEL2 0x42u
#define PIT_MODE 0x43u
#define PIT_MODE_RATE0 0x34u     /* channel 0, both bytes, rate generator */
#define PIT_MODE_ONE_SHOT2 0xb0u /* channel 2, both bytes, interrupt on terminal count */
#define PORT_B 0x61u
#define PORT_B_GATE2 1u
#define PORT_B_SPEAKER 2u
#define PORT_B_OUT2 BIT32(5)
#define DELAY_TRIES 10000000

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

void kit_uart_init(void)
{
    static const uint8_t init[][2] = {{UART_LCR, 0x80}, {0, 1}, {UART_IER, 0}, {UART_LCR, 3}, {2, 0}, {UART_MCR, 0x0b}};
    /* 115200 8N1, OUT2 lets interrupts through. No FIFO: QEMU's raises a second edge for a byte that waits in it. */
    for (size_t i = 0; i < ARRAY_LEN(init); i++)
        out8((uint16_t)(COM1 + init[i][0]), init[i][1]);
}

void kit_read_line(char *line, size_t bytes)
{
    size_t n = 0;
    for (;;) { /* endless: a person or a test types */
        while (!(in8(COM1 + UART_LSR) & LSR_DATA))
            __asm__ volatile("pause");
        char ch = (char)in8(COM1);
        if (ch == '\r' || ch == '\n')
            break;
        if (n < bytes - 1)
            line[n++] = ch;
    }
    line[n] = 0;
}

void kit_drain(void)
{
    for (int i = 0; i < DRAIN_TRIES && !(in8(COM1 + UART_LSR) & LSR_IDLE); i++)
        ;
}

void put(char ch)
{
    for (int i = 0; i < THRE_TRIES && !(in8(COM1 + UART_LSR) & LSR_THRE); i++)
        ;
    out8(COM1, (uint8_t)ch);
    out8(DEBUG_PORT, (uint8_t)ch);
}

void say(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            put('\r');
        put(*text);
    }
}

void say_number(uint64_t value, unsigned base)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    while (n > 0)
        put(digits[--n]);
}

void say_field(const char *name, uint64_t value, unsigned base)
{
    say(name);
    say(base == 16 ? "=0x" : "=");
    say_number(value, base);
}

bool same_text(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

bool word_is(const char *p, const char *word)
{
    while (*word && *p == *word) {
        p++;
        word++;
    }
    return *word == 0 && (*p == ' ' || *p == 0);
}

const char *option(const char *line, const char *name)
{
    while (*line) {
        const char *n = name;
        const char *p = line;
        while (*n && *p == *n) {
            p++;
            n++;
        }
        if (*n == 0 && (*p == '=' || *p == ' ' || *p == 0))
            return *p == '=' ? p + 1 : p;
        while (*line && *line != ' ')
            line++;
        while (*line == ' ')
            line++;
    }
    return NULL;
}

uint64_t number(const char **p)
{
    uint64_t value = 0;
    unsigned base = 10;
    if ((*p)[0] == '0' && (*p)[1] == 'x') {
        base = 16;
        *p += 2;
    }
    for (;; (*p)++) {
        char ch = (char)(**p | 0x20);
        unsigned digit = ch >= '0' && ch <= '9' ? (unsigned)(ch - '0') : ch >= 'a' ? (unsigned)(ch - 'a' + 10) : 99;
        if (digit >= base)
            return value;
        value = value * base + digit;
    }
}

uint64_t option_number(const char *line, const char *name, uint64_t otherwise)
{
    const char *value = option(line, name);
    return value && *value >= '0' && *value <= '9' ? number(&value) : otherwise;
}

void kit_delay_us(unsigned us)
{
    uint64_t count = (uint64_t)us * PIT_HZ / 1000000u + 1;
    count = min_u64(count, 0xffff);
    out8(PORT_B, (uint8_t)((in8(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE2));
    out8(PIT_MODE, PIT_MODE_ONE_SHOT2);
    out8(PIT_CHANNEL2, (uint8_t)count);
    out8(PIT_CHANNEL2, (uint8_t)(count >> 8));
    for (int i = 0; i < DELAY_TRIES && !(in8(PORT_B) & PORT_B_OUT2); i++)
        ;
}

void kit_pic_init(uint8_t mask1, uint8_t mask2)
{
    const uint8_t init[][2] = {{PIC1, 0x11},
                               {PIC2, 0x11},
                               {PIC1 + 1, KIT_VECTOR_PIC},
                               {PIC2 + 1, KIT_VECTOR_PIC + 8},
                               {PIC1 + 1, 1u << PIC_CASCADE},
                               {PIC2 + 1, PIC_CASCADE},
                               {PIC1 + 1, 1},
                               {PIC2 + 1, 1},
                               {PIC1 + 1, mask1},
                               {PIC2 + 1, mask2}};
    for (size_t i = 0; i < ARRAY_LEN(init); i++)
        out8(init[i][0], init[i][1]);
}

void kit_timer_start(unsigned hz)
{
    out8(PIT_MODE, PIT_MODE_RATE0);
    out8(PIT_CHANNEL0, (uint8_t)(PIT_HZ / hz));
    out8(PIT_CHANNEL0, (uint8_t)(PIT_HZ / hz >> 8));
}
