/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The CMOS clock and memory as a checkpoint holds them. What is restored: index register with the NMI mask bit
   (observed), register A and B, the alarm, the 114 bytes of memory. What is not: the time of day, because that clock
   counts on through a power cut. Wall clock: the guest's own (CLOCK_REALTIME) continues at the cut, so it is late by
   the time that passed until an NTP client, or `hwclock --hctosys`, steps it; the CMOS clock itself stays right.
   Register C is never captured: reading it would swallow the guest's interrupt. */
#ifndef SOJOURN_CKPT_DEV_RTC_H
#define SOJOURN_CKPT_DEV_RTC_H

#include "ckpt/dev_common.h"

#define DEV_RTC_VERSION 1
#define CMOS_BYTES 128u
#define CMOS_PORT_INDEX 0x70u
#define CMOS_PORT_DATA 0x71u
#define CMOS_REG_A 0x0Au
#define CMOS_REG_B 0x0Bu
#define CMOS_REG_C 0x0Cu
#define CMOS_REG_D 0x0Du
#define CMOS_REG_A_UIP 0x80u
#define CMOS_REG_B_INTERRUPTS 0x70u
#define CMOS_INDEX_MASK 0x7Fu
#define CMOS_INDEX_USUAL CMOS_REG_D /* NMI enabled: what firmware and Linux leave */

struct dev_rtc_state {
    struct dev_head head;
    uint8_t index;
    uint8_t index_seen;
    uint8_t zero[6];
    uint8_t cmos[CMOS_BYTES]; /* bytes that are not captured hold 0 */
};

_Static_assert(sizeof(struct dev_rtc_state) == 144, "saved layout");

bool dev_rtc_captures(uint8_t reg);
bool dev_rtc_restores(uint8_t reg);
enum err dev_rtc_check(const struct dev_rtc_state *s, char *why, size_t why_len) MUST_USE;
void dev_rtc_show(const struct dev_rtc_state *s, char *text, size_t len);

#endif
