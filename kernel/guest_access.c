/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Reading the guest's memory, and capturing segment registers; see the header. */
#include "kernel/guest_access.h"

#include "bits.h"
#include "cpu.h"
#include "hostmem.h"
#include "kernel/guest.h"
#include "kernel/leave_check.h"
#include "kernel/paging.h"
#include "kernel/segments.h"
#include "layout.h"
#include "log.h"
#include "msr.h"

#include <string.h>

#define SELECTOR_TI 4u
#define SELECTOR_RPL 3u
#define DESCRIPTOR_ACCESSED BIT(40)
#define DESCRIPTOR_TYPE_BYTE 5u
#define SELECTOR_INDEX(s) ((s) >> 3)
#define AR_ACCESSED 1u
#define SYSTEM_DESCRIPTOR_BYTES 16u
#define AR_TSS_BUSY 2u

static uint64_t ram_end;
static bool (*before_write)(uint64_t pa);

void guest_access_init(uint64_t end)
{
    ram_end = end;
}

void guest_access_ask_before_write(bool (*may)(uint64_t pa))
{
    before_write = may;
}

static bool is_guest_memory(uint64_t pa, size_t len)
{
    return len && pa < ram_end && len <= ram_end - pa && !hidden_contains(pa) && !hidden_contains(pa + len - 1);
}

bool guest_phys_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
    (void)ctx;
    if (!is_guest_memory(gpa.v, len))
        return false;
    memcpy(buf, phys_to_virt((hpa_t){gpa.v}), len);
    return true;
}

bool guest_phys_write(void *ctx, gpa_t gpa, const void *buf, size_t len)
{
    (void)ctx;
    if (!is_guest_memory(gpa.v, len) || (before_write && !before_write(gpa.v)))
        return false;
    memcpy(phys_to_virt((hpa_t){gpa.v}), buf, len);
    return true;
}

/* As is_guest_memory() and phys_to_virt() would say for a whole page, in the few instructions that a table walk in every
   transition can afford. */
static const uint64_t *page(void *ctx, uint64_t pa)
{
    (void)ctx;
    if (pa + PAGE_BYTES > ram_end || pa - hidden.base < hidden.bytes || pa - hidden_log.base < hidden_log.bytes)
        return NULL;
    return (const uint64_t *)(PHYSMAP_BASE + pa);
}

struct phys_reader guest_phys_reader(enum paging_format format)
{
    return (struct phys_reader){.page = page, .format = format};
}

bool guest_read_linear(enum paging_format format, uint64_t cr3, uint64_t va, void *out, size_t len)
{
    struct phys_reader r = guest_phys_reader(format);
    uint8_t *to = out;
    while (len) {
        uint64_t pa, room = PAGE_BYTES - (va & (PAGE_BYTES - 1));
        size_t n = (size_t)min_u64(room, len);
        if (!gateway_slot_translate(&r, cr3, va, &pa) || !guest_phys_read(NULL, (gpa_t){pa}, to, n))
            return false;
        to += n;
        va += n;
        len -= n;
    }
    return true;
}

/* Descriptors lie on one page, nearly always: its translation is kept. */
struct linear_page {
    uint64_t cr3, va;
    const uint8_t *host; /* NULL: none yet */
    enum paging_format format;
    bool place_shared; /* this address space is known to share the gateway's place */
};

static bool linear_page_find(struct linear_page *l, uint64_t base)
{
    struct phys_reader r = guest_phys_reader(l->format);
    uint64_t pa;
    bool found = (l->place_shared && gateway_slot_beside(&r, base, &guest.plan, &pa)) ||
                 gateway_slot_translate(&r, l->cr3, base, &pa);
    l->va = base;
    l->host = found ? (const uint8_t *)page(NULL, pa) : NULL;
    return l->host;
}

static bool linear_read(void *ctx, uint64_t va, void *out, size_t len)
{
    struct linear_page *l = ctx;
    uint64_t base = align_down(va, PAGE_BYTES), in_page = va - base;
    if (in_page + len > PAGE_BYTES)
        return guest_read_linear(l->format, l->cr3, va, out, len);
    if ((!l->host || l->va != base) && !linear_page_find(l, base))
        return false;
    const uint8_t *from = l->host + in_page;
    store64(out, load64(from));
    if (len > sizeof(uint64_t))
        store64((uint8_t *)out + sizeof(uint64_t), load64(from + sizeof(uint64_t)));
    return true;
}

