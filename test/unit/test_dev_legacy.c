/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PIC, PIT, CMOS, serial ports and keyboard controller against register-level models: capture disturbs nothing, and
   capture -> disturb -> restore gives the same machine bit for bit. */
/* UNITS: kernel/iowatch.c ckpt/dev_common.c ckpt/dev_pic.c ckpt/dev_pit.c ckpt/dev_rtc.c ckpt/dev_uart.c */
/* UNITS: ckpt/dev_uart_hw.c ckpt/dev_kbd.c drivers/pic.c drivers/pit.c drivers/rtc.c drivers/kbd.c */
#include "bits.h"
#include "ckpt/dev_uart.h"
#include "drivers/kbd.h"
#include "drivers/pic.h"
#include "drivers/pit.h"
#include "drivers/rtc.h"
#include "io.h"
#include "kernel/iowatch.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

struct pic_model {
    uint8_t imr, irr, isr, elcr, icw[4], step, ris, smm, rotate, lowest;
};
struct pit_model {
    uint8_t control, out, null_count, status_latched, status, count_latched, read_high, write_high, low;
    uint16_t count, reload, latch;
};
struct uart_model {
    uint8_t ier, lcr, mcr, scr, dll, dlm, fcr, thre_pending;
    uint8_t rx_bytes;
};
struct kbd_model {
    uint8_t command, obf, aux, data, expect; /* expect: command waiting for its byte */
    unsigned irqs;
};
static struct machine {
    struct pic_model pic[2];
    struct pit_model pit[3];
    uint8_t port61, port92;
    uint8_t cmos_index, cmos[128], nmi_touched;
    struct uart_model uart[4];
    struct kbd_model kbd;
} m;
static bool pit_immediate, kbd_absent, kbd_dead, uart_absent[4];
static char why[200], text[400];

static void pic_write(struct pic_model *p, unsigned odd, uint8_t v)
{
    if (!odd && v & 0x10) {
        uint8_t elcr = p->elcr;
        memset(p, 0, sizeof *p);
        p->elcr = elcr, p->icw[0] = v, p->step = 2, p->lowest = 7;
    } else if (!odd && v & 8) {
        if (v & 2)
            p->ris = v & 1;
        if (v & 0x40)
            p->smm = (v & 0x20) != 0;
    } else if (!odd) {
        if (v >> 5 == 6)
            p->lowest = v & 7;
        if (v >> 5 == 4 || v >> 5 == 0)
            p->rotate = v >> 5 == 4;
        if (v >> 5 == 3)
            p->isr &= (uint8_t) ~(1 << (v & 7));
    } else if (p->step) {
        p->icw[p->step - 1] = v;
        bool single = p->icw[0] & 2, four = p->icw[0] & 1;
        p->step = p->step == 2 && !single ? 3 : p->step < 4 && four ? 4 : 0;
    } else {
        p->imr = v;
    }
}

static void pit_write_count(struct pit_model *p, uint16_t v)
{
    bool periodic = (p->control >> 1 & 3) >= 2;
    p->reload = v;
    if (p->null_count || !periodic || pit_immediate)
        p->count = v;
    p->null_count = 0;
}

static void pit_write(unsigned ch, uint8_t v)
{
    struct pit_model *p = &m.pit[ch];
    unsigned rw = p->control >> 4 & 3;
    if (rw == 1)
        pit_write_count(p, v);
    else if (rw == 2)
        pit_write_count(p, (uint16_t)(v << 8));
    else if (p->write_high)
        p->write_high = 0, pit_write_count(p, (uint16_t)(v << 8 | p->low));
    else
        p->write_high = 1, p->low = v;
}

static void pit_control(uint8_t v)
{
    if (v >> 6 == 3) {
        for (unsigned ch = 0; ch < 3; ch++) {
            struct pit_model *p = &m.pit[ch];
            if (!(v & 2 << ch))
                continue;
            if (!(v & 0x10) && !p->status_latched)
                p->status_latched = 1, p->status = (uint8_t)(p->out << 7 | p->null_count << 6 | (p->control & 0x3f));
            if (!(v & 0x20) && !p->count_latched)
                p->count_latched = 1, p->latch = p->count;
        }
        return;
    }
    struct pit_model *p = &m.pit[v >> 6];
    memset(p, 0, sizeof *p);
    p->control = v & 0x3f;
    p->null_count = 1;
    p->out = (v >> 1 & 7) != 0;
}

