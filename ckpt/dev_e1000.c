/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_e1000.h. Not among the registers: statistics, what reads change, the PHY's and the EEPROM's; they are the card's own. */
#include "ckpt/dev_e1000.h"

#include "str.h"

static const struct run {
    uint16_t first;
    uint8_t count;
    bool only_82574;
} runs[] = {
    {E1000_CTRL, 1, false}, {0x0018, 1, false},                         /* CTRL_EXT */
    {0x0028, 3, false},                                                 /* FCAL, FCAH, FCT */
    {0x0038, 1, false},     {0x00C4, 1, false},                         /* VET, ITR */
    {0x00E4, 6, true},                                                  /* IVAR, EITR */
    {0x0170, 1, false},     {0x0410, 1, false},                         /* FCTTV, TIPG */
    {0x0E00, 1, false},     {0x1000, 1, false},                         /* LEDCTL, PBA */
    {0x2160, 1, false},     {0x2168, 1, false},                         /* FCRTL, FCRTH */
    {0x2800, 3, false},     {0x2810, 1, false},     {0x2818, 1, false}, /* receive ring 0: base, length; head; tail */
    {0x2820, 1, false},     {0x2828, 2, false},                         /* RDTR; RXDCTL, RADV */
    {0x2900, 3, true},      {0x2910, 1, true},      {0x2918, 1, true},     {0x2928, 1, true}, /* and ring 1 */
    {0x2C00, 1, false},                                                                       /* RSRPD */
    {0x3800, 3, false},     {0x3810, 1, false},     {0x3818, 1, false},                       /* transmit ring 0 */
    {0x3820, 1, false},     {0x3828, 2, false},                                               /* TIDV; TXDCTL, TADV */
    {0x3840, 1, true},      {0x3900, 3, true},      {0x3910, 1, true},     {0x3918, 1, true}, /* TARC0; ring 1 */
    {0x3928, 1, true},      {0x3940, 1, true},                                                /* TXDCTL1, TARC1 */
    {0x5000, 1, false},     {0x5008, 1, true},                                                /* RXCSUM, RFCTL */
    {0x5200, 128, false},   {0x5400, 32, false},    {0x5600, 128, false}, /* MTA, RAL and RAH, VFTA */
    {0x5800, 1, false},     {0x5808, 1, false},                           /* WUC, WUFC */
    {0x5818, 1, true},      {0x5C00, 32, true},     {0x5C80, 10, true},   /* MRQC, RETA, RSSRK */
    {E1000_RCTL, 1, false}, {E1000_TCTL, 1, false}, {E1000_IMS, 1, false},
};

uint32_t dev_e1000_registers(uint16_t device)
{
    uint32_t n = 0;
    for (size_t r = 0; r < ARRAY_LEN(runs); r++)
        n += runs[r].only_82574 && device != E1000_82574L ? 0 : runs[r].count;
    return n;
}

uint32_t dev_e1000_register(uint16_t device, uint32_t i)
{
    for (size_t r = 0; r < ARRAY_LEN(runs); r++) {
        if (runs[r].only_82574 && device != E1000_82574L)
            continue;
        if (i < runs[r].count)
            return runs[r].first + 4 * i;
        i -= runs[r].count;
    }
    return 0;
}

bool dev_e1000_known(uint16_t vendor, uint16_t device)
{
    return vendor == PCI_VENDOR_INTEL && (device == E1000_82540EM || device == E1000_82545EM || device == E1000_82574L);
}

enum err dev_e1000_check(const struct dev_e1000_state *s, const struct dev_e1000_state *machine, char *why,
                         size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_E1000_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->cards > DEV_E1000_CARDS || s->zero)
        return dev_refuse(E_DEVICE, why, why_len, "e1000: impossible number of cards");
    bool same = s->cards == machine->cards;
    for (uint32_t i = 0; same && i < s->cards; i++)
        same = s->card[i].bdf == machine->card[i].bdf && s->card[i].device == machine->card[i].device;
    return same ? E_OK : dev_refuse(E_LAYOUT, why, why_len, "e1000: the guest had other network cards");
}

void dev_e1000_show(const struct dev_e1000_state *s, char *text, size_t len)
{
    unsigned used = 0;
    for (uint32_t i = 0; i < s->cards && i < DEV_E1000_CARDS; i++)
        used += s->card[i].mapped != 0;
    str_format(text, len, "%u network cards, %u in use; packets on their way are lost", (unsigned)s->cards, used);
}
