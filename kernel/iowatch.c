/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See iowatch.h. 8259A: Intel data sheet 231468 "Initialization Command Words", "Operation Command Words"; 8254:
   Intel data sheet 231164 "Programming the 82C54". Ports 42h and 61h are left alone on purpose: kernels poll them in
   tight loops to calibrate, and an exit per poll would falsify the result. */
#include "kernel/iowatch.h"

#include "bits.h"

#include <string.h>

#define PIC_PORT_MASTER 0x20u
#define PIC_PORT_SLAVE 0xA0u
#define ICW1_INIT BIT32(4)
#define ICW1_IC4 BIT32(0)
#define ICW1_SNGL BIT32(1)
#define OCW3_SELECT BIT32(3)
#define OCW3_RR BIT32(1)
#define OCW3_RIS BIT32(0)
#define OCW3_ESMM BIT32(6)
#define OCW3_SMM BIT32(5)
#define OCW2_COMMAND_SHIFT 5
#define OCW2_LEVEL 7u
enum ocw2 {
    OCW2_ROTATE_AEOI_CLEAR = 0,
    OCW2_ROTATE_AEOI_SET = 4,
    OCW2_ROTATE_EOI = 5,
    OCW2_SET_PRIORITY = 6,
    OCW2_ROTATE_SPECIFIC = 7
};
#define PIC_LOWEST_DEFAULT 7u
#define PIC_LOWEST_UNKNOWN 0xFFu

#define PIT_PORT_COUNTER0 0x40u
#define PIT_PORT_CONTROL 0x43u
#define PIT_SELECT_SHIFT 6
#define PIT_SELECT_READ_BACK 3u
#define PIT_RW_SHIFT 4
#define PIT_RW_MASK 3u
enum pit_rw { PIT_RW_LATCH, PIT_RW_LOW, PIT_RW_HIGH, PIT_RW_BOTH };

#define RTC_PORT_INDEX 0x70u
#define UART_FCR_OFFSET 2u

static const uint16_t uart_base[IOWATCH_UARTS] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};
static const uint16_t trapped_ports[] = {PIC_PORT_MASTER,   PIC_PORT_MASTER + 1, PIC_PORT_SLAVE, PIC_PORT_SLAVE + 1,
                                         PIT_PORT_COUNTER0, PIT_PORT_CONTROL,    RTC_PORT_INDEX};

static struct iowatch watch = {.version = IOWATCH_VERSION};

void iowatch_reset(void)
{
    memset(&watch, 0, sizeof watch);
    watch.version = IOWATCH_VERSION;
}

void iowatch_ports(void (*trap)(uint16_t port))
{
    for (size_t i = 0; i < ARRAY_LEN(trapped_ports); i++)
        trap(trapped_ports[i]);
}

static void pic_complete(struct iowatch_pic *pic)
{
    memcpy(pic->icw, pic->pending, sizeof pic->icw);
    pic->seen = 1;
    pic->step = 0;
}

static void pic_ocw2(struct iowatch_pic *pic, uint8_t value)
{
    switch (value >> OCW2_COMMAND_SHIFT) {
    case OCW2_ROTATE_AEOI_CLEAR:
        pic->rotate_aeoi = 0;
        break;
    case OCW2_ROTATE_AEOI_SET:
        pic->rotate_aeoi = 1;
        break;
    case OCW2_SET_PRIORITY:
    case OCW2_ROTATE_SPECIFIC:
        pic->lowest = value & OCW2_LEVEL;
        break;
    case OCW2_ROTATE_EOI: /* rotates by whatever was in service, which nobody saw */
        pic->lowest = PIC_LOWEST_UNKNOWN;
        break;
    default:
        break;
    }
}

static void pic_even(struct iowatch_pic *pic, uint8_t value)
{
    if (value & ICW1_INIT) {
        memset(pic->pending, 0, sizeof pic->pending);
        pic->pending[0] = value;
        pic->step = 2;
        /* "Following ICW1: special mask mode is cleared, status read is set to IRR, IR7 is assigned priority 7" */
        pic->read_isr = pic->special_mask = pic->rotate_aeoi = 0;
        pic->lowest = PIC_LOWEST_DEFAULT;
    } else if (value & OCW3_SELECT) {
        if (value & OCW3_RR)
            pic->read_isr = (value & OCW3_RIS) != 0;
        if (value & OCW3_ESMM)
            pic->special_mask = (value & OCW3_SMM) != 0;
    } else {
        pic_ocw2(pic, value);
    }
}

