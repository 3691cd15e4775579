/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Accesses to what is hidden. Reads cost nothing: they go to a page of ones. A write faults; the instruction is
 * decoded and its effect on memory dropped (kernel/emulate.c decides), everything else about it happens. An address
 * that no table covers yet is device memory above RAM: it is mapped to itself on first touch. */
#include "kernel/hidden_access.h"

#include "bits.h"
#include "hostmem.h"
#include "io.h"
#include "kernel/apic_watch.h"
#include "kernel/dma_watch.h"
#include "kernel/emulate.h"
#include "kernel/guest.h"
#include "kernel/guest_access.h"
#include "kernel/guestmem.h"
#include "kernel/insn.h"
#include "kernel/live.h"
#include "kernel/paging.h"
#include "kernel/policy.h"
#include "log.h"

#include <string.h>

#define COVERED_MAX 8u
#define GPA_MAX BIT(46) /* beyond it nothing is mapped on demand */

static uint8_t *ones;
static uint64_t covered[COVERED_MAX];
static unsigned covered_count;

static enum err cover_range(struct second_level *sl, const struct hidden_range *r)
{
    for (uint64_t off = 0; off < r->bytes; off += PAGE_BYTES) {
        enum err e = sl_set_page(sl, (gpa_t){r->base + off}, virt_to_phys(ones), SL_READ);
        if (e)
            return e;
    }
    return E_OK;
}

enum err hidden_access_init(struct second_level *sl)
{
    ones = pool_alloc_pages(1);
    if (!ones)
        return E_NOMEM;
    memset(ones, 0xff, PAGE_BYTES);
    enum err e = cover_range(sl, &hidden);
    return e ? e : cover_range(sl, &hidden_log);
}

enum err hidden_access_cover(struct second_level *sl, gpa_t gpa)
{
    if (covered_count == COVERED_MAX)
        return E_NOMEM;
    covered[covered_count++] = align_down(gpa.v, PAGE_BYTES);
    return sl_set_page(sl, (gpa_t){align_down(gpa.v, PAGE_BYTES)}, virt_to_phys(ones), SL_READ);
}

void hidden_access_dump_line(const char *text)
{
    log_line("park", "%s", text);
}

static bool is_hidden(uint64_t gpa)
{
    if (hidden_contains(gpa))
        return true;
    for (unsigned i = 0; i < covered_count; i++)
        if (align_down(gpa, PAGE_BYTES) == covered[i])
            return true;
    return false;
}

static const struct guest_phys phys = {guest_phys_read, guest_phys_write, NULL};

static struct guest_paging paging_of(struct vcpu *v)
{
    const struct backend *b = guest.backend;
    return (struct guest_paging){b->get(v, VREG_CR0), b->get(v, VREG_CR3), b->get(v, VREG_CR4), b->get(v, VREG_EFER)};
}

/* The instruction at RIP; false: it cannot be read or decoded. */
static bool fetch(struct vcpu *v, struct insn *in, struct emu_regs *r)
{
    const struct backend *b = guest.backend;
    struct guest_paging p = paging_of(v);
    uint8_t bytes[INSN_BYTES_MAX];
    memcpy(r->gpr, v->gpr, sizeof r->gpr);
    r->rip = b->get(v, VREG_RIP);
    r->rflags = b->get(v, VREG_RFLAGS);
    r->shadow_ends = false;
    enum insn_mode mode = insn_mode_of(p.cr0, p.efer, r->rflags, (uint32_t)b->get(v, VREG_CS_AR));
    uint64_t linear = r->rip + (mode == INSN_64 ? 0 : b->get(v, VREG_CS_BASE));
    size_t n = guestmem_read(&p, &phys, mode == INSN_64 ? linear : (uint32_t)linear, bytes, sizeof bytes);
    return insn_decode(mode, bytes, n, in);
}

static void store_back(struct vcpu *v, const struct emu_regs *r)
{
    const struct backend *b = guest.backend;
    memcpy(v->gpr, r->gpr, sizeof v->gpr);
    b->set(v, VREG_RIP, r->rip);
    b->set(v, VREG_RFLAGS, r->rflags);
    if (r->shadow_ends)
        b->clear_interrupt_shadow(v);
}

void hidden_access_port(struct cpu *c, const struct vm_exit *x)
{
    struct vcpu *v = &c->vcpu;
    struct insn in;
    struct emu_regs r;
    struct emu_store store = {0};
    if (x->io.string && live_pressed())
        return; /* what it writes to cannot be kept for the checkpoint yet: it comes again */
    if (!fetch(v, &in, &r) || !emu_absent_port(&in, &r, &store)) {
        policy_park(c, "access to hidden port %#x cannot be carried out", x->io.port);
        return;
    }
    if (store.wanted) {
        /* INS from a port that is not there: ones into memory. ES has no base outside 16- and 32-bit modes, and those
           that use string input are flat. */
        struct guest_paging p = paging_of(v);
        if (!guestmem_write(&p, &phys, store.offset, &store.value, store.bytes)) {
            policy_park(c, "string input from hidden port %#x into unmapped memory", x->io.port);
            return;
        }
    }
    store_back(v, &r);
}

