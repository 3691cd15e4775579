/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_pit.h. Intel data sheet 231164 "82C54", "Mode Definitions" and "Read-Back Command". */
#include "ckpt/dev_pit.h"

#include "str.h"

#define PIT_MODE_RATE_GENERATOR 2u
#define PIT_MODE_PERIODIC_MASK 3u /* 2 rate generator, 3 square wave; 6 and 7 are the same two */
#define PIT_RELOAD_REFRESH 18u
#define PIT_RELOAD_65536 0u

static bool periodic(uint8_t status)
{
    return (PIT_STATUS_MODE(status) & PIT_MODE_PERIODIC_MASK) >= PIT_MODE_RATE_GENERATOR;
}

static bool observed(const struct dev_pit_channel *c)
{
    return c->watch.control_seen && c->watch.reload_seen;
}

enum err dev_pit_check(const struct dev_pit_state *s, char *why, size_t why_len)
{
    enum err e = dev_head_check(&s->head, DEV_PIT_VERSION, sizeof *s, why, why_len);
    if (e)
        return e;
    for (size_t i = 0; i < DEV_PIT_CHANNELS; i++) {
        const struct dev_pit_channel *c = &s->channel[i];
        if (c->zero || c->watch.half > 1 || c->watch.reload_seen > 1 || c->watch.control_seen > 1)
            return dev_refuse(E_DEVICE, why, why_len, "pit counter %u: impossible state", (unsigned)i);
    }
    if (s->system_b & ~PIT_SYSTEM_B_WRITABLE)
        return dev_refuse(E_DEVICE, why, why_len, "port 61h: %02x has read-only bits", s->system_b);
    return E_OK;
}

static size_t put(struct port_write *out, size_t n, unsigned port, unsigned value)
{
    out[n] = (struct port_write){(uint16_t)port, (uint8_t)value};
    return n + 1;
}

static size_t put_count(struct port_write *out, size_t n, size_t channel, unsigned rw, uint16_t count)
{
    if (rw != PIT_RW_HIGH_ONLY)
        n = put(out, n, PIT_PORT_COUNTER((unsigned)channel), count & 0xFFu);
    if (rw != PIT_RW_LOW_ONLY)
        n = put(out, n, PIT_PORT_COUNTER((unsigned)channel), count >> 8);
    return n;
}

static size_t plan_channel(const struct dev_pit_channel *c, size_t i, struct port_write *out, size_t n)
{
    unsigned rw = PIT_STATUS_RW(c->status);
    if (rw == PIT_RW_NEVER)
        return n;
    n = put(out, n, PIT_PORT_CONTROL_WORD, (unsigned)i << 6 | (c->status & PIT_STATUS_CONTROL));
    bool loaded = !(c->status & PIT_STATUS_NULL_COUNT);
    if (periodic(c->status)) {
        /* The running count first, the reload second: "a new count written while counting does not affect the current
           counting sequence", so the phase is kept, too. */
        uint16_t reload = observed(c) ? c->watch.reload : i == 1 ? PIT_RELOAD_REFRESH : PIT_RELOAD_65536;
        if (loaded && c->count != reload)
            n = put_count(out, n, i, rw, c->count);
        if (loaded || c->watch.reload_seen)
            n = put_count(out, n, i, rw, reload);
    } else if (loaded && !(c->status & PIT_STATUS_OUT)) {
        n = put_count(out, n, i, rw, c->count); /* what is left of a one-shot */
    } else if (!loaded && c->watch.reload_seen) {
        n = put_count(out, n, i, rw, c->watch.reload);
    } /* else expired, or waits for its count: the control word alone never fires again by itself */
    if (c->watch.half)
        n = put(out, n, PIT_PORT_COUNTER((unsigned)i), c->watch.low);
    return n;
}

size_t dev_pit_plan(const struct dev_pit_state *s, struct port_write *out)
{
    size_t n = 0;
    for (size_t i = 0; i < DEV_PIT_CHANNELS; i++)
        n = plan_channel(&s->channel[i], i, out, n);
    return put(out, n, PIT_PORT_SYSTEM_B, s->system_b & PIT_SYSTEM_B_WRITABLE);
}

void dev_pit_show(const struct dev_pit_state *s, char *text, size_t len)
{
    const struct dev_pit_channel *c = s->channel;
    str_format(text, len, "modes %u %u %u count %u %u %u port61 %02x; counter 0 reload %s, others normalised",
               PIT_STATUS_MODE(c[0].status), PIT_STATUS_MODE(c[1].status), PIT_STATUS_MODE(c[2].status), c[0].count,
               c[1].count, c[2].count, s->system_b, observed(&c[0]) ? "observed" : "normalised");
}
