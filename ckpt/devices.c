/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Ties each class's pure part and shell together. Restore order, and why:
     iowatch  observations first, the classes below write what they say
     clock    makes the plan
     lapic    needs all other interrupt sources quiet while it puts vectors in service
     pic, ioapic  from here edges are caught again ...
     pci      addresses, message interrupts; no bus mastering yet
     ide      points at the guest's memory again
     pit, hpet, rtc, uart ...  ... so that none of their edges is lost
     pcibm    DMA may begin
     ahci     a port that is started looks at its list
     e1000    sends and receives by itself */
#include "ckpt/devices.h"

#include "ckpt/dev_ahci.h"
#include "ckpt/dev_e1000.h"
#include "ckpt/dev_ide.h"
#include "ckpt/dev_pci.h"
#include "ckpt/dev_uart.h"
#include "drivers/hpet.h"
#include "drivers/kbd.h"
#include "drivers/pic.h"
#include "drivers/pit.h"
#include "drivers/pmtimer.h"
#include "drivers/rtc.h"
#include "drivers/vga_state.h"
#include "kernel/iowatch.h"
#include "log.h"
#include "str.h"

#include <string.h>

static struct devices_env env;
static struct dev_clock_plan plan;

void devices_init(const struct devices_env *e)
{
    env = *e;
    ioapic_init(env.ioapic, env.ioapic_count);
    lapic_init(&env.lapic);
    hpet_init(env.hpet);
    pmtimer_init(env.pm_timer_port, env.pm_timer_bits);
    uart_state_init(env.console_port);
    pci_state_init(env.hidden, env.hidden_count, env.kept, env.kept_count);
    plan.valid = false;
}

struct dev_clock_plan *devices_clock_plan(void)
{
    return &plan;
}

bool devices_in_service(void)
{
    return pic_in_service();
}

static enum err on_each_cpu(enum err (*fn)(uint32_t cpu, void *arg), void *arg)
{
    return env.on_each_cpu ? env.on_each_cpu(fn, arg) : fn(0, arg);
}

static bool always(void)
{
    return true;
}

/* iowatch: the state is struct iowatch itself, which has its own version. */
static enum err watch_capture(void *state)
{
    *(struct iowatch *)state = *iowatch_state();
    return E_OK;
}

static enum err watch_check(const void *state, char *why, size_t why_len)
{
    return iowatch_valid(state) ? E_OK : dev_refuse(E_DEVICE, why, why_len, "iowatch: impossible state");
}

static enum err watch_restore(const void *state, const struct dev_restore_clock *clock)
{
    (void)clock;
    iowatch_set(state);
    return E_OK;
}

static void watch_show(const void *state, char *text, size_t len)
{
    const struct iowatch *w = state;
    str_format(text, len, "pic %s, pit counter 0 %s, rtc index %s",
               w->pic[PIC_MASTER].seen && w->pic[PIC_SLAVE].seen ? "observed" : "not observed",
               w->pit[0].reload_seen ? "observed" : "not observed", w->rtc_seen ? "observed" : "not observed");
}

static void sample_clocks(struct dev_clock_sample *c)
{
    memset(c, 0, sizeof *c);
    c->tsc_hz = env.tsc_hz;
    c->wall_us = env.wall_us ? env.wall_us() : 0;
    c->pm_bits = pmtimer_bits();
    if (hpet_present()) {
        c->hpet_period_fs = HPET_CAP_PERIOD_FS(hpet_capabilities());
        c->hpet_bits = hpet_capabilities() & HPET_CAP_COUNTER_64 ? 64 : 32;
        c->hpet_running = hpet_running();
        c->hpet = hpet_counter();
    }
    c->pm = pmtimer_read();
    c->tsc = env.tsc();
}

static enum err clock_capture(void *state)
{
    struct dev_clock_state *s = state;
    s->head = DEV_HEAD(DEV_CLOCK_VERSION, struct dev_clock_state);
    sample_clocks(&s->cut);
    return E_OK;
}

static enum err clock_check(const void *state, char *why, size_t why_len)
{
    const struct dev_clock_state *s = state;
    struct dev_clock_sample now;
    struct dev_clock_plan trial;
    enum err e = dev_clock_check(s, why, why_len);
    sample_clocks(&now);
    return e ? e : dev_clock_plan(&s->cut, &now, false, &trial, why, why_len);
}

