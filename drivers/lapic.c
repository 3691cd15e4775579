/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See lapic.h. SDM 3A chapter 10 "Advanced Programmable Interrupt Controller (APIC)". */
#include "drivers/lapic.h"

#include "clock.h"
#include "io.h"
#include "log.h"
#include "msr.h"

#define APIC_BASE_ADDRESS MASK(51, 12)
#define MSR_X2APIC_FIRST 0x800u
#define ICR_SELF BIT32(18)
#define ICR_ASSERT BIT32(14)
#define ICR_DESTINATION_SHIFT 24
#define ICR_DELIVERY_PENDING BIT32(12)
#define LAPIC_EXT_FEATURE 0x400u
#define LAPIC_SVR_INIT 0xffu
#define IPI_WAIT_US 100000u

static struct lapic_host host;

SELDOM void lapic_init(const struct lapic_host *h)
{
    host = *h;
}

enum lapic_mode lapic_mode(void)
{
    uint64_t base = host.rdmsr(MSR_IA32_APIC_BASE);
    if (!(base & APIC_BASE_EN))
        return LAPIC_MODE_OFF;
    return base & APIC_BASE_EXTD ? LAPIC_MODE_X2APIC : LAPIC_MODE_XAPIC;
}

static hpa_t at(uint32_t reg)
{
    return (hpa_t){(host.rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS) + reg};
}

uint32_t lapic_read(uint32_t reg)
{
    if (lapic_mode() == LAPIC_MODE_X2APIC)
        return (uint32_t)host.rdmsr(MSR_X2APIC_FIRST + reg / 16);
    return mmio_read32(at(reg));
}

void lapic_write(uint32_t reg, uint32_t value)
{
    if (lapic_mode() == LAPIC_MODE_X2APIC)
        host.wrmsr(MSR_X2APIC_FIRST + reg / 16, value);
    else
        mmio_write32(at(reg), value);
}

uint32_t lapic_id(void)
{
    return lapic_read(LAPIC_ID);
}

bool lapic_present(void)
{
    return host.rdmsr && lapic_mode() != LAPIC_MODE_OFF;
}

static bool is_set(uint32_t bank, uint8_t vector)
{
    return lapic_read(bank + 0x10u * (vector / 32u)) >> (vector % 32u) & 1u;
}

static void read_bank(uint32_t first, uint32_t bank[LAPIC_WORDS])
{
    for (uint32_t i = 0; i < LAPIC_WORDS; i++)
        bank[i] = lapic_read(first + 0x10u * i);
}

static enum err wait_icr_idle(void)
{
    uint64_t deadline = deadline_in_us(IPI_WAIT_US);
    while (lapic_mode() == LAPIC_MODE_XAPIC && lapic_read(LAPIC_ICR) & ICR_DELIVERY_PENDING)
        if (deadline_passed(deadline))
            return E_TIMEOUT;
    return E_OK;
}

