/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_rtc.h. Motorola MC146818A data sheet, "Address Map" and "Registers". */
#include "ckpt/dev_rtc.h"

#include "str.h"

#define CMOS_SECONDS_ALARM 0x01u
#define CMOS_MINUTES_ALARM 0x03u
#define CMOS_HOURS_ALARM 0x05u
#define CMOS_CENTURY 0x32u /* FADT CENTURY on every PC that has it there */

bool dev_rtc_restores(uint8_t reg)
{
    if (reg < CMOS_REG_A)
        return reg == CMOS_SECONDS_ALARM || reg == CMOS_MINUTES_ALARM || reg == CMOS_HOURS_ALARM;
    return reg < CMOS_BYTES && reg != CMOS_REG_C && reg != CMOS_REG_D && reg != CMOS_CENTURY;
}

bool dev_rtc_captures(uint8_t reg)
{
    return dev_rtc_restores(reg) || reg == CMOS_REG_D;
}

enum err dev_rtc_check(const struct dev_rtc_state *s, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_RTC_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->index_seen > 1 || s->cmos[CMOS_REG_C])
        return dev_refuse(E_DEVICE, why, why_len, "rtc: impossible state");
    for (uint8_t reg = 0; reg < CMOS_BYTES; reg++)
        if (!dev_rtc_captures(reg) && s->cmos[reg])
            return dev_refuse(E_DEVICE, why, why_len, "rtc: register %02x is never captured but set", reg);
    return E_OK;
}

void dev_rtc_show(const struct dev_rtc_state *s, char *text, size_t len)
{
    str_format(text, len,
               "A %02x B %02x index %02x (%s); time of day is not restored, the guest's clock continues at the cut",
               s->cmos[CMOS_REG_A], s->cmos[CMOS_REG_B], s->index, s->index_seen ? "observed" : "normalised");
}
