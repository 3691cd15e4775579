/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The work a guest does while it is left, entered, saved and restored, and the check that nothing of it was harmed.
 *   work start [mib=N] [busy]   a checked file tree in tmpfs and five processes: counter, pipe pair, timer, registers
 *   work check                  one line: WORK-OK key=value ... or WORK-BAD reason
 *   work dirty [mib=N]          rewrite the first N MiB of the tree with new content
 *   work stop                   end the processes, remove the tree
 *   work cpuid                  every CPUID leaf of CPU 0 that is not volatile, for comparing two boots
 * Static, run from an initramfs; host-side checks only parse the line. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIR "/load"
#define FILE_BYTES (256u * 1024)
#define FILES_MAX 4096u
#define DEFAULT_MIB 24u
#define WATCH_MS 400
#define PIPE_BLOCK 1024

enum role { ROLE_COUNTER, ROLE_WRITER, ROLE_READER, ROLE_TIMER, ROLE_REGISTERS, ROLES };
static const char *const role_names[ROLES] = {"counter", "writer", "reader", "timer", "registers"};

/* One page shared by all processes, a file in tmpfs, so that `work check` in another process tree sees it. */
struct state {
    volatile uint64_t moved[ROLES]; /* each process's own progress */
    volatile uint64_t broken;       /* bit per role: it saw something wrong */
    char reason[120];
    int32_t pid[ROLES];
    uint32_t busy, files;
    uint64_t max_gap_us;
    uint64_t seed[FILES_MAX];
    uint64_t sum[FILES_MAX];
};

static struct state *st;

static uint64_t mix(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t now_us(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Both clocks at one instant: whoever is preempted between the two readings reads again. */
static void now_both_us(uint64_t *mono, uint64_t *wall)
{
    uint64_t least = UINT64_MAX;
    for (int tries = 0; tries < 50 && least > 1000; tries++) {
        uint64_t before = now_us(CLOCK_MONOTONIC), date = now_us(CLOCK_REALTIME), after = now_us(CLOCK_MONOTONIC);
        if (after - before >= least)
            continue;
        least = after - before;
        *mono = before;
        *wall = date;
    }
}

static void nap_us(uint64_t us)
{
    struct timespec t = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&t, NULL);
}

static int bad(const char *what)
{
    printf("WORK-BAD %s\n", what);
    return 1;
}

static void broken(enum role role, const char *what)
{
    if (!(st->broken >> role & 1)) {
        snprintf(st->reason, sizeof st->reason, "%s: %s", role_names[role], what);
        st->broken |= 1ull << role;
    }
}

static int map_state(bool create)
{
    int fd = open(DIR "/state", create ? O_RDWR | O_CREAT | O_TRUNC : O_RDWR, 0600);
    if (fd < 0 || (create && ftruncate(fd, sizeof *st)))
        return -1;
    st = mmap(NULL, sizeof *st, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return st == MAP_FAILED ? -1 : 0;
}

/* ---- the tree: a third random, a third text-like, a third mostly zero, as memory is --------------------------- */

static void fill(uint64_t *words, uint64_t seed, unsigned kind)
{
    for (size_t i = 0; i < FILE_BYTES / 8; i++) {
        uint64_t v = mix(&seed);
        words[i] = kind == 0 ? v : kind == 1 ? 0x2020202020202020ull + (v & 0x0f0f070707070707ull) : i % 512 ? 0 : v;
    }
}

static uint64_t checksum(const uint64_t *words)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < FILE_BYTES / 8; i++)
        h = (h ^ words[i]) * 0x100000001b3ull + (h >> 47);
    return h;
}

static uint64_t buffer[FILE_BYTES / 8];

static int write_file(unsigned n, uint64_t seed)
{
    char name[64];
    fill(buffer, seed, n % 3);
    st->seed[n] = seed;
    st->sum[n] = checksum(buffer);
    snprintf(name, sizeof name, DIR "/tree/%02u", n / 64);
    mkdir(name, 0700);
    snprintf(name, sizeof name, DIR "/tree/%02u/%04u", n / 64, n);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return -1;
    ssize_t done = write(fd, buffer, FILE_BYTES);
    close(fd);
    return done == (ssize_t)FILE_BYTES ? 0 : -1;
}

