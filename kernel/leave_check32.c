/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. What leaving a guest in 32-bit mode needs beside leave_check_state(). SDM 3A 3.4.5.1 "Code- and Data-Segment
   Descriptor Types", 8.2.2 "TSS Descriptor". */
#include "kernel/leave_check.h"

#define SELECTOR_TI 4u
#define SELECTOR_RPL 3u
#define TYPE_RW 2u
#define TYPE_DOWN 4u
#define TYPE_CODE 8u
#define TYPE_TSS_BUSY 0xbu

bool leave_flat(const struct segment *s, bool code)
{
    /* Readable code, or writable data that does not expand down. */
    const uint32_t type = code ? TYPE_CODE | TYPE_RW : TYPE_RW, mask = code ? type : TYPE_CODE | TYPE_DOWN | TYPE_RW;
    return !s->base && s->limit == UINT32_MAX && (s->access_rights & (AR_S | AR_DB)) == (AR_S | AR_DB) &&
           (s->access_rights & (mask | AR_UNUSABLE)) == type && !(s->access_rights >> AR_DPL_SHIFT & 3u);
}

/* What kernel/bridge32.asm relies on; LTR in the host takes a 32-bit TSS for a 64-bit one, but no 16-bit TSS. */
enum err leave_check_32(const struct vcpu_state *s)
{
    bool ring0 = !(s->seg[SREG_SS].access_rights >> AR_DPL_SHIFT & 3u);
    if (ring0 && (!leave_flat(&s->seg[SREG_SS], false) || (s->seg[SREG_SS].selector & SELECTOR_TI)))
        return E_SEGMENT;
    if ((s->seg[SREG_TR].selector & ~(SELECTOR_TI | SELECTOR_RPL)) &&
        (s->seg[SREG_TR].access_rights & AR_TYPE_MASK) != TYPE_TSS_BUSY)
        return E_SEGMENT;
    return E_OK;
}
