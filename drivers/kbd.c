/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See kbd.h. Reading the command byte goes through the output buffer. A byte that waits there for the guest is
   taken out first and put back afterwards with "write output buffer", which raises its interrupt again. */
#include "drivers/kbd.h"

#include "clock.h"
#include "io.h"

#define KBD_PORT_DATA 0x60u
#define KBD_PORT_STATUS 0x64u
#define KBD_PORT_COMMAND 0x64u
#define KBD_PORT_SYSTEM_A 0x92u
#define KBD_STATUS_OUTPUT_FULL 0x01u
#define KBD_STATUS_INPUT_FULL 0x02u
#define KBD_STATUS_AUX 0x20u
#define KBD_STATUS_FLOATING 0xFFu
#define KBD_COMMAND_READ 0x20u
#define KBD_COMMAND_WRITE 0x60u
#define KBD_COMMAND_PUT_KEYBOARD 0xD2u
#define KBD_COMMAND_PUT_AUX 0xD3u
#define KBD_WAIT_US 20000u
#define KBD_DRAIN_MAX 32

bool kbd_present(void)
{
    return io_in8(KBD_PORT_STATUS) != KBD_STATUS_FLOATING;
}

static bool wait_status(uint8_t mask, uint8_t want)
{
    uint64_t deadline = deadline_in_us(KBD_WAIT_US);
    while ((io_in8(KBD_PORT_STATUS) & mask) != want)
        if (deadline_passed(deadline))
            return false;
    return true;
}

static bool send(uint16_t port, uint8_t value)
{
    if (!wait_status(KBD_STATUS_INPUT_FULL, 0))
        return false;
    io_out8(port, value);
    return true;
}

static void put_back(uint8_t byte, bool aux)
{
    if (send(KBD_PORT_COMMAND, aux ? KBD_COMMAND_PUT_AUX : KBD_COMMAND_PUT_KEYBOARD))
        (void)send(KBD_PORT_DATA, byte);
}

enum err kbd_capture(struct dev_kbd_state *s)
{
    s->head = DEV_HEAD(DEV_KBD_VERSION, struct dev_kbd_state);
    s->port92 = io_in8(KBD_PORT_SYSTEM_A) & (uint8_t)~PORT92_INIT_NOW;
    uint8_t status = io_in8(KBD_PORT_STATUS);
    if (status == KBD_STATUS_FLOATING)
        return E_OK;
    s->present = 1;
    if (status & KBD_STATUS_INPUT_FULL) /* it is digesting a byte of the guest's: do not interfere */
        return E_OK;
    if (status & KBD_STATUS_OUTPUT_FULL) {
        s->held = 1;
        s->held_aux = (status & KBD_STATUS_AUX) != 0;
        s->held_byte = io_in8(KBD_PORT_DATA);
    }
    if (send(KBD_PORT_COMMAND, KBD_COMMAND_READ) && wait_status(KBD_STATUS_OUTPUT_FULL, KBD_STATUS_OUTPUT_FULL)) {
        s->command = io_in8(KBD_PORT_DATA);
        s->command_seen = 1;
    }
    if (s->held)
        put_back(s->held_byte, s->held_aux);
    return E_OK;
}

enum err kbd_restore(const struct dev_kbd_state *s)
{
    /* A20 stays open: the host itself needs it, and a guest that can be captured in long mode has it open. */
    io_out8(KBD_PORT_SYSTEM_A, (uint8_t)((s->port92 | PORT92_A20) & ~PORT92_INIT_NOW));
    if (!s->present || !kbd_present())
        return E_OK;
    for (int i = 0; i < KBD_DRAIN_MAX && io_in8(KBD_PORT_STATUS) & KBD_STATUS_OUTPUT_FULL; i++)
        (void)io_in8(KBD_PORT_DATA);
    if (s->command_seen && (!send(KBD_PORT_COMMAND, KBD_COMMAND_WRITE) || !send(KBD_PORT_DATA, s->command)))
        return E_TIMEOUT;
    if (s->held)
        put_back(s->held_byte, s->held_aux);
    return E_OK;
}