static uint8_t pit_read(unsigned ch)
{
    struct pit_model *p = &m.pit[ch];
    if (p->status_latched) {
        uint8_t status = p->status;
        p->status_latched = p->status = 0;
        return status;
    }
    unsigned rw = p->control >> 4 & 3;
    uint16_t v = p->count_latched ? p->latch : p->count;
    if (rw == 1 || rw == 2) {
        p->count_latched = 0, p->latch = 0;
        return (uint8_t)(rw == 1 ? v : v >> 8);
    }
    p->read_high = !p->read_high;
    if (!p->read_high)
        p->count_latched = 0, p->latch = 0;
    return (uint8_t)(p->read_high ? v : v >> 8);
}

static uint8_t uart_read(struct uart_model *u, unsigned reg)
{
    switch (reg) {
    case 0:
        if (u->lcr & 0x80)
            return u->dll;
        ck_assert_msg(0, "the receive buffer was read");
        return 0;
    case 1:
        return u->lcr & 0x80 ? u->dlm : u->ier;
    case 2: {
        uint8_t iir = u->thre_pending ? 2 : 1;
        u->thre_pending = 0;
        return (uint8_t)(iir | (u->fcr & 1 ? 0xc0 : 0));
    }
    case 3:
        return u->lcr;
    case 4:
        return u->mcr;
    case 5:
        ck_assert_msg(0, "LSR was read: that clears the guest's error bits");
        return 0;
    case 6:
        ck_assert_msg(0, "MSR was read: that clears the guest's change bits");
        return 0;
    default:
        return u->scr;
    }
}

static void uart_write(struct uart_model *u, unsigned reg, uint8_t v)
{
    switch (reg) {
    case 0:
        ck_assert_msg(u->lcr & 0x80, "a byte was sent");
        u->dll = v;
        break;
    case 1:
        if (u->lcr & 0x80) {
            u->dlm = v;
            break;
        }
        if (v & 2 && !(u->ier & 2))
            u->thre_pending = 1;
        if (!(v & 2))
            u->thre_pending = 0;
        u->ier = v & 0xf;
        break;
    case 2:
        if (v & 2 || (v ^ u->fcr) & 1)
            u->rx_bytes = 0;
        u->fcr = v & 0xf9;
        break;
    case 3:
        u->lcr = v;
        break;
    case 4:
        u->mcr = v;
        break;
    default:
        u->scr = v;
        break;
    }
}

static void kbd_give(uint8_t v, bool aux)
{
    ck_assert(!m.kbd.obf); /* the one buffer would be overwritten: a byte swallowed */
    m.kbd.obf = 1, m.kbd.aux = aux, m.kbd.data = v;
    m.kbd.irqs++;
}

static void kbd_write(unsigned command_port, uint8_t v)
{
    if (command_port && v == 0x20)
        kbd_give(m.kbd.command, false);
    else if (command_port)
        m.kbd.expect = v;
    else if (m.kbd.expect == 0x60)
        m.kbd.command = v, m.kbd.expect = 0;
    else if (m.kbd.expect == 0xD2 || m.kbd.expect == 0xD3)
        kbd_give(v, m.kbd.expect == 0xD3), m.kbd.expect = 0;
    else
        ck_abort_msg("a byte went to the keyboard");
}

static const uint16_t uart_at[4] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};

uint8_t io_in8(uint16_t port)
{
    if ((port & 0xff7e) == 0x20) {
        struct pic_model *p = &m.pic[port >= 0xA0];
        return port & 1 ? p->imr : p->ris ? p->isr : p->irr;
    }
    for (unsigned i = 0; i < 4; i++)
        if (port >= uart_at[i] && port < uart_at[i] + 8)
            return uart_absent[i] ? 0xff : uart_read(&m.uart[i], port - uart_at[i]);
    switch (port) {
    case 0x4D0:
    case 0x4D1:
        return m.pic[port & 1].elcr;
    case 0x40:
    case 0x41:
    case 0x42:
        return pit_read(port & 3);
    case 0x61:
        return m.port61 | 0x20; /* OUT of counter 2 */
    case 0x71:
        ck_assert_uint_lt(m.cmos_index & 0x7f, 128);
        if ((m.cmos_index & 0x7f) == 0x0C) {
            uint8_t c = m.cmos[0x0C];
            m.cmos[0x0C] = 0;
            return c;
        }
        return m.cmos[m.cmos_index & 0x7f];
    case 0x64:
        return (uint8_t)(kbd_absent ? 0xff : m.kbd.obf | m.kbd.aux << 5 | (kbd_dead ? 2 : 0));
    case 0x60:
        m.kbd.obf = m.kbd.aux = 0;
        return m.kbd.data;
    case 0x92:
        return m.port92;
    default:
        ck_abort_msg("read of port %x", port);
        return 0;
    }
}