static enum err clock_restore(const void *state, const struct dev_restore_clock *clock)
{
    const struct dev_clock_state *s = state;
    struct dev_clock_sample now;
    char why[LOG_LINE_MAX];
    sample_clocks(&now);
    enum err e = dev_clock_plan(&s->cut, &now, clock->run_on, &plan, why, sizeof why);
    if (e) {
        log_line("clock", "%s", why);
        return e;
    }
    log_line("clock", "plan: %s advance_us=%llu tsc=%llu->%llu hpet=%llu->%llu", plan.set_tsc ? "at the cut" : "run on",
             (unsigned long long)plan.advance_us, (unsigned long long)now.tsc, (unsigned long long)plan.tsc,
             (unsigned long long)now.hpet, (unsigned long long)plan.hpet);
    if (!plan.set_tsc || !env.write_tsc)
        return E_OK;
    e = env.write_tsc(dev_clock_tsc_at(&plan, env.tsc()));
    if (!e)
        dev_clock_tsc_written(&plan);
    /* A counter that ignores writes is no reason to stop here: the guest's old memory is gone already. */
    return e == E_TSC ? E_OK : e;
}

static void clock_show(const void *state, char *text, size_t len)
{
    dev_clock_show(state, text, len);
}

static enum err hpet_class_restore(const void *state, const struct dev_restore_clock *clock)
{
    (void)clock;
    return hpet_restore(state, &plan, env.tsc);
}

/* Each CPU's own local APIC is reached by that CPU alone. */
static enum err capture_one_lapic(uint32_t cpu, void *arg)
{
    struct dev_lapics_state *s = arg;
    return lapic_capture(&s->cpu[cpu]);
}

static enum err capture_lapics(struct dev_lapics_state *s)
{
    s->head = DEV_HEAD(DEV_LAPICS_VERSION, struct dev_lapics_state);
    s->count = env.cpu_count;
    return on_each_cpu(capture_one_lapic, s);
}

static enum err describe_one_lapic(uint32_t cpu, void *arg)
{
    struct dev_lapics_machine *m = arg;
    enum lapic_mode mode = lapic_mode();
    m->cpu[cpu].present = true;
    m->cpu[cpu].mode = mode;
    m->cpu[cpu].id = mode == LAPIC_MODE_OFF ? 0 : lapic_id();
    return E_OK;
}

static enum err check_lapics(const struct dev_lapics_state *s, char *why, size_t why_len)
{
    static struct dev_lapics_machine machine;
    memset(&machine, 0, sizeof machine);
    machine.count = env.cpu_count;
    enum err e = on_each_cpu(describe_one_lapic, &machine);
    return e ? e : dev_lapics_check(s, &machine, why, why_len);
}

static enum err quiesce_one_lapic(uint32_t cpu, void *arg)
{
    (void)cpu;
    (void)arg;
    return lapic_quiesce();
}

static enum err quiesce_lapics(void)
{
    return on_each_cpu(quiesce_one_lapic, NULL);
}

static const struct dev_lapics_state *lapics_to_restore;

static enum err restore_one_lapic(uint32_t cpu, void *arg)
{
    (void)arg;
    return dev_lapics_has(lapics_to_restore, cpu) ? lapic_restore(&lapics_to_restore->cpu[cpu]) : E_OK;
}

static enum err restore_lapics(const struct dev_lapics_state *s)
{
    lapics_to_restore = s;
    return on_each_cpu(restore_one_lapic, NULL);
}

/* What check() compares a state with. */

static enum err check_ioapic(const struct dev_ioapic_state *s, char *why, size_t why_len)
{
    struct dev_ioapic_machine machine;
    ioapic_machine(&machine);
    return dev_ioapic_check(s, &machine, why, why_len);
}

static enum err check_pci(const struct dev_pci_state *s, char *why, size_t why_len)
{
    size_t count;
    const struct dev_pci_id *ids = pci_state_functions(&count);
    return dev_pci_check(s, ids, count, why, why_len);
}

static enum err check_ahci(const struct dev_ahci_state *s, char *why, size_t why_len)
{
    uint16_t bdf[DEV_AHCI_CONTROLLERS];
    return dev_ahci_check(s, bdf, ahci_state_list(bdf), why, why_len);
}

static enum err check_ide(const struct dev_ide_state *s, char *why, size_t why_len)
{
    uint16_t bdf[DEV_IDE_CONTROLLERS];
    return dev_ide_check(s, bdf, ide_state_list(bdf), why, why_len);
}

