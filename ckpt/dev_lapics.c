/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See the header. */
#include "ckpt/dev_lapics.h"

#include "str.h"

#include <string.h>

bool dev_lapics_has(const struct dev_lapics_state *s, uint32_t cpu)
{
    return cpu < s->count && s->cpu[cpu].head.bytes != 0;
}

enum err dev_lapics_check(const struct dev_lapics_state *s, const struct dev_lapics_machine *m, char *why,
                          size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_LAPICS_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->count == 0 || s->count > CPUS_MAX)
        return dev_refuse(E_DEVICE, why, why_len, "lapic: impossible number of CPUs %u", (unsigned)s->count);
    if (s->count != m->count)
        return dev_refuse(E_LAYOUT, why, why_len, "lapic: %u CPUs at the cut, this machine has %u", (unsigned)s->count,
                          (unsigned)m->count);
    for (uint32_t i = 0; i < s->count && !e; i++) {
        if (!dev_lapics_has(s, i))
            continue;
        if (!m->cpu[i].present)
            return dev_refuse(E_LAYOUT, why, why_len, "lapic: CPU %u did not come up", (unsigned)i);
        e = dev_lapic_check(&s->cpu[i], m->cpu[i].id, m->cpu[i].mode, why, why_len);
    }
    return e;
}

void dev_lapics_show(const struct dev_lapics_state *s, char *text, size_t len)
{
    int used = str_format(text, len, "%u CPUs; 0: ", (unsigned)s->count);
    if (used > 0 && (size_t)used < len)
        dev_lapic_show(&s->cpu[0], text + used, len - (size_t)used);
}