static const char *verify_file(unsigned n)
{
    static char text[80];
    char name[64];
    snprintf(name, sizeof name, DIR "/tree/%02u/%04u", n / 64, n);
    int fd = open(name, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, buffer, FILE_BYTES);
    if (fd >= 0)
        close(fd);
    snprintf(text, sizeof text, "file %u cannot be read: %s", n, strerror(errno));
    if (got != (ssize_t)FILE_BYTES)
        return text;
    snprintf(text, sizeof text, "file %u has a wrong checksum", n);
    return checksum(buffer) == st->sum[n] ? NULL : text;
}

/* ---- the processes --------------------------------------------------------------------------------------------- */

static void run_counter(void)
{
    int fd = open(DIR "/counter", O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (uint64_t pair[2] = {1, 0}, back[2];; pair[0]++) {
        uint64_t s = pair[0];
        pair[1] = mix(&s);
        if (pwrite(fd, pair, sizeof pair, 0) != sizeof pair || pread(fd, back, sizeof back, 0) != sizeof back)
            broken(ROLE_COUNTER, "cannot write the counter file");
        else if (memcmp(pair, back, sizeof pair) != 0)
            broken(ROLE_COUNTER, "read back another value");
        st->moved[ROLE_COUNTER] = pair[0];
        if (!st->busy)
            nap_us(2000);
    }
}

static void run_writer(int fd)
{
    uint64_t seed = 42, block[PIPE_BLOCK / 8];
    for (;;) {
        for (size_t i = 0; i < PIPE_BLOCK / 8; i++)
            block[i] = mix(&seed);
        if (write(fd, block, sizeof block) != sizeof block)
            broken(ROLE_WRITER, "cannot write to the pipe");
        st->moved[ROLE_WRITER]++;
        if (!st->busy)
            nap_us(3000);
    }
}

static void run_reader(int fd)
{
    uint64_t seed = 42, block[PIPE_BLOCK / 8];
    for (;;) {
        size_t got = 0;
        while (got < sizeof block) {
            ssize_t n = read(fd, (char *)block + got, sizeof block - got);
            if (n <= 0) {
                broken(ROLE_READER, "the pipe ended");
                return;
            }
            got += (size_t)n;
        }
        for (size_t i = 0; i < PIPE_BLOCK / 8; i++)
            if (block[i] != mix(&seed)) {
                broken(ROLE_READER, "wrong data came through the pipe");
                return;
            }
        st->moved[ROLE_READER]++;
    }
}

static volatile sig_atomic_t fired;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    fired++;
}

static void run_timer(void)
{
    struct sigevent how = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec every = {{0, 10000000}, {0, 10000000}};
    timer_t timer;
    signal(SIGALRM, on_alarm);
    if (timer_create(CLOCK_MONOTONIC, &how, &timer) || timer_settime(timer, 0, &every, NULL))
        broken(ROLE_TIMER, "cannot start a timer");
    uint64_t last = now_us(CLOCK_MONOTONIC), last_wall = now_us(CLOCK_REALTIME);
    for (;;) {
        pause();
        uint64_t now = now_us(CLOCK_MONOTONIC), wall = now_us(CLOCK_REALTIME);
        if (now < last)
            broken(ROLE_TIMER, "the monotonic clock went backwards");
        if (wall < last_wall)
            broken(ROLE_TIMER, "the date went backwards");
        if (now - last > st->max_gap_us)
            st->max_gap_us = now - last;
        last = now;
        last_wall = wall;
        st->moved[ROLE_TIMER] = (uint64_t)fired;
    }
}

