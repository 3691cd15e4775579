/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_kbd.h. */
#include "ckpt/dev_kbd.h"

#include "str.h"

enum err dev_kbd_check(const struct dev_kbd_state *s, bool machine_has, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_KBD_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    if (s->present > 1 || s->command_seen > s->present || s->held > s->present || s->held_aux > s->held || s->zero ||
        s->port92 & PORT92_INIT_NOW)
        return dev_refuse(E_DEVICE, why, why_len, "keyboard controller: impossible state");
    if (s->present && !machine_has)
        return dev_refuse(E_LAYOUT, why, why_len, "keyboard controller: this machine has none");
    return E_OK;
}

void dev_kbd_show(const struct dev_kbd_state *s, char *text, size_t len)
{
    if (!s->present)
        str_format(text, len, "no keyboard controller; port92 %02x", s->port92);
    else
        str_format(text, len, "command %02x (%s)%s port92 %02x; keyboard and mouse settings are not captured",
                   s->command, s->command_seen ? "read" : "controller busy, left alone",
                   s->held ? ", one byte unread," : "", s->port92);
}