void io_out8(uint16_t port, uint8_t v)
{
    if ((port & 0xff7e) == 0x20) {
        pic_write(&m.pic[port >= 0xA0], port & 1, v);
        return;
    }
    for (unsigned i = 0; i < 4; i++)
        if (port >= uart_at[i] && port < uart_at[i] + 8) {
            uart_write(&m.uart[i], port - uart_at[i], v);
            return;
        }
    switch (port) {
    case 0x4D0:
    case 0x4D1:
        m.pic[port & 1].elcr = v;
        break;
    case 0x40:
    case 0x41:
    case 0x42:
        pit_write(port & 3, v);
        break;
    case 0x43:
        pit_control(v);
        break;
    case 0x61:
        m.port61 = v & 0x0f;
        break;
    case 0x70:
        m.nmi_touched |= (uint8_t)((m.cmos_index ^ v) & 0x80);
        m.cmos_index = v;
        break;
    case 0x71:
        m.cmos[m.cmos_index & 0x7f] = v;
        break;
    case 0x64:
    case 0x60:
        kbd_write(port == 0x64, v);
        break;
    case 0x92:
        ck_assert(!(v & 1)); /* resets the machine */
        m.port92 = v;
        break;
    default:
        ck_abort_msg("write of port %x", port);
    }
}

uint16_t io_in16(uint16_t port)
{
    ck_abort_msg("word read of port %x", port);
    return 0;
}

/* As the guest does: hardware and observer see it. */
static void guest(uint16_t port, uint8_t v)
{
    io_out8(port, v);
    iowatch_out(port, 1, v);
}

static void boot(void)
{
    memset(&m, 0, sizeof m);
    iowatch_reset();
    pit_immediate = kbd_absent = kbd_dead = false;
    memset(uart_absent, 0, sizeof uart_absent);
    const uint16_t pic[][2] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 0x04}, {0x21, 0x03}, {0x21, 0xb8},
                               {0xA0, 0x11}, {0xA1, 0x38}, {0xA1, 0x02}, {0xA1, 0x01}, {0xA1, 0x8e}};
    for (unsigned i = 0; i < ARRAY_LEN(pic); i++)
        guest(pic[i][0], (uint8_t)pic[i][1]);
    m.pic[0].elcr = 0x20, m.pic[1].elcr = 0x0c;
    guest(0x43, 0x34), guest(0x40, 0x9c), guest(0x40, 0x2e);
    guest(0x43, 0x54), io_out8(0x41, 18);
    guest(0x43, 0xb6), io_out8(0x42, 0x33), io_out8(0x42, 5);
    m.pit[0].count = 0x1234;
    m.port61 = 3;
    for (unsigned i = 0; i < 128; i++)
        m.cmos[i] = (uint8_t)(i * 7 + 1);
    m.cmos[0x0A] = 0x26, m.cmos[0x0B] = 0x42, m.cmos[0x0C] = 0xC0, m.cmos[0x0D] = 0x80;
    guest(0x70, 0x8B);
    for (unsigned i = 0; i < 4; i++)
        m.uart[i] = (struct uart_model){
            .ier = 0x5, .lcr = 0x13, .mcr = 0xb, .scr = (uint8_t)(0x50 + i), .dll = 1, .fcr = 0x81, .rx_bytes = 3};
    m.kbd.command = 0x67;
    m.port92 = 2;
    m.nmi_touched = 0;
}

START_TEST(pic_round_trip)
{
    for (unsigned variant = 0; variant < 5; variant++) {
        boot();
        if (variant == 1)
            guest(0x20, 0x0B), guest(0xA0, 0x0B), guest(0xA0, 0x68);
        if (variant == 2)
            guest(0x20, 0xC2), guest(0x20, 0x80);
        if (variant == 3)
            guest(0x20, 0x11), guest(0x21, 0x70), guest(0x21, 0x04); /* the cut lands before ICW4 */
        if (variant == 4)
            guest(0xA0, 0x11);
        struct dev_pic_state s = {0};
        struct machine before = m;
        ck_assert(pic_present());
        ck_assert_int_eq(pic_capture(&s), E_OK);
        ck_assert(!memcmp(&before, &m, sizeof m));
        ck_assert_int_eq(dev_pic_check(&s, why, sizeof why), E_OK);
        ck_assert_int_eq(pic_quiesce(), E_OK);
        pic_write(&m.pic[0], 0, 0x13), pic_write(&m.pic[0], 1, 8), pic_write(&m.pic[0], 1, 0);
        m.pic[1] = (struct pic_model){.imr = 1, .isr = 0xff, .irr = 0xff, .elcr = 0xde, .ris = 1};
        ck_assert_int_eq(pic_restore(&s), E_OK);
        ck_assert_msg(!memcmp(&before.pic, &m.pic, sizeof m.pic), "variant %u", variant);
    }
}
END_TEST

