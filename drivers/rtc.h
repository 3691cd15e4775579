/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. CMOS clock and memory through ports 70h/71h. */
#ifndef SOJOURN_DRIVERS_RTC_H
#define SOJOURN_DRIVERS_RTC_H

#include "ckpt/dev_rtc.h"

bool rtc_present(void);
enum err rtc_capture(struct dev_rtc_state *s) MUST_USE;
enum err rtc_quiesce(void) MUST_USE;
enum err rtc_restore(const struct dev_rtc_state *s) MUST_USE;

#endif
