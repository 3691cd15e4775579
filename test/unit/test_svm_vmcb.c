/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMCB building: attributes of every descriptor type there and back, state to VMCB to state, EVENTINJ, MSR map. */
/* UNITS: svm/vmcb_build.c */
#include "svm/vmcb_build.h"
#include "unit.h"

#include <string.h>

START_TEST(attributes_round_trip)
{
    /* Every type, S, DPL and flag of a present segment survives, with a limit that says nothing about G. */
    for (uint32_t low = 0; low < 256; low++) {
        for (uint32_t high = 0; high < 16; high++) {
            uint32_t ar = low | high << 12;
            uint16_t attrib = svm_attrib_from_ar(ar);
            ck_assert_uint_eq(attrib, low | high << 8);
            uint32_t back = svm_ar_from_attrib(attrib, 0xfffff);
            ck_assert_uint_eq(back, low & AR_P ? ar : ar | AR_UNUSABLE);
            /* Unusable loses P and nothing else. */
            attrib = svm_attrib_from_ar(ar | AR_UNUSABLE);
            ck_assert_uint_eq(attrib & ATTRIB_P, 0);
            ck_assert_uint_eq(svm_ar_from_attrib(attrib, 0), (ar & ~AR_P) | AR_UNUSABLE);
        }
    }
    /* The well-known ones. */
    ck_assert_uint_eq(svm_attrib_from_ar(0xa09b), 0xa9b); /* 64-bit code */
    ck_assert_uint_eq(svm_attrib_from_ar(0xc093), 0xc93); /* flat data */
    ck_assert_uint_eq(svm_attrib_from_ar(0x008b), 0x08b); /* busy TSS */
    ck_assert_uint_eq(svm_attrib_from_ar(0x10000), 0);    /* null */
    ck_assert_uint_eq(svm_attrib_from_ar(0x10060), 0x60); /* null SS at level 3 */
}
END_TEST

START_TEST(granularity_follows_the_limit)
{
    ck_assert_uint_eq(svm_ar_from_attrib(0x493, 0xffffffff), 0xc093);
    ck_assert_uint_eq(svm_ar_from_attrib(0x493, 0x100fff), 0xc093);
    ck_assert_uint_eq(svm_ar_from_attrib(0xc93, 0xffff), 0xc093); /* may be either: kept */
    ck_assert_uint_eq(svm_ar_from_attrib(0x493, 0xffff), 0x4093);
    ck_assert_uint_eq(svm_ar_from_attrib(0x88b, 0x67), 0x008b); /* cannot end inside a page */
}
END_TEST

static struct segment seg(uint16_t selector, uint32_t ar, uint32_t limit, uint64_t base)
{
    return (struct segment){.selector = selector, .access_rights = ar, .limit = limit, .base = base};
}

static void long_mode_state(struct vcpu_state *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < GPR_COUNT; i++)
        s->gpr[i] = 0xabc0000000000000 + i;
    s->rip = 0xffffffff81000000;
    s->rflags = 0x246;
    s->seg[SREG_ES] = seg(0, AR_UNUSABLE, 0, 0);
    s->seg[SREG_CS] = seg(0x10, 0xa09b, 0xffffffff, 0);
    s->seg[SREG_SS] = seg(0x18, 0xc093, 0xffffffff, 0);
    s->seg[SREG_DS] = seg(0x2b, 0xc0f3, 0xffffffff, 0);
    s->seg[SREG_FS] = seg(0, AR_UNUSABLE, 0, 0x7f0000001000);
    s->seg[SREG_GS] = seg(0, AR_UNUSABLE, 0, 0xffff888000000000);
    s->seg[SREG_LDTR] = seg(0, AR_UNUSABLE, 0, 0);
    s->seg[SREG_TR] = seg(0x40, 0x8b, 0x4087, 0xfffffe0000003000);
    s->gdtr = (struct table_register){0xfffffe0000001000, 0x7f};
    s->idtr = (struct table_register){0xfffffe0000000000, 0xfff};
    s->cr0 = 0x80050033;
    s->cr2 = 0x7fff12345678;
    s->cr3 = 0x1234000;
    s->cr4 = 0x3506f0;
    s->dr6 = 0xffff0ff0;
    s->dr7 = 0x400;
    static const enum vcpu_msr have[] = {
        VMSR_EFER,           VMSR_STAR,        VMSR_LSTAR,        VMSR_CSTAR,        VMSR_FMASK,
        VMSR_KERNEL_GS_BASE, VMSR_SYSENTER_CS, VMSR_SYSENTER_ESP, VMSR_SYSENTER_EIP, VMSR_PAT};
    for (size_t i = 0; i < ARRAY_LEN(have); i++) {
        s->msr_present |= BIT(have[i]);
        s->msr[have[i]] = 0x5500000000 + i;
    }
    s->msr[VMSR_EFER] = 0xd01;
    s->msr[VMSR_PAT] = 0x0407050600070106;
}