START_TEST(pic_not_observed_is_normalised_and_says_so)
{
    boot();
    struct dev_pic_state s = {0};
    iowatch_reset();
    m.pic[0].isr = 2;
    ck_assert(pic_in_service());
    ck_assert_int_eq(pic_capture(&s), E_OK);
    ck_assert_uint_eq(s.chip[0].isr, 2);
    ck_assert_int_eq(pic_restore(&s), E_OK);
    ck_assert(!pic_in_service());
    ck_assert_uint_eq(m.pic[0].icw[1], 0x30);
    ck_assert_uint_eq(m.pic[0].imr, 0xb8);
    dev_pic_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "normalised"));
    ck_assert_ptr_nonnull(strstr(text, "not restored"));
    struct dev_pic_state bad = s;
    bad.chip[0].elcr = 1;
    ck_assert_int_eq(dev_pic_check(&bad, why, sizeof why), E_DEVICE);
    bad = s, bad.chip[1].watch.step = 9;
    ck_assert_int_eq(dev_pic_check(&bad, why, sizeof why), E_DEVICE);
    bad = s, bad.head.version = 0;
    ck_assert_int_eq(dev_pic_check(&bad, why, sizeof why), E_STOREVERSION);
    bad = s, bad.head.bytes = 47;
    ck_assert_int_eq(dev_pic_check(&bad, why, sizeof why), E_DEVICE);
}
END_TEST

START_TEST(pit_round_trip)
{
    for (unsigned mode = 0; mode < 6; mode++)
        for (unsigned rw = 1; rw < 4; rw++)
            for (unsigned variant = 0; variant < 4; variant++) {
                boot();
                guest(0x43, (uint8_t)(rw << 4 | mode << 1));
                if (variant != 3) {
                    guest(0x40, rw == 2 ? 0x20 : 0x10);
                    if (rw == 3)
                        guest(0x40, 0x20);
                }
                uint16_t running = rw == 1 ? 0x08 : rw == 2 ? 0x1100 : 0x1108;
                if (variant == 0)
                    m.pit[0].count = running;
                if (variant == 1)
                    m.pit[0].count = running, m.pit[0].out = 1;
                if (variant == 2 && rw == 3)
                    guest(0x40, 0x77); /* a new count is half written */
                struct dev_pit_state s = {0};
                struct machine before = m;
                ck_assert_int_eq(pit_capture(&s), E_OK);
                ck_assert(!memcmp(&before, &m, sizeof m));
                ck_assert_int_eq(dev_pit_check(&s, why, sizeof why), E_OK);
                pit_control(0x30), pit_control(0x70), pit_control(0xb0);
                m.port61 = 0;
                ck_assert_int_eq(pit_quiesce(), E_OK);
                ck_assert_int_eq(pit_restore(&s), E_OK);
                struct pit_model *p = &m.pit[0], *b = &before.pit[0];
                bool periodic = mode == 2 || mode == 3;
                ck_assert_uint_eq(p->control, b->control);
                ck_assert_uint_eq(p->write_high, b->write_high);
                ck_assert_uint_eq(p->low, b->write_high ? b->low : p->low);
                ck_assert_uint_eq(m.port61, 3);
                if (periodic && variant != 3) {
                    ck_assert_uint_eq(p->count, b->count);
                    ck_assert_uint_eq(p->reload, b->reload);
                }
                if (!periodic && !b->out && variant != 3)
                    ck_assert_uint_eq(p->count, b->count);
                if (!periodic && b->out)
                    ck_assert(p->null_count); /* expired: must not fire again */
                if (variant == 3)
                    ck_assert(p->null_count);
            }
}
END_TEST

