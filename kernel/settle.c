/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See the header. Linux has its final IDT a few milliseconds after its start and looks for PCI devices and serial
 * ports long after, but before its first user process: so the first sight of user mode restarts the period, too. */
#include "kernel/settle.h"

void settle_disturb(struct settle *s, uint64_t now_us)
{
    s->since_us = now_us;
}

bool settle_look(struct settle *s, uint64_t now_us, uint64_t period_us, bool paging, uint64_t idt_base, bool user)
{
    if (paging != s->paging || idt_base != s->idt_base) {
        s->paging = paging;
        s->idt_base = idt_base;
        s->user_seen = s->user_elsewhere = false;
        s->since_us = now_us;
    }
    if ((user || s->user_elsewhere) && !s->user_seen) {
        s->user_seen = true;
        s->since_us = now_us;
    }
    uint64_t periods = s->user_seen ? 1 : SETTLE_KERNEL_ONLY_PERIODS;
    return s->paging && now_us - s->since_us >= period_us * periods;
}
