/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. log_line(): formats one line, puts it into the ring in hidden memory and, while booting, hands it to the
   attached sinks (screen, serial line). Before log_start() lines wait in a small early ring. A line logged while
   another CPU writes one waits for that, within bounds; one logged from inside (a sink, an exception in the logger) is
   counted and dropped. */
#include "kernel/log_control.h"

#include "clock.h"
#include "cpu.h"
#include "kernel/log_ring.h"
#include "layout.h"
#include "log.h"
#include "str.h"

#include <string.h>

#define EARLY_BYTES 8192
#define SINKS_MAX 4
#define PIECE_BYTES 256
#define WAIT_SPINS (1u << 20)
#define MICROSECONDS_PER_SECOND 1000000ull

static ALIGNED(8) char early_area[EARLY_BYTES];
static struct log_ring ring;
static void (*sinks[SINKS_MAX])(const char *line, size_t length);
static const char *previous;
static size_t previous_length;
static volatile uint32_t busy; /* by CPU index + 1 */
static uint32_t dropped;

/* The ring in use; the early one if log_start() has not come yet. */
static struct log_ring *current(void)
{
    if (!ring.area)
        log_ring_init(&ring, early_area, sizeof early_area);
    return &ring;
}

static void emit(const char *line, size_t length)
{
    log_ring_append(current(), line, length);
    for (size_t i = 0; i < SINKS_MAX; i++)
        if (sinks[i])
            sinks[i](line, length);
}

/* The CPU that runs this; before it has a window of its own (kernel/cpus.h) it is the first. */
static unsigned this_cpu(void)
{
    uint64_t here = (uint64_t)__builtin_frame_address(0);
    return here - CPUS_BASE < (uint64_t)CPUS_MAX * CPU_WINDOW_BYTES ? (unsigned)((here - CPUS_BASE) / CPU_WINDOW_BYTES)
                                                                    : 0;
}

static bool enter(uint32_t me)
{
    for (unsigned spins = 0; spins < WAIT_SPINS; spins++) {
        uint32_t owner = 0;
        if (__atomic_compare_exchange_n(&busy, &owner, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
        if (owner == me)
            break;
        cpu_pause();
    }
    __atomic_fetch_add(&dropped, 1, __ATOMIC_RELAXED);
    return false;
}

static size_t prefix(char line[LOG_LINE_MAX], const char *module)
{
    uint64_t now = clock_us();
    int n = str_format(line, LOG_LINE_MAX, "[%4lu.%06lu] c%u %s: ", (unsigned long)(now / MICROSECONDS_PER_SECOND),
                       (unsigned long)(now % MICROSECONDS_PER_SECOND), this_cpu(), module);
    return n < 0 ? 0 : (size_t)n < LOG_LINE_MAX ? (size_t)n : LOG_LINE_MAX - 1;
}

void log_line(const char *module, const char *fmt, ...)
{
    char line[LOG_LINE_MAX];
    va_list args;
    if (!enter(this_cpu() + 1))
        return;
    uint32_t lost = __atomic_exchange_n(&dropped, 0, __ATOMIC_RELAXED);
    if (lost) {
        size_t used = prefix(line, "log");
        (void)str_format(line + used, sizeof line - used, "dropped=%u lines logged while logging", (unsigned)lost);
        emit(line, strlen(line));
    }
    size_t used = prefix(line, module);
    va_start(args, fmt);
    (void)str_vformat(line + used, sizeof line - used, fmt, args);
    va_end(args);
    emit(line, strlen(line));
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

void log_start(void *area, size_t area_bytes, char *previous_area, size_t previous_bytes)
{
    char piece[PIECE_BYTES], line[LOG_LINE_MAX];
    struct log_ring early = *current();
    uint64_t position = 0;
    size_t length = 0, n;
    enum log_ring_found found = log_ring_recover(area, area_bytes, previous_area, previous_bytes, &previous_length);
    previous = previous_area;
    log_ring_init(&ring, area, area_bytes);
    while ((n = log_ring_read(&early, &position, piece, sizeof piece)) > 0) {
        for (size_t i = 0; i < n; i++) {
            if (piece[i] != '\n' && length < sizeof line) {
                line[length++] = piece[i];
            } else if (piece[i] == '\n') {
                log_ring_append(&ring, line, length);
                length = 0;
            }
        }
    }
    static const char *const words[] = {
        [LOG_RING_NONE] = "none", [LOG_RING_DAMAGED] = "damaged", [LOG_RING_GOOD] = "good"};
    log_line("log", "previous=%s bytes=%lu", words[found], (unsigned long)previous_length);
}

bool log_attach(void (*sink)(const char *line, size_t length))
{
    for (size_t i = 0; i < SINKS_MAX; i++) {
        if (!sinks[i]) {
            sinks[i] = sink;
            return true;
        }
    }
    return false;
}

void log_detach(void (*sink)(const char *line, size_t length))
{
    for (size_t i = 0; i < SINKS_MAX; i++)
        if (sinks[i] == sink)
            sinks[i] = NULL;
}

void log_break_guard(void)
{
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

size_t log_read(bool old, uint64_t *position, char *out, size_t max)
{
    if (!old)
        return log_ring_read(current(), position, out, max);
    if (*position >= previous_length)
        return 0;
    size_t n = previous_length - (size_t)*position;
    if (n > max)
        n = max;
    memcpy(out, previous + *position, n);
    *position += n;
    return n;
}
