/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The world around a pure core when it runs on the build host: log, clock, memory, formatting. */
#include "clock.h"
#include "hostmem.h"
#include "log.h"
#include "str.h"
#include "unit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

uint64_t env_clock_us;
uint64_t env_clock_step_us = 1;
size_t env_pool_limit = SIZE_MAX;
uintptr_t env_phys_offset;
char env_log[65536];
static size_t log_used;

void log_line(const char *module, const char *fmt, ...)
{
    va_list args;
    if (log_used + LOG_LINE_MAX + 32 > sizeof env_log)
        log_used = 0;
    log_used += (size_t)snprintf(env_log + log_used, 32, "%s: ", module);
    va_start(args, fmt);
    int n = vsnprintf(env_log + log_used, LOG_LINE_MAX, fmt, args);
    va_end(args);
    log_used += (size_t)(n < LOG_LINE_MAX ? n : LOG_LINE_MAX - 1);
    env_log[log_used++] = '\n';
    env_log[log_used] = 0;
}

_Noreturn void panic(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

uint64_t clock_us(void)
{
    return env_clock_us += env_clock_step_us;
}

void clock_delay_us(uint64_t us)
{
    env_clock_us += us;
}

void *phys_to_virt(hpa_t pa)
{
    return (void *)(env_phys_offset + (uintptr_t)pa.v);
}

hpa_t virt_to_phys(const void *p)
{
    return (hpa_t){(uintptr_t)p - env_phys_offset};
}

void *pool_alloc_pages(size_t count)
{
    if (count > env_pool_limit)
        return NULL;
    env_pool_limit -= count;
    void *p = aligned_alloc(PAGE_BYTES, count * PAGE_BYTES);
    if (p)
        memset(p, 0, count * PAGE_BYTES);
    return p;
}

int str_vformat(char *buf, size_t len, const char *fmt, va_list args)
{
    return vsnprintf(buf, len, fmt, args);
}

int str_format(char *buf, size_t len, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(buf, len, fmt, args);
    va_end(args);
    return n;
}
