/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See the header. */
#include "kernel/auto_plan.h"

uint64_t auto_plan_next(uint64_t due_us, uint64_t now_us, uint64_t every_us)
{
    return due_us + ((now_us - due_us) / every_us + 1) * every_us;
}

bool auto_plan_full(uint32_t chain, uint64_t keep)
{
    return chain >= keep;
}
