/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Host time from the TSC, calibrated against PIT channel 2 (Intel 8254 data sheet, "Mode 0"; its gate and output
   are in port 61h). Bounded: a PIT that does not count leaves an assumed 1 GHz, which only stretches deadlines. */
#include "kernel/timebase.h"

#include "bits.h"
#include "clock.h"
#include "cpu.h"
#include "io.h"
#include "log.h"

#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42u
#define PIT_COMMAND 0x43u
#define PIT_CH2_MODE0_LOHI 0xb0u
#define PORT_B 0x61u
#define PORT_B_GATE2 BIT32(0)
#define PORT_B_SPEAKER BIT32(1)
#define PORT_B_OUT2 BIT32(5)
#define CALIBRATE_MS 20u
#define POLL_LIMIT 20000000u
#define FALLBACK_HZ 1000000000ull

static uint64_t tsc_hz = FALLBACK_HZ;
static uint64_t tsc_base;
static uint64_t us_scale; /* microseconds per cycle, 32.32 fixed point */

void clock_init(void)
{
    uint8_t port_b = io_in8(PORT_B);
    uint32_t count = PIT_HZ * CALIBRATE_MS / 1000;
    tsc_base = cpu_rdtsc();
    io_out8(PORT_B, (uint8_t)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE2));
    io_out8(PIT_COMMAND, PIT_CH2_MODE0_LOHI);
    io_out8(PIT_CHANNEL2, (uint8_t)count);
    io_out8(PIT_CHANNEL2, (uint8_t)(count >> 8));
    uint64_t start = cpu_rdtsc(), end = start;
    bool done = false;
    for (uint32_t i = 0; i < POLL_LIMIT && !done; i++) {
        done = io_in8(PORT_B) & PORT_B_OUT2;
        end = cpu_rdtsc();
    }
    io_out8(PORT_B, port_b);
    if (done && end > start)
        tsc_hz = (end - start) * 1000 / CALIBRATE_MS;
    us_scale = ((1000000ull << 32) + tsc_hz / 2) / tsc_hz;
    log_line("clock", "TSC: hz=%llu%s", (unsigned long long)tsc_hz, done ? "" : " (assumed: the PIT does not count)");
}

uint64_t clock_tsc_hz(void)
{
    return tsc_hz;
}

uint64_t clock_us(void)
{
    uint64_t cycles = cpu_rdtsc() - tsc_base;
    return (uint64_t)((unsigned __int128)cycles * us_scale >> 32);
}

void clock_tsc_moved(uint64_t before, uint64_t after)
{
    tsc_base += after - before;
}

void clock_delay_us(uint64_t us)
{
    uint64_t end = deadline_in_us(us);
    while (!deadline_passed(end))
        cpu_pause();
}
