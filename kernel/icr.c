/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See the header. */
#include "kernel/icr.h"

#include "bits.h"

#define DELIVERY_INIT 5u
#define DELIVERY_STARTUP 6u
#define ICR_LOGICAL BIT32(11)
#define ICR_ASSERT BIT32(14)
#define ICR_LEVEL BIT32(15)
#define BROADCAST_XAPIC 0xffu
#define BROADCAST_X2APIC 0xffffffffu

struct icr_command icr_decode(uint32_t low, uint32_t high, bool x2apic)
{
    static const enum icr_target shorthand[] = {ICR_TARGET_ONE, ICR_TARGET_SELF, ICR_TARGET_ALL, ICR_TARGET_OTHERS};
    struct icr_command c = {.vector = (uint8_t)low, .target = shorthand[bits_get(low, 19, 18)]};
    uint64_t delivery = bits_get(low, 10, 8);
    if (delivery == DELIVERY_INIT)
        c.kind = (low & ICR_LEVEL) && !(low & ICR_ASSERT) ? ICR_DEASSERT : ICR_INIT;
    else if (delivery == DELIVERY_STARTUP)
        c.kind = ICR_STARTUP;
    if (c.target != ICR_TARGET_ONE)
        return c;
    c.apic_id = x2apic ? high : high >> 24;
    if (low & ICR_LOGICAL)
        c.target = ICR_TARGET_LOGICAL;
    else if (c.apic_id == (x2apic ? BROADCAST_X2APIC : BROADCAST_XAPIC))
        c.target = ICR_TARGET_ALL;
    return c;
}
