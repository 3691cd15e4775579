/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See turns.h. The guest has half of this CPU, or more if rate= says so. At first it keeps all but one share of the
   time of all its CPUs, if that is more. */
#include "kernel/turns.h"

#include "bits.h"

#define TURN_MAX_US 5000u
/* One share is the host's. With what the turns cost the guest besides, that is less than a tenth (`./sojourn bench
   saving_slowdown`). */
#define SHARES 16u
#define US_PER_S 1000000u
#define MIB_SHIFT 20

void turns_begin(struct turns *t, uint64_t now, uint32_t cpus, uint64_t patience_us)
{
    *t = (struct turns){
        .since = now, .patient_until_us = now + patience_us, .guest_parts = max_u64((SHARES + cpus - 1) / cpus, 2) - 1};
}

uint64_t turns_pause(struct turns *t, uint64_t now, uint64_t done, uint64_t rate, bool hurry)
{
    uint64_t worked = now - t->since;
    if (worked < t->turn_us && !rate && !hurry)
        return 0;
    uint64_t due = rate && done > t->done ? (done - t->done) * US_PER_S / (rate << MIB_SHIFT) : 0;
    uint64_t pause = worked * (now < t->patient_until_us ? t->guest_parts : 1);
    t->done = done;
    return max_u64(max_u64(pause, due > worked ? due - worked : 0), 1);
}

void turns_back(struct turns *t, uint64_t begin, uint64_t now)
{
    t->since = now;
    t->turn_us = min_u64(now - begin, TURN_MAX_US);
}