static enum err check_e1000(const struct dev_e1000_state *s, char *why, size_t why_len)
{
    static struct dev_e1000_state machine;
    machine.cards = 0;
    e1000_state_list(&machine);
    return dev_e1000_check(s, &machine, why, why_len);
}

static enum err check_hpet(const struct dev_hpet_state *s, char *why, size_t why_len)
{
    return dev_hpet_check(s, hpet_capabilities(), why, why_len);
}

static enum err check_uart(const struct dev_uart_state *s, char *why, size_t why_len)
{
    return dev_uart_check(s, uart_state_ports(), why, why_len);
}

static enum err check_kbd(const struct dev_kbd_state *s, char *why, size_t why_len)
{
    return dev_kbd_check(s, kbd_present(), why, why_len);
}

static bool uart_any(void)
{
    return uart_state_ports() != 0;
}

static bool pci_any(void)
{
    size_t count;
    return pci_state_functions(&count) && count > 0;
}

static void pcibm_show(const struct dev_pcibm_state *s, char *text, size_t len)
{
    str_format(text, len, "command registers of %u functions, restored last", (unsigned)s->functions);
}

/* The untyped faces of typed functions. */
#define CLASS_FUNCTIONS(id, type, capture_fn, check_fn, show_fn)                                                       \
    static enum err id##_class_capture(void *state)                                                                    \
    {                                                                                                                  \
        return capture_fn((struct type *)state);                                                                       \
    }                                                                                                                  \
    static enum err id##_class_check(const void *state, char *why, size_t why_len)                                     \
    {                                                                                                                  \
        return check_fn((const struct type *)state, why, why_len);                                                     \
    }                                                                                                                  \
    static void id##_class_show(const void *state, char *text, size_t len)                                             \
    {                                                                                                                  \
        show_fn((const struct type *)state, text, len);                                                                \
    }
#define CLASS_RESTORE(id, type, restore_fn)                                                                            \
    static enum err id##_class_restore(const void *state, const struct dev_restore_clock *clock)                       \
    {                                                                                                                  \
        (void)clock;                                                                                                   \
        return restore_fn((const struct type *)state);                                                                 \
    }

CLASS_FUNCTIONS(lapic, dev_lapics_state, capture_lapics, check_lapics, dev_lapics_show)
CLASS_RESTORE(lapic, dev_lapics_state, restore_lapics)
CLASS_FUNCTIONS(pic, dev_pic_state, pic_capture, dev_pic_check, dev_pic_show)
CLASS_RESTORE(pic, dev_pic_state, pic_restore)
CLASS_FUNCTIONS(ioapic, dev_ioapic_state, ioapic_capture, check_ioapic, dev_ioapic_show)
CLASS_RESTORE(ioapic, dev_ioapic_state, ioapic_restore)
CLASS_FUNCTIONS(pci, dev_pci_state, pci_state_capture, check_pci, dev_pci_show)
CLASS_RESTORE(pci, dev_pci_state, pci_state_restore)
CLASS_FUNCTIONS(ahci, dev_ahci_state, ahci_state_capture, check_ahci, dev_ahci_show)
CLASS_RESTORE(ahci, dev_ahci_state, ahci_state_restore)
CLASS_FUNCTIONS(ide, dev_ide_state, ide_state_capture, check_ide, dev_ide_show)
CLASS_RESTORE(ide, dev_ide_state, ide_state_restore)
CLASS_FUNCTIONS(pit, dev_pit_state, pit_capture, dev_pit_check, dev_pit_show)
CLASS_RESTORE(pit, dev_pit_state, pit_restore)
CLASS_FUNCTIONS(hpet, dev_hpet_state, hpet_capture, check_hpet, dev_hpet_show)
CLASS_FUNCTIONS(rtc, dev_rtc_state, rtc_capture, dev_rtc_check, dev_rtc_show)
CLASS_RESTORE(rtc, dev_rtc_state, rtc_restore)
CLASS_FUNCTIONS(uart, dev_uart_state, uart_state_capture, check_uart, dev_uart_show)
CLASS_RESTORE(uart, dev_uart_state, uart_state_restore)
CLASS_FUNCTIONS(vga, dev_vga_state, vga_capture, dev_vga_check, dev_vga_show)
CLASS_RESTORE(vga, dev_vga_state, vga_restore)
static enum err vga_class_capture_more(void *state)
{
    return vga_capture_more(state);
}
CLASS_FUNCTIONS(kbd, dev_kbd_state, kbd_capture, check_kbd, dev_kbd_show)
CLASS_RESTORE(kbd, dev_kbd_state, kbd_restore)
CLASS_FUNCTIONS(pcibm, dev_pcibm_state, pcibm_state_capture, dev_pcibm_check, pcibm_show)
CLASS_RESTORE(pcibm, dev_pcibm_state, pcibm_state_restore)
CLASS_FUNCTIONS(e1000, dev_e1000_state, e1000_state_capture, check_e1000, dev_e1000_show)
CLASS_RESTORE(e1000, dev_e1000_state, e1000_state_restore)