static void check_round_trip(const struct vcpu_state *s)
{
    struct vmcb vmcb;
    static struct vcpu_state back;
    memset(&vmcb, 0xff, sizeof vmcb); /* nothing of an old VMCB may shine through */
    vmcb_build_state(&vmcb, s, false);
    back = *s;
    memset(back.seg, 0xee, sizeof back.seg);
    memset(&back.gdtr, 0xee, sizeof back.gdtr);
    memset(&back.idtr, 0xee, sizeof back.idtr);
    back.rip = back.rflags = back.cr0 = back.cr2 = back.cr3 = back.cr4 = back.dr6 = back.dr7 = 0xeeee;
    back.gpr[GPR_RAX] = back.gpr[GPR_RSP] = 0xeeee;
    memset(back.msr, 0xee, sizeof back.msr);
    back.block_sti = back.block_mov_ss = 9;
    back.pending_debug = 9;
    back.activity = 9;
    vmcb_read_state(&vmcb, &back, false);
    for (unsigned i = 0; i < VMSR_COUNT; i++)
        if (!(s->msr_present & BIT(i)))
            back.msr[i] = 0;
    back.msr_present = s->msr_present;
    ck_assert_mem_eq(back.seg, s->seg, sizeof s->seg);
    ck_assert_mem_eq(back.msr, s->msr, sizeof s->msr);
    ck_assert_mem_eq(&back, s, sizeof back);
}

START_TEST(state_round_trip)
{
    static struct vcpu_state s;
    long_mode_state(&s);
    check_round_trip(&s);
    s.block_sti = 1;
    check_round_trip(&s);
    s.block_sti = 0;
    /* user mode */
    s.seg[SREG_CS] = seg(0x33, 0xa0fb, 0xffffffff, 0);
    s.seg[SREG_SS] = seg(0x2b, 0xc0f3, 0xffffffff, 0);
    check_round_trip(&s);
    /* a null SS in the kernel */
    s.seg[SREG_CS] = seg(0x10, 0xa09b, 0xffffffff, 0);
    s.seg[SREG_SS] = seg(0, AR_UNUSABLE, 0, 0);
    check_round_trip(&s);
    /* 32-bit protected mode, as at boot */
    s.msr[VMSR_EFER] = 0;
    s.cr0 = 0x31;
    s.cr4 = 0;
    s.seg[SREG_CS] = seg(0x10, 0xc09b, 0xffffffff, 0);
    s.seg[SREG_SS] = seg(0x18, 0xc093, 0xffffffff, 0);
    s.rip = 0x1000000;
    check_round_trip(&s);
    /* real mode and virtual 8086 */
    for (unsigned i = 0; i <= SREG_GS; i++)
        s.seg[i] = seg(0x1000, i == SREG_CS ? 0x9b : 0x93, 0xffff, 0x10000);
    s.cr0 = 0x10;
    check_round_trip(&s);
    for (unsigned i = 0; i <= SREG_GS; i++)
        s.seg[i] = seg(0x1000, 0xf3, 0xffff, 0x10000);
    s.cr0 = 0x11;
    s.rflags = 0x20202;
    check_round_trip(&s);
}
END_TEST

