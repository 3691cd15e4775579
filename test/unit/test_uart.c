/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The UART shell against a model of a 16550, of an absent port, and of a broken one. */
/* UNITS: drivers/uart.c */
#include "drivers/uart.h"
#include "io.h"
#include "unit.h"

#include <string.h>

#define PORT 0x2f8

static struct {
    enum { WORKS, ABSENT, STUCK } kind; /* STUCK: status bits never change, transmitter never empty */
    uint8_t ier, lcr, mcr, fcr, dll, dlm;
    uint8_t rx[64], rx_status[64];
    unsigned rx_head, rx_tail;
    char tx[512];
    unsigned tx_length, tx_fifo, tx_rate; /* tx_rate: status reads until the FIFO is empty */
    unsigned tx_wait, causes, overfull, reads;
} model;

static void model_start(int kind)
{
    memset(&model, 0, sizeof model);
    model.kind = (unsigned)kind;
    model.tx_rate = 3;
}

uint8_t io_in8(uint16_t port)
{
    ck_assert_uint_ge(port, PORT);
    ck_assert_uint_lt(port, PORT + UART_PORTS);
    model.reads++;
    ck_assert_uint_lt(model.reads, 100000); /* every loop is bounded */
    if (model.kind == ABSENT)
        return UART_ABSENT;
    bool dlab = model.lcr & UART_LCR_DLAB;
    switch (port - PORT) {
    case UART_RBR:
        if (dlab)
            return model.dll;
        return model.rx_tail < model.rx_head ? model.rx[model.rx_tail++] : 0;
    case UART_IER:
        return dlab ? model.dlm : model.ier;
    case UART_IIR:
        if (model.kind == STUCK)
            return 0;
        if (model.causes == 0)
            return 0xc0 | UART_IIR_NONE;
        model.causes--;
        return 0xc2;
    case UART_LCR:
        return model.lcr;
    case UART_MCR:
        return model.mcr;
    case UART_LSR: {
        if (model.kind == STUCK)
            return UART_LSR_DR | UART_LSR_BI;
        uint8_t lsr = 0;
        if (model.rx_tail < model.rx_head)
            lsr |= UART_LSR_DR | model.rx_status[model.rx_tail];
        if (model.tx_fifo && model.tx_wait-- == 0)
            model.tx_fifo = 0;
        if (!model.tx_fifo)
            lsr |= UART_LSR_THRE | UART_LSR_TEMT;
        return lsr;
    }
    default:
        return 0;
    }
}

void io_out8(uint16_t port, uint8_t value)
{
    bool dlab = model.lcr & UART_LCR_DLAB;
    if (model.kind == ABSENT)
        return;
    switch (port - PORT) {
    case UART_THR:
        if (dlab) {
            model.dll = value;
            return;
        }
        model.overfull += model.tx_fifo == UART_FIFO_BYTES;
        if (model.tx_fifo++ == 0)
            model.tx_wait = model.tx_rate;
        if (model.tx_length < sizeof model.tx - 1)
            model.tx[model.tx_length++] = (char)value;
        return;
    case UART_IER:
        *(dlab ? &model.dlm : &model.ier) = dlab ? value : value & 0x0f;
        return;
    case UART_FCR:
        model.fcr = value;
        return;
    case UART_LCR:
        model.lcr = value;
        return;
    case UART_MCR:
        model.mcr = value;
        return;
    default:
        return;
    }
}

void io_out8_all(uint16_t port, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        io_out8(port, bytes[i]);
}

static void arrives(uint8_t byte, uint8_t status)
{
    model.rx[model.rx_head] = byte;
    model.rx_status[model.rx_head++] = status;
}