#define CLASS(id, order_, version_, type, present_fn, quiesce_fn, ...)                                                 \
    static const struct dev_class class_##id = {.name = #id,                                                           \
                                                .version = (version_),                                                 \
                                                .bytes = sizeof(struct type),                                          \
                                                .order = (order_),                                                     \
                                                .present = (present_fn),                                               \
                                                .capture = id##_class_capture,                                         \
                                                .check = id##_class_check,                                             \
                                                .quiesce = (quiesce_fn),                                               \
                                                .restore = id##_class_restore,                                         \
                                                .show = id##_class_show,                                               \
                                                ##__VA_ARGS__}

static const struct dev_class class_iowatch = {.name = "iowatch",
                                               .version = IOWATCH_VERSION,
                                               .bytes = sizeof(struct iowatch),
                                               .order = 5,
                                               .present = always,
                                               .capture = watch_capture,
                                               .check = watch_check,
                                               .restore = watch_restore,
                                               .show = watch_show};
static const struct dev_class class_clock = {.name = "clock",
                                             .version = DEV_CLOCK_VERSION,
                                             .bytes = sizeof(struct dev_clock_state),
                                             .order = 10,
                                             .present = always,
                                             .capture = clock_capture,
                                             .check = clock_check,
                                             .restore = clock_restore,
                                             .show = clock_show};
CLASS(lapic, 20, DEV_LAPICS_VERSION, dev_lapics_state, lapic_present, quiesce_lapics);
CLASS(pic, 22, DEV_PIC_VERSION, dev_pic_state, pic_present, pic_quiesce);
CLASS(ioapic, 24, DEV_IOAPIC_VERSION, dev_ioapic_state, ioapic_present, ioapic_quiesce);
CLASS(pci, 30, DEV_PCI_VERSION, dev_pci_state, pci_any, pci_state_quiesce);
CLASS(ahci, 61, DEV_AHCI_VERSION, dev_ahci_state, ahci_state_present, ahci_state_quiesce);
CLASS(ide, 41, DEV_IDE_VERSION, dev_ide_state, ide_state_present, ide_state_quiesce);
CLASS(pit, 44, DEV_PIT_VERSION, dev_pit_state, pit_present, pit_quiesce);
CLASS(hpet, 45, DEV_HPET_VERSION, dev_hpet_state, hpet_present, hpet_quiesce);
CLASS(rtc, 46, DEV_RTC_VERSION, dev_rtc_state, rtc_present, rtc_quiesce);
CLASS(uart, 50, DEV_UART_VERSION, dev_uart_state, uart_any, uart_state_quiesce);
CLASS(vga, 51, DEV_VGA_VERSION, dev_vga_state, vga_present, NULL, .capture_more = vga_class_capture_more);
CLASS(kbd, 52, DEV_KBD_VERSION, dev_kbd_state, always, NULL);
CLASS(pcibm, 60, DEV_PCI_VERSION, dev_pcibm_state, pci_any, NULL);
CLASS(e1000, 62, DEV_E1000_VERSION, dev_e1000_state, e1000_state_present, e1000_state_quiesce);

/* Captured in this order, too: the clocks together, then what counts, before the slow ones. */
const struct dev_class *const dev_classes[] = {
    &class_iowatch, &class_clock, &class_lapic, &class_pic,  &class_ioapic, &class_pci, &class_ahci,  &class_ide,
    &class_pit,     &class_hpet,  &class_rtc,   &class_uart, &class_vga,    &class_kbd, &class_pcibm, &class_e1000,
};
const size_t dev_class_count = ARRAY_LEN(dev_classes);