START_TEST(privilege_level)
{
    static struct vcpu_state s;
    struct vmcb vmcb;
    long_mode_state(&s);
    for (uint32_t dpl = 0; dpl < 4; dpl++) {
        s.seg[SREG_SS].access_rights = 0xc093 | dpl << AR_DPL_SHIFT;
        vmcb_build_state(&vmcb, &s, false);
        ck_assert_uint_eq(vmcb.save.cpl, dpl);
        s.seg[SREG_SS].access_rights = AR_UNUSABLE | dpl << AR_DPL_SHIFT;
        vmcb_build_state(&vmcb, &s, false);
        ck_assert_uint_eq(vmcb.save.cpl, dpl);
        /* On the way back cpl is believed, not SS. */
        vmcb.save.ss.attrib = 0xcf3;
        vmcb_read_state(&vmcb, &s, false);
        ck_assert_uint_eq(s.seg[SREG_SS].access_rights, 0xc093u | dpl << AR_DPL_SHIFT);
    }
    s.cr0 &= ~1ull;
    vmcb_build_state(&vmcb, &s, false);
    ck_assert_uint_eq(vmcb.save.cpl, 0);
}
END_TEST

START_TEST(what_the_guest_never_sees)
{
    static struct vcpu_state s;
    struct vmcb vmcb;
    long_mode_state(&s);
    vmcb_build_state(&vmcb, &s, false);
    ck_assert_uint_eq(vmcb.save.efer, 0x1d01);
    ck_assert_uint_eq(s.seg[SREG_TR].access_rights & AR_TYPE_MASK, 0xb);
    ck_assert_uint_eq(vmcb.save.tr.attrib & AR_TYPE_MASK, 0x9); /* that it is busy goes without saying */
    ck_assert_uint_eq(vmcb.save.spec_ctrl, 0);
    s.msr_present = BIT(VMSR_SPEC_CTRL);
    s.msr[VMSR_SPEC_CTRL] = 5;
    vmcb_build_state(&vmcb, &s, true);
    ck_assert_uint_eq(vmcb.save.spec_ctrl, 5);
    /* MSRs a state does not have get their reset values. */
    ck_assert_uint_eq(vmcb.save.efer, EFER_SVME);
    ck_assert_uint_eq(vmcb.save.g_pat, PAT_RESET_VALUE);
    ck_assert_uint_eq(vmcb.save.star, 0);
    vmcb.save.tr.attrib = 0x89; /* an available TSS is shown busy */
    vmcb.save.spec_ctrl = 7;
    vmcb_read_state(&vmcb, &s, true);
    ck_assert_uint_eq(s.seg[SREG_TR].access_rights & AR_TYPE_MASK, 0xb);
    ck_assert_uint_eq(s.msr[VMSR_SPEC_CTRL], 7);
    ck_assert_uint_eq(s.msr[VMSR_EFER], 0);
}
END_TEST

START_TEST(controls)
{
    struct vmcb vmcb;
    memset(&vmcb, 0xff, sizeof vmcb);
    struct svm_controls c = {.iopm_pa = 0x1000, .msrpm_pa = 0x4000, .n_cr3 = 0x8000, .tsc_offset = -5, .asid = 1};
    vmcb_build_controls(&vmcb, &c);
    const struct vmcb_control *k = &vmcb.control;
    ck_assert_uint_eq(k->iopm_base_pa, 0x1000);
    ck_assert_uint_eq(k->msrpm_base_pa, 0x4000);
    ck_assert_uint_eq(k->n_cr3, 0x8000);
    ck_assert_uint_eq(k->tsc_offset, ~0ull - 4);
    ck_assert_uint_eq(k->guest_asid, 1);
    ck_assert_uint_eq(k->tlb_control, TLB_CONTROL_FLUSH_ALL);
    ck_assert_uint_eq(k->np_control, NP_ENABLE);
    ck_assert_uint_eq(k->clean_bits, 0);
    ck_assert_uint_eq(k->vintr, 0);
    ck_assert_uint_eq(k->intercept_exceptions, 0);
    ck_assert_uint_eq(k->intercept_misc2, 0x27f);
    ck_assert_uint_eq(k->intercept_misc1,
                      1u << 1 | 1u << 3 | 1u << 18 | 1u << 22 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 31);
}
END_TEST

