/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See pmtimer.h. Some chipsets (PIIX4 erratum 10 "PM Timer") give a torn value now and then: read until three
   successive reads are in order, a bounded number of times. */
#include "drivers/pmtimer.h"

#include "bits.h"
#include "io.h"

#define PMTIMER_TRIES 10
#define PMTIMER_BITS_SHORT 24
#define PMTIMER_BITS_LONG 32

static uint16_t pm_port;
static uint8_t pm_bits;

void pmtimer_init(uint16_t port, uint8_t bits)
{
    pm_port = port;
    pm_bits = port == 0 ? 0 : bits == PMTIMER_BITS_LONG ? PMTIMER_BITS_LONG : PMTIMER_BITS_SHORT;
}

uint8_t pmtimer_bits(void)
{
    return pm_bits;
}

uint32_t pmtimer_read(void)
{
    if (!pm_bits)
        return 0;
    uint32_t mask = (uint32_t)MASK(pm_bits - 1, 0), a, b, c = 0;
    for (int i = 0; i < PMTIMER_TRIES; i++) {
        a = io_in32(pm_port) & mask;
        b = io_in32(pm_port) & mask;
        c = io_in32(pm_port) & mask;
        if (a <= b && b <= c)
            break;
    }
    return c;
}