/* Cold, but in the way out (kernel/door.ld). */
static SELDOM enum err load_anywhere(struct linear_page *l, const struct vcpu_state *s, uint16_t selector, bool system,
                                     struct segment *out, uint64_t raw[2])
{
    struct linear_reader r = {linear_read, l};
    /* In long mode only a system descriptor has sixteen bytes. */
    return segment_load(&r, &s->gdtr, &s->seg[SREG_LDTR], selector, system && !l->format, out, raw);
}

/* A descriptor that lies on another page of the table, but not on two. */
static __attribute__((noinline)) bool turn_page(struct linear_page *l, uint64_t va)
{
    uint64_t base = align_down(va, PAGE_BYTES);
    return va - base <= PAGE_BYTES - SYSTEM_DESCRIPTOR_BYTES && linear_page_find(l, base);
}

/* What segment_load() says. A descriptor of a 64-bit guest's GDT within one page, as nearly all are, takes no more than
   its decoding. */
static inline __attribute__((always_inline)) enum err load(struct linear_page *l, const struct vcpu_state *s,
                                                           uint16_t selector, bool system, struct segment *out,
                                                           uint64_t raw[2])
{
    uint64_t offset = SEGMENT_SELECTOR_OFFSET(selector), at = s->gdtr.base + offset - l->va;
    if (!(selector & ~SELECTOR_RPL) || (selector & SELECTOR_TI) || l->format ||
        offset + SYSTEM_DESCRIPTOR_BYTES - 1 > s->gdtr.limit)
        return load_anywhere(l, s, selector, system, out, raw);
    if (at > PAGE_BYTES - SYSTEM_DESCRIPTOR_BYTES || !l->host) {
        if (!turn_page(l, s->gdtr.base + offset))
            return load_anywhere(l, s, selector, system, out, raw);
        at = s->gdtr.base + offset - l->va;
    }
    raw[0] = load64(l->host + at);
    raw[1] = load64(l->host + at + sizeof raw[0]);
    *out = segment_decode(selector, raw[0], raw[1]);
    return out->access_rights & AR_P ? E_OK : E_GDT;
}

/* For load(). If the page is not there, each descriptor is looked for by itself, and found missing. */
static void look_at_gdt(struct linear_page *l, const struct vcpu_state *s)
{
    (void)linear_page_find(l, align_down(s->gdtr.base, PAGE_BYTES));
}

/* LDTR first: the others may refer to it. */
static const uint8_t capture_order[SREG_COUNT] = {SREG_LDTR, SREG_TR, SREG_ES, SREG_CS,
                                                  SREG_SS,   SREG_DS, SREG_FS, SREG_GS};

enum err guest_capture_segments(struct cpu *c)
{
    struct vcpu_state *s = c->state;
    const uint16_t selector[SREG_COUNT] = {
        [SREG_ES] = cpu_read_es(),
        [SREG_CS] = (uint16_t)c->gate->frame.cs,
        [SREG_SS] = (uint16_t)c->gate->frame.ss,
        [SREG_DS] = cpu_read_ds(),
        [SREG_FS] = cpu_read_fs(),
        [SREG_GS] = cpu_read_gs(),
        [SREG_LDTR] = cpu_read_ldtr(),
        [SREG_TR] = c->kept_tr.selector,
    };
    struct linear_page l = {.cr3 = s->cr3, .format = guest.plan.format, .place_shared = true};
    look_at_gdt(&l, s);
    for (unsigned i = 0; i < SREG_COUNT; i++) {
        unsigned which = capture_order[i];
        if (which == SREG_TR && c->tr_null) {
            s->seg[SREG_TR] = c->kept_tr;
            continue;
        }
        if (!(selector[which] & ~SELECTOR_RPL)) {
            s->seg[which] = segment_unusable(selector[which]);
            continue;
        }
        uint64_t raw[2];
        enum err e = load(&l, s, selector[which], which >= SREG_LDTR, &s->seg[which], raw);
        if (e) {
            log_line("switch", "segment register not in the guest's table: which=%u selector=%#x", which,
                     selector[which]);
            return e;
        }
        /* In use means accessed, and for TR busy. */
        if (!(s->seg[which].access_rights & AR_UNUSABLE))
            s->seg[which].access_rights |= which == SREG_TR ? AR_TSS_BUSY : which == SREG_LDTR ? 0u : AR_ACCESSED;
    }
    s->seg[SREG_FS].base = cpu_rdmsr(MSR_FS_BASE);
    s->seg[SREG_GS].base = cpu_rdmsr(MSR_GS_BASE);
    /* Ring 0 with a null SS is legal in 64-bit mode; its DPL still counts for VM entry. */
    if (s->seg[SREG_SS].access_rights & AR_UNUSABLE)
        s->seg[SREG_SS].access_rights |= (s->seg[SREG_CS].access_rights & (3u << AR_DPL_SHIFT));
    return E_OK;
}

