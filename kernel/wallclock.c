/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. MC146818A: date and time registers, BCD or binary, 12 or 24 hours (data sheet, "Time, Calendar, and Alarm
 * Locations"). Read twice until two readings agree, because the chip may be updating. */
#include "kernel/wallclock.h"

#include "clock.h"
#include "io.h"

#include <string.h>

#define CMOS_INDEX 0x70u
#define CMOS_DATA 0x71u
#define REGISTERS 7u
#define REG_B 0x0bu
#define REG_B_24H 0x02u
#define REG_B_BINARY 0x04u
#define HOUR_PM 0x80u
#define REG_CENTURY 0x32u
#define ATTEMPTS 10u
#define DAY_S 86400u

static uint64_t boot_unix_s;

static uint8_t cmos(uint8_t reg)
{
    io_out8(CMOS_INDEX, reg);
    return io_in8(CMOS_DATA);
}

static unsigned number(uint8_t value, uint8_t status_b)
{
    return status_b & REG_B_BINARY ? value : (unsigned)(value >> 4) * 10 + (value & 15);
}

/* Days since 1970-01-01 of a proleptic Gregorian date. */
static uint64_t days_from_civil(unsigned year, unsigned month, unsigned day)
{
    static const uint16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    uint64_t days = (uint64_t)(year - 1970) * 365 + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days + before[month - 1] + (leap && month > 2) + day - 1;
}

void wallclock_init(void)
{
    static const uint8_t regs[REGISTERS] = {0x00, 0x02, 0x04, 0x07, 0x08, 0x09, REG_CENTURY};
    uint8_t a[REGISTERS] = {0}, b[REGISTERS] = {0};
    bool same = false;
    for (unsigned attempt = 0; attempt < ATTEMPTS && !same; attempt++) {
        for (unsigned i = 0; i < REGISTERS; i++)
            b[i] = cmos(regs[i]);
        same = memcmp(a, b, sizeof a) == 0;
        memcpy(a, b, sizeof a);
    }
    uint8_t status = cmos(REG_B);
    unsigned second = number(a[0], status), minute = number(a[1], status);
    unsigned hour = number((uint8_t)(a[2] & ~HOUR_PM), status);
    if (!(status & REG_B_24H))
        hour = hour % 12 + (a[2] & HOUR_PM ? 12 : 0);
    unsigned day = number(a[3], status), month = number(a[4], status);
    unsigned century = number(a[6], status);
    unsigned year = (century >= 19 && century <= 30 ? century * 100 : 2000) + number(a[5], status);
    if (!same || second > 60 || minute > 59 || hour > 23 || day < 1 || day > 31 || month < 1 || month > 12 ||
        year < 1970)
        return;
    boot_unix_s = days_from_civil(year, month, day) * DAY_S + hour * 3600u + minute * 60u + second;
    boot_unix_s -= clock_us() / 1000000;
}

uint64_t wallclock_unix_s(void)
{
    return boot_unix_s ? boot_unix_s + clock_us() / 1000000 : 0;
}
