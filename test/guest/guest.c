/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tiny test guest. It looks at the machine it was given and says on COM1 and port 0xe9 what it sees, then counts
   for ever: one line each half second of PIT time. Each check is one line, "check NAME ok" or "check NAME FAIL ...";
   "checks failed=N" ends them. Its command line:
     hidden=BASE+LEN  the hidden range (else: taken from the memory map; hidden=none: there is none)
     conport=0x2f8    the host's console, which must read as absent (conport=none: not checked)
     visible          CPUID may show VMX or SVM (a native start)
     selfnmi          send an NMI to itself before each line      busy   do not halt between ticks */
#include "bits.h"
#include "types.h"

void guest_main(uint32_t magic, uint32_t info);
void guest_exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t address);
void guest_timer(uint64_t vector);

extern volatile uint64_t guest_nmi_count;
static volatile uint64_t ticks;

#define MB1_MAGIC 0x2badb002u
#define MB1_HAS_CMDLINE BIT(2)
#define MB1_HAS_MODS BIT(3)
#define MB1_HAS_MMAP BIT(6)
#define COM1 0x3f8
#define DEBUG_PORT 0xe9
#define UART_LSR 5
#define LSR_THRE BIT(5)
#define PIC1 0x20
#define PIC2 0xa0
#define PIT_HZ 1193182u
#define TICKS_HZ 100u
#define LAPIC_ICR 0xfee00300u
#define ICR_SELF_NMI 0x44400u

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static uint64_t tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static void cpuid(uint32_t leaf, uint32_t *a, uint32_t *c)
{
    uint32_t b, d;
    *a = leaf;
    *c = 0;
    __asm__ volatile("cpuid" : "+a"(*a), "=b"(b), "+c"(*c), "=d"(d));
}

static void put(char ch)
{
    for (int i = 0; i < 100000 && !(in8(COM1 + UART_LSR) & LSR_THRE); i++)
        ;
    out8(COM1, (uint8_t)ch);
    out8(DEBUG_PORT, (uint8_t)ch);
}

static void say(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            put('\r');
        put(*text);
    }
}

static void say_number(uint64_t value, unsigned base)
{
    char digits[20];
    int n = 0;
    do
        digits[n++] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    while (n > 0)
        put(digits[--n]);
}

static void say_field(const char *name, uint64_t value, unsigned base)
{
    say(name);
    say(base == 16 ? "=0x" : "=");
    say_number(value, base);
}

