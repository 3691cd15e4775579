/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The 8254 timer and system port B (61h) as a checkpoint holds them, and the write sequence that brings them
   back. Mode, byte order, BCD and current count are readable through read-back; the reload value is not: counter 0's is
   observed by kernel/iowatch, others are normalised (counter 1 to the refresh divisor 18, the rest to 65536). */
#ifndef SOJOURN_CKPT_DEV_PIT_H
#define SOJOURN_CKPT_DEV_PIT_H

#include "ckpt/dev_common.h"
#include "kernel/iowatch.h"

#define DEV_PIT_VERSION 1
#define DEV_PIT_CHANNELS 3
#define DEV_PIT_PLAN_MAX (DEV_PIT_CHANNELS * 6 + 1)

#define PIT_PORT_COUNTER(channel) (0x40u + (channel))
#define PIT_PORT_CONTROL_WORD 0x43u
#define PIT_PORT_SYSTEM_B 0x61u
#define PIT_SYSTEM_B_WRITABLE 0x0Fu
/* Read-back command latching count and status of one counter. */
#define PIT_READ_BACK(channel) (0xC0u | 1u << ((channel) + 1))
#define PIT_STATUS_OUT 0x80u
#define PIT_STATUS_NULL_COUNT 0x40u
#define PIT_STATUS_CONTROL 0x3Fu
#define PIT_STATUS_RW(status) (((status) >> 4) & 3u)
#define PIT_STATUS_MODE(status) (((status) >> 1) & 7u)
#define PIT_RW_NEVER 0u
#define PIT_RW_LOW_ONLY 1u
#define PIT_RW_HIGH_ONLY 2u

struct dev_pit_channel {
    uint8_t status; /* as read back: OUT, null count, RW, mode, BCD */
    uint8_t zero;
    uint16_t count; /* as read back; only the bytes that RW covers */
    struct iowatch_pit watch;
};

struct dev_pit_state {
    struct dev_head head;
    struct dev_pit_channel channel[DEV_PIT_CHANNELS];
    uint8_t system_b;
    uint8_t zero[3];
};

_Static_assert(sizeof(struct dev_pit_state) == 48, "saved layout");

enum err dev_pit_check(const struct dev_pit_state *s, char *why, size_t why_len) MUST_USE;
size_t dev_pit_plan(const struct dev_pit_state *s, struct port_write *out);
void dev_pit_show(const struct dev_pit_state *s, char *text, size_t len);

#endif