START_TEST(pit_normalises_what_nobody_saw)
{
    boot();
    iowatch_reset();
    pit_immediate = true; /* as QEMU: a new count starts at once */
    struct dev_pit_state s = {0};
    ck_assert_int_eq(pit_capture(&s), E_OK);
    ck_assert_int_eq(pit_restore(&s), E_OK);
    ck_assert_uint_eq(m.pit[0].reload, 0);
    ck_assert_uint_eq(m.pit[1].reload, 18);
    dev_pit_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "reload normalised"));
    struct dev_pit_state bad = s;
    bad.system_b = 0x20;
    ck_assert_int_eq(dev_pit_check(&bad, why, sizeof why), E_DEVICE);
    bad = s, bad.channel[2].watch.half = 2;
    ck_assert_int_eq(dev_pit_check(&bad, why, sizeof why), E_DEVICE);
    m.pit[0].control = 0; /* never programmed */
    memset(&s, 0, sizeof s);
    ck_assert_int_eq(pit_capture(&s), E_OK);
    struct port_write plan[DEV_PIT_PLAN_MAX];
    size_t n = dev_pit_plan(&s, plan);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_ne(plan[i].port, 0x40);
}
END_TEST

START_TEST(cmos_round_trip)
{
    boot();
    struct dev_rtc_state s = {0};
    struct machine before = m;
    ck_assert(rtc_present());
    ck_assert_int_eq(rtc_capture(&s), E_OK);
    ck_assert(!memcmp(&before, &m, sizeof m)); /* index, NMI mask, register C: all as they were */
    ck_assert_int_eq(dev_rtc_check(&s, why, sizeof why), E_OK);
    ck_assert_int_eq(rtc_quiesce(), E_OK);
    ck_assert_uint_eq(m.cmos[0x0B] & 0x70, 0);
    for (unsigned i = 0; i < 128; i++)
        m.cmos[i] ^= 0x5a;
    m.cmos_index = 0x33;
    ck_assert_int_eq(rtc_restore(&s), E_OK);
    for (unsigned i = 0; i < 128; i++) {
        bool time = i == 0 || i == 2 || i == 4 || (i >= 6 && i <= 9) || i == 0x32 || i == 0x0D;
        if (i == 0x0C)
            ck_assert_uint_eq(m.cmos[i], 0); /* no stuck flag */
        else
            ck_assert_uint_eq(m.cmos[i], time ? before.cmos[i] ^ 0x5a : before.cmos[i]);
    }
    ck_assert_uint_eq(m.cmos_index, 0x8B);
    struct dev_rtc_state bad = s;
    bad.cmos[0x0C] = 1;
    ck_assert_int_eq(dev_rtc_check(&bad, why, sizeof why), E_DEVICE);
    bad = s, bad.cmos[4] = 1;
    ck_assert_int_eq(dev_rtc_check(&bad, why, sizeof why), E_DEVICE);
    bad = s, bad.index_seen = 2;
    ck_assert_int_eq(dev_rtc_check(&bad, why, sizeof why), E_DEVICE);
    dev_rtc_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "observed"));
    iowatch_reset();
    ck_assert_int_eq(rtc_capture(&s), E_OK);
    ck_assert_uint_eq(m.cmos_index, 0x0D);
}
END_TEST

START_TEST(uart_round_trip)
{
    for (unsigned variant = 0; variant < 4; variant++) {
        boot();
        uart_state_init(0x2F8); /* COM2 is the console: must not be touched */
        uart_absent[3] = true;
        if (variant == 1)
            m.uart[0].ier = 7, m.uart[0].thre_pending = 1;
        if (variant == 2)
            m.uart[0].lcr |= 0x80; /* the guest is setting its divisor */
        if (variant == 3)
            m.uart[2].fcr = 0, guest(0x3FA, 0x41), m.uart[0].rx_bytes = 3;
        struct machine before = m;
        struct dev_uart_state s = {0};
        ck_assert_uint_eq(uart_state_ports(), 5);
        ck_assert_int_eq(uart_state_capture(&s), E_OK);
        ck_assert_msg(!memcmp(&before, &m, sizeof m), "variant %u", variant);
        ck_assert_int_eq(dev_uart_check(&s, uart_state_ports(), why, sizeof why), E_OK);
        ck_assert_int_eq(uart_state_quiesce(), E_OK);
        ck_assert_uint_eq(m.uart[0].ier, 0);
        struct uart_model cold = {.lcr = 3, .dll = 12, .scr = 9};
        m.uart[2] = cold;
        ck_assert_int_eq(uart_state_restore(&s), E_OK);
        before.uart[2].rx_bytes = 0; /* it went through a power cut */
        ck_assert_msg(!memcmp(&before.uart, &m.uart, sizeof m.uart), "variant %u", variant);
    }
}
END_TEST