/* Keeps known values in every vector and most general registers through a long spin, then looks at them. */
static void run_registers(void)
{
    uint64_t in[32] __attribute__((aligned(16))), out[32] __attribute__((aligned(16))), general[4];
    for (uint64_t seed = 7;;) {
        for (size_t i = 0; i < 32; i++)
            in[i] = mix(&seed);
        uint64_t spin = st->busy ? 400000 : 20000;
        __asm__ volatile("movaps 0(%1), %%xmm0; movaps 16(%1), %%xmm1; movaps 32(%1), %%xmm2; movaps 48(%1), %%xmm3\n"
                         "movaps 64(%1), %%xmm4; movaps 80(%1), %%xmm5; movaps 96(%1), %%xmm6; movaps 112(%1), %%xmm7\n"
                         "movaps 128(%1), %%xmm8; movaps 144(%1), %%xmm9; movaps 160(%1), %%xmm10\n"
                         "movaps 176(%1), %%xmm11; movaps 192(%1), %%xmm12; movaps 208(%1), %%xmm13\n"
                         "movaps 224(%1), %%xmm14; movaps 240(%1), %%xmm15\n"
                         "fldpi; movq 0(%1), %%r8; movq 8(%1), %%r9; movq 16(%1), %%r10; movq 24(%1), %%r11\n"
                         "1: dec %0; jnz 1b\n"
                         "movq %%r8, 0(%3); movq %%r9, 8(%3); movq %%r10, 16(%3); movq %%r11, 24(%3)\n"
                         "movaps %%xmm0, 0(%2); movaps %%xmm1, 16(%2); movaps %%xmm2, 32(%2); movaps %%xmm3, 48(%2)\n"
                         "movaps %%xmm4, 64(%2); movaps %%xmm5, 80(%2); movaps %%xmm6, 96(%2); movaps %%xmm7, 112(%2)\n"
                         "movaps %%xmm8, 128(%2); movaps %%xmm9, 144(%2); movaps %%xmm10, 160(%2)\n"
                         "movaps %%xmm11, 176(%2); movaps %%xmm12, 192(%2); movaps %%xmm13, 208(%2)\n"
                         "movaps %%xmm14, 224(%2); movaps %%xmm15, 240(%2)\n"
                         "fldpi; fcompp; fnstsw %%ax; movzwl %%ax, %%eax; movq %%rax, %0\n"
                         : "+r"(spin)
                         : "r"(in), "r"(out), "r"(general)
                         : "rax", "r8", "r9", "r10", "r11", "memory", "cc", "st", "xmm0", "xmm1", "xmm2", "xmm3",
                           "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                           "xmm15");
        if (memcmp(in, out, sizeof in) != 0)
            broken(ROLE_REGISTERS, "a vector register changed");
        if (memcmp(in, general, sizeof general) != 0)
            broken(ROLE_REGISTERS, "a general register changed");
        if ((spin & 0x4000) == 0) /* C3: the two values compared equal */
            broken(ROLE_REGISTERS, "the x87 stack changed");
        st->moved[ROLE_REGISTERS]++;
        if (!st->busy)
            nap_us(5000);
    }
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static unsigned option(int argc, char **argv, const char *name, unsigned otherwise)
{
    size_t len = strlen(name);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], name, len) == 0)
            return argv[i][len] == '=' ? (unsigned)strtoul(argv[i] + len + 1, NULL, 10) : 1;
    return otherwise;
}

static int stop(void)
{
    if (map_state(false) == 0)
        for (int r = 0; r < ROLES; r++)
            if (st->pid[r] > 1)
                kill(st->pid[r], SIGKILL);
    return system("rm -rf " DIR) == 0 ? 0 : 1;
}

static int start(int argc, char **argv)
{
    int fds[2];
    stop();
    mkdir(DIR, 0700);
    mkdir(DIR "/tree", 0700);
    if (map_state(true) || pipe(fds))
        return bad("cannot create " DIR);
    st->busy = option(argc, argv, "busy", 0);
    st->files = option(argc, argv, "mib", DEFAULT_MIB) * (1024 * 1024 / FILE_BYTES);
    if (st->files > FILES_MAX)
        st->files = FILES_MAX;
    for (unsigned n = 0; n < st->files; n++)
        if (write_file(n, n + 1))
            return bad("cannot write the tree; is there enough memory?");
    fflush(stdout);
    for (int r = 0; r < ROLES; r++) {
        pid_t pid = fork();
        if (pid < 0)
            return bad("cannot fork");
        if (pid > 0) {
            st->pid[r] = pid;
            continue;
        }
        setsid();
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++)
            dup2(null, fd);
        close(fds[r == ROLE_WRITER ? 0 : 1]);
        switch ((enum role)r) {
        case ROLE_COUNTER:
            run_counter();
            break;
        case ROLE_WRITER:
            run_writer(fds[1]);
            break;
        case ROLE_READER:
            run_reader(fds[0]);
            break;
        case ROLE_TIMER:
            run_timer();
            break;
        default:
            run_registers();
            break;
        }
        _exit(1);
    }
    printf("WORK-STARTED files=%u bytes=%llu busy=%u\n", st->files, (unsigned long long)st->files * FILE_BYTES,
           st->busy);
    return 0;
}