START_TEST(init_sets_115200_8n1)
{
    struct uart u;
    model_start(WORKS);
    model.lcr = 0xbf;
    model.ier = 5;
    model.causes = 3;
    arrives('x', 0);
    ck_assert_int_eq(uart_init(&u, PORT), E_OK);
    ck_assert_uint_eq(u.port, PORT);
    ck_assert_uint_eq(model.dll, 1);
    ck_assert_uint_eq(model.dlm, 0);
    ck_assert_uint_eq(model.lcr, UART_LCR_8N1);
    ck_assert_uint_eq(model.ier, 0);
    ck_assert_uint_eq(model.mcr, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
    ck_assert(model.fcr & UART_FCR_ENABLE);
    ck_assert_uint_eq(model.causes, 0);
    uint8_t byte;
    ck_assert(!uart_rx(&u, &byte)); /* what lay there before is gone */
}
END_TEST

START_TEST(probing_puts_things_back)
{
    model_start(WORKS);
    model.lcr = UART_LCR_DLAB | UART_LCR_8N1;
    model.ier = 5;
    model.dlm = 9;
    ck_assert(uart_present(PORT));
    ck_assert_uint_eq(model.ier, 5);
    ck_assert_uint_eq(model.dlm, 9);
    ck_assert_uint_eq(model.lcr, UART_LCR_DLAB | UART_LCR_8N1);
}
END_TEST

START_TEST(absent)
{
    struct uart u;
    uint8_t byte;
    model_start(ABSENT);
    ck_assert(!uart_present(PORT));
    ck_assert(!uart_present(0));
    ck_assert_int_eq(uart_init(&u, PORT), E_NOCONSOLE);
    ck_assert_int_eq(uart_init(&u, 0), E_NOCONSOLE);
    unsigned before = model.reads;
    ck_assert(!uart_rx(&u, &byte));
    ck_assert_uint_eq(uart_tx(&u, (const uint8_t *)"x", 1), 0);
    ck_assert_int_eq(uart_write(&u, (const uint8_t *)"x", 1, 1000), E_NOCONSOLE);
    uart_interrupts(&u, true, true);
    uart_quiet(&u);
    ck_assert_uint_eq(model.reads, before); /* no port is touched */
}
END_TEST

START_TEST(goes_away_later)
{
    struct uart u;
    uint8_t byte;
    model_start(WORKS);
    ck_assert_int_eq(uart_init(&u, PORT), E_OK);
    model.kind = ABSENT;
    ck_assert(!uart_rx(&u, &byte));
    ck_assert_uint_eq(uart_tx(&u, (const uint8_t *)"x", 1), 0);
    ck_assert_int_eq(uart_write(&u, (const uint8_t *)"x", 1, 1000), E_TIMEOUT);
    uart_quiet(&u);
    model.kind = STUCK;
    ck_assert(!uart_rx(&u, &byte)); /* endless breaks */
    uart_quiet(&u);                 /* endless causes */
    ck_assert_int_eq(uart_write(&u, (const uint8_t *)"x", 1, 1000), E_TIMEOUT);
}
END_TEST

START_TEST(receive)
{
    struct uart u;
    uint8_t byte;
    model_start(WORKS);
    ck_assert_int_eq(uart_init(&u, PORT), E_OK);
    ck_assert(!uart_rx(&u, &byte));
    arrives('a', 0);
    arrives(0, UART_LSR_BI | UART_LSR_FE);
    arrives('b', UART_LSR_OE);
    arrives('c', UART_LSR_PE);
    ck_assert(uart_rx(&u, &byte) && byte == 'a');
    ck_assert(uart_rx(&u, &byte) && byte == 'b');
    ck_assert(uart_rx(&u, &byte) && byte == 'c');
    ck_assert(!uart_rx(&u, &byte));
    ck_assert_uint_eq(u.overruns, 1);
    ck_assert_uint_eq(u.line_errors, 2);
}
END_TEST

START_TEST(transmit_never_overfills)
{
    struct uart u;
    const char *text = "forty characters of text, more than two!";
    model_start(WORKS);
    ck_assert_int_eq(uart_init(&u, PORT), E_OK);
    ck_assert_uint_eq(uart_tx(&u, (const uint8_t *)text, 40), UART_FIFO_BYTES);
    ck_assert_uint_eq(uart_tx(&u, (const uint8_t *)text, 40), 0); /* not empty yet */
    model_start(WORKS);
    ck_assert_int_eq(uart_init(&u, PORT), E_OK);
    ck_assert_int_eq(uart_write(&u, (const uint8_t *)text, 40, 1000), E_OK);
    ck_assert_str_eq(model.tx, text);
    ck_assert_uint_eq(model.overfull, 0);
    ck_assert_uint_eq(uart_tx(&u, NULL, 0), 0);
}
END_TEST

START_TEST(interrupts)
{
    struct uart u;
    model_start(WORKS);
    ck_assert_int_eq(uart_init(&u, PORT), E_OK);
    uart_interrupts(&u, true, false);
    ck_assert_uint_eq(model.ier, UART_IER_ERBFI);
    uart_interrupts(&u, true, true);
    ck_assert_uint_eq(model.ier, UART_IER_ERBFI | UART_IER_ETBEI);
    ck_assert_uint_eq(u.ier, model.ier);
    uart_interrupts(&u, false, false);
    ck_assert_uint_eq(model.ier, 0);
    model.causes = 5;
    uart_quiet(&u);
    ck_assert_uint_eq(model.causes, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("uart");
    TCase *t = tcase_create("all");
    tcase_add_test(t, init_sets_115200_8n1);
    tcase_add_test(t, probing_puts_things_back);
    tcase_add_test(t, absent);
    tcase_add_test(t, goes_away_later);
    tcase_add_test(t, receive);
    tcase_add_test(t, transmit_never_overfills);
    tcase_add_test(t, interrupts);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("uart", suite)