START_TEST(uart_refusals)
{
    boot();
    uart_state_init(0);
    struct dev_uart_state s = {0}, bad;
    ck_assert_int_eq(uart_state_capture(&s), E_OK);
    ck_assert_int_eq(dev_uart_check(&s, 0xf, why, sizeof why), E_OK);
    ck_assert_int_eq(dev_uart_check(&s, 0xd, why, sizeof why), E_LAYOUT);
    ck_assert_ptr_nonnull(strstr(why, "com2"));
    bad = s, bad.port[0].ier = 0x10;
    ck_assert_int_eq(dev_uart_check(&bad, 0xf, why, sizeof why), E_DEVICE);
    bad = s, bad.port[3].base = 0x80;
    ck_assert_int_eq(dev_uart_check(&bad, 0xf, why, sizeof why), E_DEVICE);
    dev_uart_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "com4"));
    dev_uart_show(&s, text, 8); /* a short buffer is only cut */
    ck_assert_uint_lt(strlen(text), 8);
}
END_TEST

START_TEST(keyboard_round_trip)
{
    for (unsigned variant = 0; variant < 3; variant++) {
        boot();
        if (variant)
            m.kbd.obf = 1, m.kbd.data = 0x1e, m.kbd.aux = variant == 2;
        struct machine before = m;
        struct dev_kbd_state s = {0};
        ck_assert_int_eq(kbd_capture(&s), E_OK);
        before.kbd.irqs = m.kbd.irqs, before.kbd.data = m.kbd.obf ? before.kbd.data : m.kbd.data;
        ck_assert(!memcmp(&before, &m, sizeof m)); /* the byte is still there for the guest */
        ck_assert(s.command_seen && s.command == 0x67);
        ck_assert_int_eq(dev_kbd_check(&s, true, why, sizeof why), E_OK);
        m.kbd = (struct kbd_model){.command = 0x30, .obf = 1, .data = 0xfa};
        m.port92 = 0;
        ck_assert_int_eq(kbd_restore(&s), E_OK);
        ck_assert_uint_eq(m.kbd.command, 0x67);
        ck_assert_uint_eq(m.kbd.obf, variant != 0);
        ck_assert_uint_eq(m.kbd.aux, variant == 2);
        if (variant)
            ck_assert_uint_eq(m.kbd.data, 0x1e);
        ck_assert_uint_eq(m.port92, 2);
    }
}
END_TEST

START_TEST(keyboard_absent_busy_or_odd)
{
    struct dev_kbd_state s = {0}, bad;
    boot();
    kbd_absent = true;
    ck_assert(!kbd_present());
    ck_assert_int_eq(kbd_capture(&s), E_OK);
    ck_assert(!s.present);
    ck_assert_int_eq(dev_kbd_check(&s, false, why, sizeof why), E_OK);
    ck_assert_int_eq(kbd_restore(&s), E_OK);
    kbd_absent = false;
    kbd_dead = true; /* its input buffer never empties */
    memset(&s, 0, sizeof s);
    ck_assert_int_eq(kbd_capture(&s), E_OK);
    ck_assert(s.present && !s.command_seen);
    kbd_dead = false;
    memset(&s, 0, sizeof s);
    ck_assert_int_eq(kbd_capture(&s), E_OK);
    kbd_dead = true;
    ck_assert_int_eq(kbd_restore(&s), E_TIMEOUT);
    ck_assert_int_eq(dev_kbd_check(&s, false, why, sizeof why), E_LAYOUT);
    bad = s, bad.port92 = 1;
    ck_assert_int_eq(dev_kbd_check(&bad, true, why, sizeof why), E_DEVICE);
    bad = s, bad.held_aux = 1;
    ck_assert_int_eq(dev_kbd_check(&bad, true, why, sizeof why), E_DEVICE);
    dev_kbd_show(&s, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "command 67"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("dev_legacy");
    TCase *c = tcase_create("all");
    tcase_add_test(c, pic_round_trip);
    tcase_add_test(c, pic_not_observed_is_normalised_and_says_so);
    tcase_add_test(c, pit_round_trip);
    tcase_add_test(c, pit_normalises_what_nobody_saw);
    tcase_add_test(c, cmos_round_trip);
    tcase_add_test(c, uart_round_trip);
    tcase_add_test(c, uart_refusals);
    tcase_add_test(c, keyboard_round_trip);
    tcase_add_test(c, keyboard_absent_busy_or_odd);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN("dev_legacy", suite)