static const char *what_it_did(const struct vm_exit *x)
{
    return x->npf.table_walk ? "page walk through" : x->npf.fetch ? "execution of" : "access to";
}

/* Not covered by a table yet, or by now it is (another CPU was here first, or rights were given back). */
static void fault_elsewhere(struct cpu *c, const struct vm_exit *x)
{
    uint64_t gpa = x->npf.gpa.v, at = align_down(gpa, LARGE_PAGE_BYTES);
    struct sl_mapping m;
    enum err e = E_OK;
    lock_take(&second_level_lock);
    bool mapped = sl_lookup(&guest.second_level, x->npf.gpa, &m);
    bool allowed = mapped && (m.rights & SL_RWX) == SL_RWX;
    if (!mapped && gpa < GPA_MAX)
        e = sl_map_range(&guest.second_level, (gpa_t){at}, (hpa_t){at}, LARGE_PAGE_BYTES, SL_RWX, MEM_UC);
    lock_release(&second_level_lock);
    if (allowed)
        guest.backend->flush(&c->vcpu); /* what this CPU remembers is old */
    if (!e && (allowed || (!mapped && gpa < GPA_MAX)))
        return;
    policy_park(c, "%s unmapped memory: gpa=%#llx", what_it_did(x), (unsigned long long)gpa);
}

static void drop_write(struct cpu *c, const struct vm_exit *x, const struct insn *in, struct emu_regs *r)
{
    if (!emu_drop_write(in, r)) {
        policy_park(c, "%s hidden memory cannot be carried out: gpa=%#llx", what_it_did(x),
                    (unsigned long long)x->npf.gpa.v);
        return;
    }
    if (__atomic_add_fetch(&guest.hidden_writes_dropped, 1, __ATOMIC_RELAXED) == 1)
        log_line("policy", "guest write to hidden memory dropped: gpa=%#llx rip=%#llx",
                 (unsigned long long)x->npf.gpa.v, (unsigned long long)guest.backend->get(&c->vcpu, VREG_RIP));
    store_back(&c->vcpu, r);
}

static void write_apic(struct cpu *c, const struct vm_exit *x, const struct insn *in, struct emu_regs *r)
{
    uint64_t gpa = x->npf.gpa.v, value;
    if (!emu_device_write(in, r, mmio_read32((hpa_t){align_down(gpa, 4)}), &value) ||
        !apic_watch_write(c, gpa, value, in->op_bytes)) {
        policy_park(c, "a write to the local APIC cannot be carried out: gpa=%#llx", (unsigned long long)gpa);
        return;
    }
    store_back(&c->vcpu, r);
}

/* A register of a device that is followed while a checkpoint is written. */
static void write_watched(struct cpu *c, const struct vm_exit *x)
{
    struct insn in;
    struct emu_regs r;
    uint64_t gpa = x->npf.gpa.v, value;
    bool known = !x->npf.table_walk && !c->vcpu.event.valid && fetch(&c->vcpu, &in, &r);
    /* What only stores does not read the register, which may be one that a read changes. */
    if (!known || !emu_device_write(&in, &r, in.class == INSN_STORE ? 0 : dma_watch_read(gpa, in.op_bytes), &value))
        dma_watch_lose();
    else if (dma_watch_write(gpa, in.op_bytes, value))
        store_back(&c->vcpu, &r);
}

void hidden_access_fault(struct cpu *c, const struct vm_exit *x)
{
    if (x->npf.write && dma_watch_covers(x->npf.gpa.v)) {
        write_watched(c, x);
        return;
    }
    if (live_write_fault(c, x))
        return;
    bool apic = apic_watch_covers(x->npf.gpa.v) && x->npf.write;
    if (!apic && !is_hidden(x->npf.gpa.v)) {
        fault_elsewhere(c, x);
        return;
    }
    struct insn in;
    struct emu_regs r;
    /* With an event half delivered it was the CPU that wrote, not the instruction at RIP. */
    if (!x->npf.write || x->npf.table_walk || c->vcpu.event.valid || !fetch(&c->vcpu, &in, &r)) {
        policy_park(c, "%s hidden memory cannot be carried out: gpa=%#llx", what_it_did(x),
                    (unsigned long long)x->npf.gpa.v);
        return;
    }
    (apic ? write_apic : drop_write)(c, x, &in, &r);
}
