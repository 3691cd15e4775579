/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Registers of the guest's network cards for ckpt/dev_e1000. The ring is copied after the registers: descriptors
   that the card has written back in between are behind its head, so the head is moved on over them. 8254x SDM 3.2.3 "Receive
   Descriptor Format", 82574 datasheet 7.1.5.2 "Extended Rx Descriptor". */
#include "ckpt/dev_e1000.h"
#include "ckpt/dev_pci.h"
#include "drivers/pci.h"
#include "io.h"
#include "kernel/guest_access.h"

#define RFCTL 0x5008u
#define RFCTL_EXSTEN BIT32(15)
#define STATUS_LEGACY 12u
#define STATUS_EXTENDED 8u
#define STATUS_DD BIT32(0)

void e1000_state_list(struct dev_e1000_state *s)
{
    size_t count;
    const struct dev_pci_id *ids = pci_state_functions(&count);
    for (size_t i = 0; i < count && s->cards < DEV_E1000_CARDS; i++)
        if (dev_e1000_known(ids[i].vendor, ids[i].device)) {
            s->card[s->cards].bdf = ids[i].bdf;
            s->card[s->cards++].device = ids[i].device;
        }
}

bool e1000_state_present(void)
{
    size_t count;
    const struct dev_pci_id *ids = pci_state_functions(&count);
    for (size_t i = 0; i < count; i++)
        if (dev_e1000_known(ids[i].vendor, ids[i].device))
            return true;
    return false;
}

static uint64_t base_of(uint16_t bdf)
{
    return pci_read(bdf, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY ? pci_read_bar(bdf, 0).base : 0;
}

static uint32_t rd(uint64_t base, uint32_t reg)
{
    return mmio_read32((hpa_t){base + reg});
}

static void wr(uint64_t base, uint32_t reg, uint32_t value)
{
    mmio_write32((hpa_t){base + reg}, value);
}

enum err e1000_state_capture(struct dev_e1000_state *s)
{
    s->head = DEV_HEAD(DEV_E1000_VERSION, struct dev_e1000_state);
    e1000_state_list(s);
    for (uint32_t n = 0; n < s->cards; n++) {
        struct dev_e1000_card *c = &s->card[n];
        uint64_t base = base_of(c->bdf);
        c->mapped = base != 0;
        for (uint32_t i = 0; base && i < dev_e1000_registers(c->device); i++)
            c->reg[i] = rd(base, dev_e1000_register(c->device, i));
    }
    return E_OK;
}

static void stop(uint64_t base)
{
    wr(base, E1000_IMC, UINT32_MAX);
    wr(base, E1000_RCTL, rd(base, E1000_RCTL) & ~RCTL_EN);
    wr(base, E1000_TCTL, rd(base, E1000_TCTL) & ~TCTL_EN);
}

enum err e1000_state_quiesce(void)
{
    static struct dev_e1000_state s;
    s.cards = 0;
    e1000_state_list(&s);
    for (uint32_t n = 0; n < s.cards; n++) {
        uint64_t base = base_of(s.card[n].bdf);
        if (base)
            stop(base);
    }
    return E_OK;
}

/* Where the card will put the next packet. */
static uint32_t head_of(uint64_t base, uint32_t ring, uint32_t rctl)
{
    bool split = (rctl & RCTL_DTYP_MASK) == RCTL_DTYP_SPLIT, extended = split || rd(base, RFCTL) & RFCTL_EXSTEN;
    uint64_t at = (rd(base, ring + E1000_BAL) & E1000_BAL_MASK) | (uint64_t)rd(base, ring + E1000_BAH) << 32;
    uint32_t bytes = split ? 32 : 16, count = (rd(base, ring + E1000_LEN) & E1000_LEN_MASK) / bytes;
    uint32_t head = rd(base, ring + E1000_HEAD), tail = rd(base, ring + E1000_TAIL), status;
    /* Once around at most: whatever the guest wrote into its tail, there is an end to this. */
    for (uint32_t looked = 0; looked < count && head < count && head != tail; looked++) {
        uint64_t status_at = at + head * bytes + (extended ? STATUS_EXTENDED : STATUS_LEGACY);
        if (!guest_phys_read(NULL, (gpa_t){status_at}, &status, sizeof status) || !(status & STATUS_DD))
            break;
        head = head + 1 == count ? 0 : head + 1;
    }
    return head;
}

static void restore_card(uint64_t base, const struct dev_e1000_card *c)
{
    stop(base);
    uint32_t causes = 0;
    for (uint32_t i = 0; i < dev_e1000_registers(c->device); i++) {
        uint32_t reg = dev_e1000_register(c->device, i), value = c->reg[i];
        if (reg == E1000_CTRL)
            value &= ~(CTRL_RST | CTRL_PHY_RST);
        if (reg == E1000_IMS)
            causes = value;
        if (reg == E1000_RCTL && value & RCTL_EN)
            for (uint32_t ring = 0; ring < (c->device == E1000_82574L ? 2u : 1u); ring++)
                wr(base, E1000_RX_RING(ring) + E1000_HEAD, head_of(base, E1000_RX_RING(ring), value));
        if (rd(base, reg) != value)
            wr(base, reg, value);
    }
    wr(base, E1000_RX_RING(0) + E1000_TAIL,
       rd(base, E1000_RX_RING(0) + E1000_TAIL)); /* only now is the card listening */
    wr(base, E1000_ICS, causes);                 /* what it would have told */
}

enum err e1000_state_restore(const struct dev_e1000_state *s)
{
    for (uint32_t n = 0; n < s->cards; n++) {
        uint64_t base = base_of(s->card[n].bdf);
        if (base && s->card[n].mapped)
            restore_card(base, &s->card[n]);
    }
    return E_OK;
}