static int check(void)
{
    char text[160];
    if (map_state(false))
        return bad("not started");
    uint64_t before[ROLES], mono = 0, wall = 0, pair[2];
    now_both_us(&mono, &wall);
    for (int r = 0; r < ROLES; r++)
        before[r] = st->moved[r];
    for (unsigned n = 0; n < st->files; n++) {
        const char *wrong = verify_file(n);
        if (wrong)
            return bad(wrong);
    }
    /* A busy guest shares its CPU between four spinners; give each several turns before calling it stuck. After a
       restore in place that takes seconds: the gap in time counts as run time of the task that was running. */
    for (int round = 0, still = 1; round < 80 && still; round++) {
        nap_us(WATCH_MS * 1000 / 4);
        still = 0;
        for (int r = 0; r < ROLES; r++)
            still += st->moved[r] == before[r];
    }
    for (int r = 0; r < ROLES; r++) {
        snprintf(text, sizeof text, "%s stands still at %llu", role_names[r], (unsigned long long)before[r]);
        if (st->moved[r] == before[r])
            return bad(text);
        snprintf(text, sizeof text, "%s went backwards", role_names[r]);
        if (st->moved[r] < before[r])
            return bad(text);
        snprintf(text, sizeof text, "%s is gone", role_names[r]);
        if (kill(st->pid[r], 0))
            return bad(text);
    }
    if (st->broken)
        return bad(st->reason);
    int fd = open(DIR "/counter", O_RDONLY);
    bool right = false;
    /* Between the halves of what another CPU writes at this moment is no wrong value: it is another one the next time. */
    for (int tries = 0; tries < 20 && !right; tries++) {
        if (fd < 0 || pread(fd, pair, sizeof pair, 0) != sizeof pair)
            return bad("the counter file cannot be read");
        uint64_t s = pair[0];
        right = mix(&s) == pair[1] && pair[0] >= before[ROLE_COUNTER];
    }
    close(fd);
    if (!right)
        return bad("the counter file holds a wrong value");
    uint64_t mono_moved = 0, wall_moved = 0;
    now_both_us(&mono_moved, &wall_moved);
    mono_moved -= mono;
    wall_moved -= wall;
    if ((int64_t)mono_moved <= 0 || (int64_t)wall_moved <= 0)
        return bad("the clock stands still or went backwards");
    uint64_t apart = mono_moved > wall_moved ? mono_moved - wall_moved : wall_moved - mono_moved;
    if (apart > 100000)
        return bad("date and monotonic clock disagree");
    printf(
        "WORK-OK counter=%llu pipe=%llu ticks=%llu registers=%llu max_gap_ms=%llu files=%u uptime_ms=%llu date=%llu\n",
        (unsigned long long)st->moved[ROLE_COUNTER], (unsigned long long)st->moved[ROLE_READER],
        (unsigned long long)st->moved[ROLE_TIMER], (unsigned long long)st->moved[ROLE_REGISTERS],
        (unsigned long long)st->max_gap_us / 1000, st->files, (unsigned long long)now_us(CLOCK_MONOTONIC) / 1000,
        (unsigned long long)time(NULL));
    return 0;
}

static int dirty(int argc, char **argv)
{
    if (map_state(false))
        return bad("not started");
    unsigned files = option(argc, argv, "mib", 4) * (1024 * 1024 / FILE_BYTES);
    for (unsigned n = 0; n < files && n < st->files; n++)
        if (write_file(n, st->seed[n] + FILES_MAX))
            return bad("cannot rewrite the tree");
    printf("WORK-DIRTY files=%u\n", files < st->files ? files : st->files);
    return 0;
}

static int cpuid(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof set, &set);
    for (uint32_t base = 0; base != 1; base = base == 0 ? 0x80000000u : base == 0x80000000u ? 0x40000000u : 1) {
        uint32_t a, b, c, d, last;
        __cpuid(base, last, b, c, d);
        if (base == 0x40000000u || last - base > 64)
            last = base; /* a range that is not there answers with another range's numbers */
        for (uint32_t leaf = base; leaf - base <= last - base; leaf++)
            for (uint32_t sub = 0; sub < (leaf == 4 || leaf == 7 || leaf == 11 || leaf == 13 ? 4u : 1u); sub++) {
                __cpuid_count(leaf, sub, a, b, c, d);
                printf("%08x.%u %08x %08x %08x %08x\n", leaf, sub, a, b, c, d);
            }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "start") == 0)
        return start(argc, argv);
    if (strcmp(command, "check") == 0)
        return check();
    if (strcmp(command, "dirty") == 0)
        return dirty(argc, argv);
    if (strcmp(command, "stop") == 0)
        return stop();
    if (strcmp(command, "cpuid") == 0)
        return cpuid();
    fprintf(stderr, "usage: work start [mib=N] [busy] | check | dirty [mib=N] | stop | cpuid\n");
    return 2;
}