void guest_exception(uint64_t vector, uint64_t error, uint64_t rip, uint64_t address)
{
    say_field("tiny: EXCEPTION vector", vector, 10);
    say_field(" error", error, 16);
    say_field(" rip", rip, 16);
    say_field(" cr2", address, 16);
    say("\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

void guest_timer(uint64_t vector)
{
    if (vector == 32)
        ticks++;
    if (vector >= 40)
        out8(PIC2, 0x20);
    out8(PIC1, 0x20);
}

/* The value of name= in the command line, or NULL; a bare word gives the empty string behind it. */
static const char *option(const char *line, const char *name)
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

static uint64_t number(const char **p)
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

static unsigned failed;

static void check(const char *name, bool good, const char *what, uint64_t value)
{
    say("check ");
    say(name);
    say(good ? " ok" : " FAIL");
    if (!good) {
        say_field(what, value, 16);
        failed++;
    }
    say("\n");
}

/* Prints the map; the hidden range is the highest reserved entry below 4 GiB that RAM touches from below and that is
   made of whole 2 MiB pages. */
static void show_map(uint32_t info, uint64_t *hidden, uint64_t *hidden_bytes)
{
    uint64_t ram_end = 0;
    uint64_t at = load32((void *)(uint64_t)(info + 48)), end = at + load32((void *)(uint64_t)(info + 44));
    for (; at < end; at += load32((void *)at) + 4) {
        uint64_t base = load64((void *)(at + 4)), bytes = load64((void *)(at + 12));
        uint32_t type = load32((void *)(at + 20));
        say_field("map base", base, 16);
        say_field(" end", base + bytes, 16);
        say_field(" type", type, 10);
        say("\n");
        if (type == 1)
            ram_end = base + bytes;
        if (type == 2 && base == ram_end && ((base | bytes) & (LARGE_PAGE_BYTES - 1)) == 0 && base + bytes <= BIT(32)) {
            *hidden = base;
            *hidden_bytes = bytes;
        }
    }
}

static void check_hidden(uint64_t base, uint64_t bytes)
{
    uint64_t bad_read = 0, bad_write = 0;
    say_field("hidden base", base, 16);
    say_field(" bytes", bytes, 16);
    say("\n");
    if (bytes < 64)
        return;
    for (uint64_t i = 0; i < 64; i++) {
        volatile uint64_t *p = (volatile uint64_t *)(base + (i == 63 ? bytes - 8 : align_down(bytes / 63 * i, 8)));
        if (*p != ~0ull)
            bad_read = (uint64_t)p;
    }
    check("hidden_read", bad_read == 0, " at", bad_read);
    if (bad_read) /* then it is the host's memory: writing to it would only destroy the evidence */
        return;
    for (uint64_t i = 0; i < 64; i++) {
        volatile uint64_t *p = (volatile uint64_t *)(base + (i == 63 ? bytes - 8 : align_down(bytes / 63 * i, 8)));
        *p = 0;
        if (*p != ~0ull)
            bad_write = (uint64_t)p;
    }
    check("hidden_write", bad_write == 0, " at", bad_write);
}

static void check_cpuid(void)
{
    uint32_t a, c;
    cpuid(1, &a, &c);
    check("cpuid_vmx", !(c & BIT(5)), " ecx", c);
    say(c & BIT(31) ? "cpuid hypervisor=1\n" : "cpuid hypervisor=0\n"); /* QEMU's CPUs show it even when native */
    cpuid(0x80000000, &a, &c);
    if (a < 0x80000001)
        return;
    cpuid(0x80000001, &a, &c);
    check("cpuid_svm", !(c & BIT(2)), " ecx", c);
}

static void check_console(uint16_t base)
{
    uint8_t all = 0xff;
    for (uint16_t i = 0; i < 8; i++)
        all &= in8((uint16_t)(base + i));
    check("console_absent", all == 0xff, " and", all);
}

static void start_timer(void)
{
    static const uint8_t init[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32}, {0xa1, 40},   {0x21, 4},
                                      {0xa1, 2},    {0x21, 1},    {0xa1, 1},  {0x21, 0xfe}, {0xa1, 0xff}};
    for (size_t i = 0; i < ARRAY_LEN(init); i++)
        out8(init[i][0], init[i][1]);
    out8(0x43, 0x34); /* channel 0, both bytes, rate generator */
    out8(0x40, (PIT_HZ / TICKS_HZ) & 0xff);
    out8(0x40, (PIT_HZ / TICKS_HZ) >> 8);
}

static _Noreturn void count(const char *line)
{
    bool self_nmi = option(line, "selfnmi"), busy = option(line, "busy");
    uint64_t counter = 0, next = TICKS_HZ / 2;
    __asm__ volatile("sti");
    for (;;) {
        while (ticks < next) {
            if (busy)
                __asm__ volatile("pause");
            else
                __asm__ volatile("hlt");
        }
        next += TICKS_HZ / 2;
        if (self_nmi)
            *(volatile uint32_t *)(uint64_t)LAPIC_ICR = ICR_SELF_NMI;
        say_field("count", ++counter, 10);
        say_field(" nmi", guest_nmi_count, 10);
        say_field(" tsc", tsc(), 10);
        say("\n");
    }
}

void guest_main(uint32_t magic, uint32_t info)
{
    static const char none[] = "";
    const uint8_t *mbi = (const uint8_t *)(uint64_t)info;
    uint64_t hidden = 0, hidden_bytes = 0;
    out8(COM1 + 3, 0x80); /* 115200 8N1 */
    out8(COM1, 1);
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3);
    out8(COM1 + 2, 7);
    out8(COM1 + 4, 3);
    say("tiny: long mode\n");
    check("multiboot_magic", magic == MB1_MAGIC, " eax", magic);
    if (magic != MB1_MAGIC)
        return;
    uint32_t flags = load32(mbi);
    const char *line = flags & MB1_HAS_CMDLINE ? (const char *)(uint64_t)load32(mbi + 16) : none;
    say("cmdline ");
    say(line);
    say("\n");
    if (flags & MB1_HAS_MODS) {
        const uint8_t *mod = (const uint8_t *)(uint64_t)load32(mbi + 24);
        for (uint32_t i = 0; i < load32(mbi + 20); i++, mod += 16) {
            uint64_t sum = 0;
            for (uint64_t p = load32(mod); p < load32(mod + 4); p++)
                sum = sum * 31 + *(const uint8_t *)p;
            say_field("module start", load32(mod), 16);
            say_field(" end", load32(mod + 4), 16);
            say_field(" sum", sum, 16);
            say(" string ");
            say(load32(mod + 8) ? (const char *)(uint64_t)load32(mod + 8) : none);
            say("\n");
        }
    }
    check("memory_map", flags & MB1_HAS_MMAP, " flags", flags);
    if (flags & MB1_HAS_MMAP)
        show_map(info, &hidden, &hidden_bytes);
    const char *value = option(line, "hidden");
    if (value && *value >= '0' && *value <= '9') {
        hidden = number(&value);
        value += *value == '+';
        hidden_bytes = number(&value);
    }
    if (!value || *value != 'n') {
        check("hidden_listed", hidden != 0, " base", hidden);
        check_hidden(hidden, hidden_bytes);
    }
    if (!option(line, "visible"))
        check_cpuid();
    value = option(line, "conport");
    if (!value || *value != 'n')
        check_console(value ? (uint16_t)number(&value) : 0x2f8);
    say_field("checks failed", failed, 10);
    say("\n");
    start_timer();
    count(line);
}
