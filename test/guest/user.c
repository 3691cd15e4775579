/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process has of the CPU beyond its general registers, used again and again while its kernel is entered, left, saved and restored:
 * I/O permissions, a segment of its own, single steps, a watchpoint, the 32-bit system call, TSC_AUX, and the upper halves of vector
 * registers. Prints a line USER-BAD and ends when something is not as it should be; keeps a count of rounds in /tmp/user-rounds.
 *   user [nowatch]   without the watchpoint: QEMU ends with SIGSEGV when one is armed across VMRUN */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORT_DELAY 0x80
#define PORT_VGA_MISC 0x3cc
#define LDT_ENTRY 3
#define LDT_SELECTOR (LDT_ENTRY << 3 | 7)
#define SEGMENT ((void *)0x10000000)
#define PAGE 4096u
#define STEPS 6 /* instructions from the POPF that sets TF on, to the one that clears it */
#define WRITES 10u
#define GETPID_32 20
#define SPIN 3000u
#define COUNT_EVERY 64u

static unsigned long rounds;
static volatile sig_atomic_t traps;
static volatile uint64_t watched;
static const uint64_t pattern[4] = {0x1111, 0x2222, 0x3333, 0x4444};

static void expect(const char *what, uint64_t found, uint64_t wanted)
{
    if (found == wanted)
        return;
    printf("USER-BAD round=%lu %s: found=%#llx wanted=%#llx\n", rounds, what, (unsigned long long)found,
           (unsigned long long)wanted);
    fflush(stdout);
    exit(1);
}

static void on_trap(int number)
{
    (void)number;
    traps++;
}

static void ports(void)
{
    outb((unsigned char)(rounds & 0xff), PORT_DELAY);
    (void)inb(PORT_VGA_MISC);
}

static void make_segment(void)
{
    void *at = mmap(SEGMENT, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    struct user_desc d = {.entry_number = LDT_ENTRY,
                          .base_addr = (unsigned)(uintptr_t)SEGMENT,
                          .limit = PAGE - 1,
                          .seg_32bit = 1,
                          .useable = 1};
    expect("mmap", at != SEGMENT, 0);
    memcpy(at, pattern, sizeof pattern);
    expect("modify_ldt", (uint64_t)syscall(SYS_modify_ldt, 1, &d, sizeof d), 0);
}

static void segment(void)
{
    uint64_t value;
    uint16_t selector;
    __asm__ volatile("movw %1, %%gs\n\tmovq %%gs:16, %0" : "=r"(value) : "r"((uint16_t)LDT_SELECTOR));
    expect("segment", value, pattern[2]);
    for (volatile unsigned i = 0; i < SPIN; i++)
        ;
    __asm__ volatile("movw %%gs, %0\n\tmovq %%gs:24, %1" : "=r"(selector), "=r"(value));
    expect("selector", selector, LDT_SELECTOR);
    expect("segment, later", value, pattern[3]);
    __asm__ volatile("movw %0, %%gs" : : "r"((uint16_t)0));
}

static void single_steps(void)
{
    traps = 0;
    __asm__ volatile(
        "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tnop\n\tnop\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq"
        :
        :
        : "memory", "cc");
    expect("single steps", (uint64_t)traps, STEPS);
}

static int open_watchpoint(void)
{
    struct perf_event_attr a = {.type = PERF_TYPE_BREAKPOINT,
                                .size = sizeof a,
                                .bp_type = HW_BREAKPOINT_W,
                                .bp_addr = (uintptr_t)&watched,
                                .bp_len = sizeof watched};
    int fd = (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
    expect("perf_event_open", fd < 0, 0);
    return fd;
}

static void watchpoint(int fd)
{
    uint64_t before = 0, after = 0;
    expect("read", (uint64_t)read(fd, &before, sizeof before), sizeof before);
    for (unsigned i = 0; i < WRITES; i++)
        watched = rounds;
    expect("read", (uint64_t)read(fd, &after, sizeof after), sizeof after);
    expect("watchpoint", after - before, WRITES);
}

static void old_system_call(void)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(GETPID_32) : "memory", "r8", "r9", "r10", "r11");
    expect("int 80h", (uint64_t)result, (uint64_t)getpid());
}

/* Linux keeps the CPU's number there. */
static void which_cpu(void)
{
    unsigned cpu = (unsigned)(rounds & 1), aux;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one))
        return; /* there is no such CPU now */
    (void)__builtin_ia32_rdtscp(&aux);
    if (!sched_setaffinity(0, sizeof one, &one)) /* still */
        expect("TSC_AUX", aux & 0xfff, cpu);
}

static void vectors(void)
{
    uint64_t in[4] = {rounds, ~rounds, rounds * 3, 7}, out[4];
    if (!__builtin_cpu_supports("avx"))
        return;
    __asm__ volatile("vmovdqu %1, %%ymm9\n\tmov $20000, %%ecx\n1:\tloop 1b\n\tvmovdqu %%ymm9, %0"
                     : "=m"(out)
                     : "m"(in)
                     : "ecx", "xmm9");
    expect("ymm9", memcmp(in, out, sizeof in) != 0, 0);
}

static void count(void)
{
    FILE *f = fopen("/tmp/user-rounds", "w");
    if (!f)
        return;
    fprintf(f, "%lu\n", rounds);
    fclose(f);
}

int main(int argc, char **argv)
{
    bool watches = argc < 2 || strcmp(argv[1], "nowatch") != 0;
    int fd = watches ? open_watchpoint() : -1;
    expect("ioperm", ioperm(PORT_DELAY, 1, 1) || ioperm(PORT_VGA_MISC, 1, 1), 0);
    signal(SIGTRAP, on_trap);
    make_segment();
    for (;; rounds++) {
        ports();
        segment();
        single_steps();
        if (watches)
            watchpoint(fd);
        old_system_call();
        which_cpu();
        vectors();
        if (rounds % COUNT_EVERY == 0)
            count();
    }
}
