/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_ide.h. */
#include "ckpt/dev_ide.h"

#include "str.h"

#define UNTOLD_TRIES 10u

bool dev_ide_busy(const struct dev_ide_channel *c)
{
    return c->present && (c->status & (ATA_STATUS_BSY | ATA_STATUS_DRQ) || c->bm_command & BM_COMMAND_START ||
                          c->bm_status & BM_STATUS_ACTIVE);
}

const struct dev_ide_channel *dev_ide_not_idle(const struct dev_ide_state *s, unsigned *tries)
{
    const struct dev_ide_channel *untold = NULL;
    for (uint32_t n = 0; n < s->controllers * IDE_CHANNELS; n++) {
        const struct dev_ide_channel *c = &s->channel[n / IDE_CHANNELS][n % IDE_CHANNELS];
        if (dev_ide_busy(c))
            return c;
        if (c->present && c->bm_status & BM_STATUS_INTERRUPT)
            untold = c;
    }
    if (untold && (*tries)++ < UNTOLD_TRIES)
        return untold;
    *tries = 0;
    return NULL;
}

enum err dev_ide_check(const struct dev_ide_state *s, const uint16_t *machine_bdf, size_t machine_count, char *why,
                       size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_IDE_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->controllers > DEV_IDE_CONTROLLERS || s->zero)
        return dev_refuse(E_DEVICE, why, why_len, "ide: impossible number of controllers");
    if (s->controllers != machine_count)
        return dev_refuse(E_LAYOUT, why, why_len, "ide: the guest had %u controllers, here it has %u",
                          (unsigned)s->controllers, (unsigned)machine_count);
    for (uint32_t i = 0; i < s->controllers; i++) {
        if (s->bdf[i] != machine_bdf[i])
            return dev_refuse(E_LAYOUT, why, why_len, "ide: controller %04x is at %04x here", s->bdf[i],
                              machine_bdf[i]);
        for (uint32_t k = 0; k < IDE_CHANNELS; k++) {
            const struct dev_ide_channel *c = &s->channel[i][k];
            if (c->present > 1 || (c->present && !c->command_base) || c->prd_table & 3u)
                return dev_refuse(E_DEVICE, why, why_len, "ide %04x channel %u: impossible state", s->bdf[i],
                                  (unsigned)k);
            if (dev_ide_busy(c))
                return dev_refuse(E_DEVICE, why, why_len, "ide %04x channel %u: a command is in flight", s->bdf[i],
                                  (unsigned)k);
        }
    }
    return E_OK;
}

void dev_ide_show(const struct dev_ide_state *s, char *text, size_t len)
{
    unsigned channels = 0;
    for (uint32_t i = 0; i < s->controllers && i < DEV_IDE_CONTROLLERS; i++)
        for (uint32_t k = 0; k < IDE_CHANNELS; k++)
            channels += s->channel[i][k].present;
    str_format(text, len, "%u controllers, %u channels with drives, idle; interrupt enable normalised to on",
               (unsigned)s->controllers, channels);
}