static void pic_odd(struct iowatch_pic *pic, uint8_t value)
{
    if (!pic->step) /* OCW1, the mask: readable, so the class asks the hardware */
        return;
    pic->pending[pic->step - 1] = value;
    bool single = pic->pending[0] & ICW1_SNGL, wants_icw4 = pic->pending[0] & ICW1_IC4;
    if (pic->step == 2 && !single)
        pic->step = 3;
    else if (pic->step < 4 && wants_icw4)
        pic->step = 4;
    else
        pic_complete(pic);
}

static void pit_control(uint8_t value)
{
    unsigned select = value >> PIT_SELECT_SHIFT;
    if (select == PIT_SELECT_READ_BACK || ((value >> PIT_RW_SHIFT) & PIT_RW_MASK) == PIT_RW_LATCH)
        return;
    struct iowatch_pit *pit = &watch.pit[select];
    memset(pit, 0, sizeof *pit);
    pit->control = value;
    pit->control_seen = 1;
}

static void pit_data(struct iowatch_pit *pit, uint8_t value)
{
    if (!pit->control_seen) /* programmed before we looked: the byte order is not known */
        return;
    switch ((pit->control >> PIT_RW_SHIFT) & PIT_RW_MASK) {
    case PIT_RW_LOW:
        pit->reload = value;
        pit->reload_seen = 1;
        break;
    case PIT_RW_HIGH:
        pit->reload = (uint16_t)(value << 8);
        pit->reload_seen = 1;
        break;
    default:
        if (pit->half) {
            pit->reload = (uint16_t)(value << 8 | pit->low);
            pit->reload_seen = 1;
        } else {
            pit->low = value;
        }
        pit->half = !pit->half;
    }
}

static void out8(uint16_t port, uint8_t value)
{
    switch (port) {
    case PIC_PORT_MASTER:
    case PIC_PORT_SLAVE:
        pic_even(&watch.pic[port == PIC_PORT_SLAVE], value);
        return;
    case PIC_PORT_MASTER + 1:
    case PIC_PORT_SLAVE + 1:
        pic_odd(&watch.pic[port == PIC_PORT_SLAVE + 1], value);
        return;
    case PIT_PORT_COUNTER0:
        pit_data(&watch.pit[0], value);
        return;
    case PIT_PORT_CONTROL:
        pit_control(value);
        return;
    case RTC_PORT_INDEX:
        watch.rtc_index = value;
        watch.rtc_seen = 1;
        return;
    default:
        break;
    }
    for (size_t i = 0; i < IOWATCH_UARTS; i++) {
        if (port == uart_base[i] + UART_FCR_OFFSET) {
            watch.fcr[i] = value;
            watch.fcr_seen[i] = 1;
        }
    }
}

void iowatch_out(uint16_t port, unsigned bytes, uint32_t value)
{
    for (unsigned i = 0; i < bytes && i < 4; i++)
        out8((uint16_t)(port + i), (uint8_t)(value >> (8 * i)));
}

const struct iowatch *iowatch_state(void)
{
    return &watch;
}

void iowatch_set(const struct iowatch *state)
{
    watch = *state;
}

bool iowatch_valid(const struct iowatch *state)
{
    if (state->version != IOWATCH_VERSION || state->zero || state->rtc_seen > 1)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(state->pic); i++) {
        const struct iowatch_pic *pic = &state->pic[i];
        if (pic->seen > 1 || pic->step == 1 || pic->step > 4 || (pic->lowest > 7 && pic->lowest != PIC_LOWEST_UNKNOWN))
            return false;
        if (pic->seen && !(pic->icw[0] & ICW1_INIT))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(state->pit); i++)
        if (state->pit[i].half > 1 || state->pit[i].reload_seen > state->pit[i].control_seen)
            return false;
    for (size_t i = 0; i < IOWATCH_UARTS; i++)
        if (state->fcr_seen[i] > 1)
            return false;
    return true;
}