void lapic_send(uint32_t apic_id, uint32_t command)
{
    uint64_t base = host.rdmsr(MSR_IA32_APIC_BASE);
    if (base & APIC_BASE_EXTD) {
        host.wrmsr(MSR_IA32_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
        return;
    }
    base &= APIC_BASE_ADDRESS;
    hpa_t low = {base + LAPIC_ICR}, high = {base + LAPIC_ICR_HIGH};
    uint64_t end = 0;
    while (mmio_read32(low) & ICR_DELIVERY_PENDING) {
        if (!end)
            end = deadline_in_us(IPI_WAIT_US);
        if (deadline_passed(end))
            break; /* written over: one that has not been delivered in all that time will not be */
    }
    uint32_t guests = mmio_read32(high);
    mmio_write32(high, apic_id << ICR_DESTINATION_SHIFT);
    mmio_write32(low, command);
    mmio_write32(high, guests);
}

void lapic_self_ipi(uint8_t vector)
{
    if (lapic_mode() == LAPIC_MODE_X2APIC)
        host.wrmsr(MSR_X2APIC_FIRST + LAPIC_SELF_IPI / 16, vector);
    else
        lapic_write(LAPIC_ICR, ICR_SELF | ICR_ASSERT | vector);
}

static uint32_t ext_lvts(uint32_t version)
{
    return lapic_mode() == LAPIC_MODE_XAPIC && dev_lapic_ext_lvts(version, ~0u)
               ? dev_lapic_ext_lvts(version, lapic_read(LAPIC_EXT_FEATURE))
               : 0;
}

enum err lapic_capture(struct dev_lapic_state *s)
{
    s->head = DEV_HEAD(DEV_LAPIC_VERSION, struct dev_lapic_state);
    s->apic_base = host.rdmsr(MSR_IA32_APIC_BASE);
    s->mode = lapic_mode();
    if (s->mode == LAPIC_MODE_OFF)
        return E_OK;
    s->timer_current = lapic_read(LAPIC_TIMER_CURRENT);
    s->timer_initial = lapic_read(LAPIC_TIMER_INITIAL);
    s->timer_divide = lapic_read(LAPIC_TIMER_DIVIDE);
    s->id = lapic_id();
    s->version = lapic_read(LAPIC_VERSION);
    s->tpr = lapic_read(LAPIC_TPR);
    s->ldr = lapic_read(LAPIC_LDR);
    s->svr = lapic_read(LAPIC_SVR);
    s->esr = lapic_read(LAPIC_ESR); /* without the write that would latch new errors */
    if (s->mode == LAPIC_MODE_XAPIC) {
        s->dfr = lapic_read(LAPIC_DFR);
        s->icr_low = lapic_read(LAPIC_ICR);
        s->icr_high = lapic_read(LAPIC_ICR_HIGH);
    } else {
        uint64_t icr = host.rdmsr(MSR_IA32_X2APIC_ICR);
        s->icr_low = (uint32_t)icr;
        s->icr_high = (uint32_t)(icr >> 32);
    }
    for (enum lapic_lvt l = 0; l < LVT_COUNT; l++)
        if (dev_lapic_lvt_exists(s->version, l))
            s->lvt[l] = lapic_read(dev_lapic_lvt_offset(l));
    uint32_t ext = ext_lvts(s->version);
    for (uint32_t i = 0; i < ext; i++)
        s->ext_lvt[i] = lapic_read(LAPIC_EXT_LVT(i));
    if (host.tsc_deadline)
        s->tsc_deadline = host.rdmsr(MSR_IA32_TSC_DEADLINE);
    read_bank(LAPIC_ISR(0), s->isr);
    read_bank(LAPIC_TMR(0), s->tmr);
    read_bank(LAPIC_IRR(0), s->irr);
    return E_OK;
}

bool lapic_level_in_service(void)
{
    struct dev_lapic_state s = {.mode = lapic_mode()};
    if (s.mode == LAPIC_MODE_OFF)
        return false;
    read_bank(LAPIC_ISR(0), s.isr);
    read_bank(LAPIC_TMR(0), s.tmr);
    return dev_lapic_level_in_service(&s);
}

bool lapic_counter_nmi(void)
{
    if (!host.perf_status || !lapic_present() || !dev_lapic_lvt_exists(lapic_read(LAPIC_VERSION), LVT_PERF))
        return false;
    uint32_t lvt = lapic_read(dev_lapic_lvt_offset(LVT_PERF));
    return (lvt & LAPIC_LVT_MASKED) && LAPIC_LVT_DELIVERY(lvt) == LAPIC_DELIVERY_NMI &&
           host.rdmsr(MSR_IA32_PERF_GLOBAL_STATUS) != 0;
}

SELDOM enum err lapic_quiesce(void)
{
    if (lapic_mode() == LAPIC_MODE_OFF)
        return E_OK;
    uint32_t version = lapic_read(LAPIC_VERSION);
    for (enum lapic_lvt l = 0; l < LVT_COUNT; l++)
        if (dev_lapic_lvt_exists(version, l))
            lapic_write(dev_lapic_lvt_offset(l), lapic_read(dev_lapic_lvt_offset(l)) | LAPIC_LVT_MASKED);
    uint32_t ext = ext_lvts(version);
    for (uint32_t i = 0; i < ext; i++)
        lapic_write(LAPIC_EXT_LVT(i), lapic_read(LAPIC_EXT_LVT(i)) | LAPIC_LVT_MASKED);
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    if (host.tsc_deadline)
        host.wrmsr(MSR_IA32_TSC_DEADLINE, 0);
    return E_OK;
}

/* What is in service or pending now belongs to a guest that no longer exists. Nothing but taking an interrupt clears
   IRR, and nothing but an EOI clears ISR. */
static SELDOM enum err drain(void)
{
    uint32_t bank[LAPIC_WORDS];
    for (uint32_t i = 0; i <= LAPIC_VECTORS; i++) {
        read_bank(LAPIC_ISR(0), bank);
        if (dev_lapic_highest(bank) < 0)
            break;
        lapic_write(LAPIC_EOI, 0);
    }
    for (uint32_t i = 0; i <= LAPIC_VECTORS; i++) {
        read_bank(LAPIC_IRR(0), bank);
        int vector = dev_lapic_highest(bank);
        if (vector < 0)
            return E_OK;
        enum err e = host.accept_vector((uint8_t)vector);
        if (e)
            return e;
        lapic_write(LAPIC_EOI, 0);
    }
    return E_TIMEOUT;
}

SELDOM enum err lapic_init_reset(void)
{
    enum err e = lapic_quiesce();
    if (e || lapic_mode() == LAPIC_MODE_OFF)
        return e;
    lapic_write(LAPIC_SVR, LAPIC_SVR_INIT | LAPIC_SVR_ENABLE); /* or nothing could be drained */
    lapic_write(LAPIC_TPR, 0);
    e = drain();
    lapic_write(LAPIC_TIMER_DIVIDE, 0);
    lapic_write(LAPIC_ESR, 0);
    if (lapic_mode() == LAPIC_MODE_XAPIC) {
        lapic_write(LAPIC_LDR, 0);
        lapic_write(LAPIC_DFR, ~0u);
    }
    uint32_t version = lapic_read(LAPIC_VERSION);
    for (enum lapic_lvt l = 0; l < LVT_COUNT; l++)
        if (dev_lapic_lvt_exists(version, l))
            lapic_write(dev_lapic_lvt_offset(l), LAPIC_LVT_MASKED);
    lapic_write(LAPIC_SVR, LAPIC_SVR_INIT);
    return e;
}

static enum err send_and_wait(uint8_t vector)
{
    enum err e = wait_icr_idle();
    if (e)
        return e;
    lapic_self_ipi(vector);
    uint64_t deadline = deadline_in_us(IPI_WAIT_US);
    while (!is_set(LAPIC_IRR(0), vector))
        if (deadline_passed(deadline))
            return E_TIMEOUT;
    return E_OK;
}

static enum err replay_vectors(const struct dev_lapic_plan *plan)
{
    for (uint32_t i = 0; i < plan->in_service_count; i++) {
        enum err e = send_and_wait(plan->in_service[i]);
        if (!e)
            e = host.accept_vector(plan->in_service[i]);
        if (!e && !is_set(LAPIC_ISR(0), plan->in_service[i]))
            e = E_DEVICE;
        if (e) {
            log_line("lapic", "vector %02x could not be put in service: %s", plan->in_service[i], err_name(e));
            return e;
        }
    }
    for (uint32_t i = 0; i < plan->pending_count; i++) {
        enum err e = send_and_wait(plan->pending[i]);
        if (e) {
            log_line("lapic", "vector %02x could not be made pending: %s", plan->pending[i], err_name(e));
            return e;
        }
    }
    return E_OK;
}

static void restore_timer(const struct dev_lapic_state *s, const struct dev_lapic_plan *plan)
{
    lapic_write(LAPIC_TIMER_DIVIDE, s->timer_divide);
    lapic_write(dev_lapic_lvt_offset(LVT_TIMER), s->lvt[LVT_TIMER] & ~LAPIC_LVT_READ_ONLY);
    if (LAPIC_TIMER_MODE(s->lvt[LVT_TIMER]) != LAPIC_TIMER_DEADLINE) {
        lapic_write(LAPIC_TIMER_INITIAL, plan->timer_initial);
        return;
    }
    __sync_synchronize(); /* SDM 3A 10.5.4.1 "TSC-Deadline Mode": MFENCE between the LVT write and the MSR write */
    if (plan->timer_deadline && host.tsc_deadline)
        host.wrmsr(MSR_IA32_TSC_DEADLINE, s->tsc_deadline);
}

SELDOM enum err lapic_restore(const struct dev_lapic_state *s)
{
    if (s->mode == LAPIC_MODE_OFF)
        return E_OK;
    if (s->mode == LAPIC_MODE_X2APIC && lapic_mode() == LAPIC_MODE_XAPIC)
        host.wrmsr(MSR_IA32_APIC_BASE, host.rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_EXTD);
    struct dev_lapic_plan plan;
    dev_lapic_plan(s, &plan);
    enum err e = lapic_quiesce();
    if (e)
        return e;
    lapic_write(LAPIC_SVR, s->svr | LAPIC_SVR_ENABLE);
    lapic_write(LAPIC_TPR, 0);
    e = drain();
    if (!e)
        e = replay_vectors(&plan);
    if (!e)
        e = wait_icr_idle();
    if (e)
        return e;
    lapic_write(LAPIC_ESR, 0);
    if (s->mode == LAPIC_MODE_XAPIC) {
        lapic_write(LAPIC_DFR, s->dfr);
        lapic_write(LAPIC_LDR, s->ldr);
        lapic_write(LAPIC_ICR_HIGH, s->icr_high);
    }
    for (enum lapic_lvt l = 0; l < LVT_COUNT; l++)
        if (l != LVT_TIMER && dev_lapic_lvt_exists(s->version, l))
            lapic_write(dev_lapic_lvt_offset(l), s->lvt[l] & ~LAPIC_LVT_READ_ONLY);
    uint32_t ext = ext_lvts(s->version);
    for (uint32_t i = 0; i < ext; i++)
        lapic_write(LAPIC_EXT_LVT(i), s->ext_lvt[i] & ~LAPIC_LVT_READ_ONLY);
    lapic_write(LAPIC_TPR, s->tpr);
    lapic_write(LAPIC_SVR, s->svr);
    restore_timer(s, &plan);
    return E_OK;
}