START_TEST(eventinj)
{
    static const struct {
        struct vcpu_event e;
        uint64_t inj;
    } table[] = {
        {{0}, 0},
        {{.valid = 0, .type = EVENT_NMI, .vector = 2}, 0},
        {{.valid = 1, .type = EVENT_EXTINT, .vector = 0x41}, 0x80000041},
        {{.valid = 1, .type = EVENT_EXTINT, .vector = 8, .has_error_code = 1, .error_code = 9}, 0x80000008},
        {{.valid = 1, .type = EVENT_NMI, .vector = 2}, 0x80000202},
        {{.valid = 1, .type = EVENT_EXCEPTION, .vector = 6}, 0x80000306},
        {{.valid = 1, .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = 1, .error_code = 0xfffffffb},
         0xfffffffb80000b0e},
        {{.valid = 1, .type = EVENT_EXCEPTION, .vector = 3}, 0},
        {{.valid = 1, .type = EVENT_EXCEPTION, .vector = 4}, 0},
        {{.valid = 1, .type = EVENT_SOFT_INT, .vector = 0x80, .insn_len = 2}, 0},
        {{.valid = 1, .type = EVENT_PRIV_SOFT, .vector = 1}, 0},
        {{.valid = 1, .type = EVENT_SOFT_EXC, .vector = 3}, 0},
        {{.valid = 1, .type = 77, .vector = 3}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        ck_assert_uint_eq(svm_eventinj(&table[i].e), table[i].inj);
}
END_TEST

START_TEST(msr_map)
{
    static uint8_t map[MSRPM_BYTES];
    memset(map, 0, sizeof map);
    svm_msrpm_build(map);
    static const struct {
        uint32_t msr;
        unsigned bits; /* 1 read, 2 write */
    } want[] = {{0xc0000080, 3}, {0xc0010114, 3}, {0xc0010115, 3}, {0xc0010116, 3}, {0xc0010117, 3},
                {0xc0010118, 3}, {0x79, 2},       {0xc0010020, 2}, {0x1b, 2}};
    unsigned set = 0, expected = 0;
    for (size_t i = 0; i < sizeof map; i++)
        set += (unsigned)__builtin_popcount(map[i]);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        uint32_t bit;
        ck_assert(svm_msrpm_bit(want[i].msr, &bit));
        ck_assert_uint_eq((unsigned)(map[bit / 8] >> (bit % 8)) & 3, want[i].bits);
        expected += (unsigned)__builtin_popcount(want[i].bits);
    }
    ck_assert_uint_eq(set, expected);
    /* x2APIC's ICR, when it is watched: writes alone, and back to what it was. */
    static uint8_t trapped[MSRPM_BYTES];
    memcpy(trapped, map, sizeof map);
    uint32_t icr;
    ck_assert(svm_msrpm_bit(0x830, &icr));
    svm_msrpm_trap_icr(trapped, true);
    ck_assert_uint_eq((unsigned)(trapped[icr / 8] >> (icr % 8)) & 3, 2);
    trapped[icr / 8] = map[icr / 8];
    ck_assert_mem_eq(trapped, map, sizeof map);
    svm_msrpm_trap_icr(trapped, true);
    svm_msrpm_trap_icr(trapped, false);
    ck_assert_mem_eq(trapped, map, sizeof map);
    /* The corners of the ranges. */
    uint32_t bit;
    ck_assert(svm_msrpm_bit(0, &bit) && bit == 0);
    ck_assert(svm_msrpm_bit(0x1fff, &bit) && bit == 0x7ff * 8 + 6);
    ck_assert(!svm_msrpm_bit(0x2000, &bit));
    ck_assert(!svm_msrpm_bit(0xbfffffff, &bit));
    ck_assert(svm_msrpm_bit(0xc0000000, &bit) && bit == 0x800 * 8);
    ck_assert(!svm_msrpm_bit(0xc0002000, &bit));
    ck_assert(svm_msrpm_bit(0xc0010000, &bit) && bit == 0x1000 * 8);
    ck_assert(svm_msrpm_bit(0xc0011fff, &bit) && bit == 0x17ff * 8 + 6);
    ck_assert(!svm_msrpm_bit(0xc0012000, &bit));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("svm_vmcb");
    TCase *t = tcase_create("vmcb");
    tcase_add_test(t, attributes_round_trip);
    tcase_add_test(t, granularity_follows_the_limit);
    tcase_add_test(t, state_round_trip);
    tcase_add_test(t, privilege_level);
    tcase_add_test(t, what_the_guest_never_sees);
    tcase_add_test(t, controls);
    tcase_add_test(t, eventinj);
    tcase_add_test(t, msr_map);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("svm_vmcb", suite)