/* A descriptor that leaving will load from the private tables. */
static void keep_descriptor(struct cpu *c, uint16_t selector, const uint64_t raw[2], bool system)
{
    uint64_t *table = selector & SELECTOR_TI ? c->private_ldt : c->private_gdt;
    table[SELECTOR_INDEX(selector)] = raw[0];
    if (system)
        table[SELECTOR_INDEX(selector) + 1] = raw[1];
}

/* IRET loads these two in the guest's world and sets the accessed bit in its table, which may be write-protected there.
   A CPU has done that when the guest loaded them, but QEMU's does not for CS: then it is done here. False: it cannot be. */
static bool accessed_without_a_write(const struct linear_page *l, const struct vcpu_state *s, unsigned which,
                                     const struct segment *would, uint64_t raw)
{
    if ((which != SREG_CS && which != SREG_SS) || (would->access_rights & (AR_UNUSABLE | AR_ACCESSED)))
        return true;
    uint64_t table = would->selector & SELECTOR_TI ? s->seg[SREG_LDTR].base : s->gdtr.base, pa;
    struct phys_reader r = guest_phys_reader(l->format);
    raw |= DESCRIPTOR_ACCESSED;
    return gateway_slot_translate(&r, l->cr3, table + SEGMENT_SELECTOR_OFFSET(would->selector) + DESCRIPTOR_TYPE_BYTE,
                                  &pa) &&
           guest_phys_write(NULL, (gpa_t){pa}, (uint8_t *)&raw + DESCRIPTOR_TYPE_BYTE, 1);
}

enum err guest_check_segments(struct cpu *c)
{
    const struct vcpu_state *s = c->state;
    struct linear_page l = {.cr3 = s->cr3, .format = leave_format(s->cr0, s->cr4, s->msr[VMSR_EFER])};
    look_at_gdt(&l, s);
    for (unsigned i = 0; i < SREG_COUNT; i++) {
        const struct segment *held = &s->seg[i];
        struct segment would = {.access_rights = AR_P};
        uint64_t raw[2] = {0, 0};
        if (i <= SREG_GS && !(held->selector & ~SELECTOR_RPL))
            continue; /* null is the same whatever the hidden part says: most of them are */
        if ((i == SREG_TR && !SELECTOR_INDEX(held->selector)) ||
            (i == SREG_LDTR && (held->access_rights & AR_UNUSABLE)))
            continue; /* LDTR: null is what is loaded */
        enum err e = load(&l, s, held->selector, i >= SREG_LDTR, &would, raw);
        if (e)
            /* Not present: for an instant a kernel has the next task's descriptors and the last one's registers. */
            return would.access_rights & (AR_P | AR_UNUSABLE) ? e : E_SEGMENT;
        if (!segment_same((enum sreg)i, held, &would, l.format != PAGING_LONG) ||
            !accessed_without_a_write(&l, s, i, &would, raw[0])) {
            log_line("switch", "segment differs: which=%u selector=%#x ar=%#x/%#x base=%#llx/%#llx limit=%#x/%#x", i,
                     held->selector, held->access_rights, would.access_rights, (unsigned long long)held->base,
                     (unsigned long long)would.base, held->limit, would.limit);
            return E_SEGMENT;
        }
        if (i != SREG_CS && i != SREG_SS && !(would.access_rights & AR_UNUSABLE))
            keep_descriptor(c, held->selector, raw, i >= SREG_LDTR && !l.format);
    }
    return E_OK;
}
