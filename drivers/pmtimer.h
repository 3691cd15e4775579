/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The ACPI power management timer: a free-running 3.579545 MHz counter that can only be read (ACPI 4.8.2.1
   "Power Management Timer"). It leads the clock plan. */
#ifndef SOJOURN_DRIVERS_PMTIMER_H
#define SOJOURN_DRIVERS_PMTIMER_H

#include "types.h"

void pmtimer_init(uint16_t port, uint8_t bits); /* port 0: none */
uint8_t pmtimer_bits(void);                     /* 24, 32; 0: none */
uint32_t pmtimer_read(void);

#endif
