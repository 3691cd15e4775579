/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_ahci.h. */
#include "ckpt/dev_ahci.h"

#include "str.h"

enum err dev_ahci_check(const struct dev_ahci_state *s, const uint16_t *machine_bdf, size_t machine_count, char *why,
                        size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_AHCI_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->controllers > DEV_AHCI_CONTROLLERS || s->zero)
        return dev_refuse(E_DEVICE, why, why_len, "ahci: impossible number of controllers");
    if (s->controllers != machine_count)
        return dev_refuse(E_LAYOUT, why, why_len, "ahci: the guest had %u controllers, here it has %u",
                          (unsigned)s->controllers, (unsigned)machine_count);
    for (uint32_t i = 0; i < s->controllers; i++) {
        const struct dev_ahci_controller *c = &s->controller[i];
        if (c->bdf != machine_bdf[i])
            return dev_refuse(E_LAYOUT, why, why_len, "ahci: controller %04x is at %04x here", c->bdf, machine_bdf[i]);
        for (uint32_t p = 0; p < AHCI_PORTS_MAX; p++) {
            const struct dev_ahci_port *port = &c->port[p];
            bool aligned = !(port->clb & MASK(9, 0)) && !(port->fb & MASK(7, 0)); /* AHCI 3.3.1, 3.3.3 */
            if (port->in_flight || !aligned)
                return dev_refuse(E_DEVICE, why, why_len, "ahci %04x port %u: %s", c->bdf, (unsigned)p,
                                  aligned ? "commands in flight" : "structures not aligned");
            if (!(c->ports & BIT(p)) && (port->clb | port->fb | port->cmd | port->ie))
                return dev_refuse(E_DEVICE, why, why_len, "ahci %04x: port %u does not exist but has a state", c->bdf,
                                  (unsigned)p);
        }
    }
    return E_OK;
}

void dev_ahci_show(const struct dev_ahci_state *s, char *text, size_t len)
{
    unsigned running = 0;
    for (uint32_t i = 0; i < s->controllers && i < DEV_AHCI_CONTROLLERS; i++)
        for (uint32_t p = 0; p < AHCI_PORTS_MAX; p++)
            running += (s->controller[i].port[p].cmd & PXCMD_ST) != 0;
    str_format(text, len, "%u controllers, %u ports running, none with a command in flight", (unsigned)s->controllers,
               running);
}
