/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMRUN's consistency rules, each broken in turn from a state that keeps them all. */
/* UNITS: svm/entry_check.c */
#include "svm/entry_check.h"
#include "svm/vmcb_build.h"
#include "unit.h"

#include <string.h>

static const struct svm_limits limits = {
    .phys_bits = 40, .long_mode = true, .asids = 16, .cr4_valid = MASK(22, 0), .efer_valid = 0x7d01};

static struct vmcb good(void)
{
    struct vmcb v;
    memset(&v, 0, sizeof v);
    v.control.intercept_misc1 = INTERCEPT_IOIO_PROT | INTERCEPT_MSR_PROT;
    v.control.intercept_misc2 = INTERCEPT_VMRUN;
    v.control.iopm_base_pa = 0x10000;
    v.control.msrpm_base_pa = 0x20000;
    v.control.guest_asid = 1;
    v.control.np_control = NP_ENABLE;
    v.control.n_cr3 = 0x30000;
    v.save.efer = 0x1d01;
    v.save.cr0 = 0x80050033;
    v.save.cr3 = 0x1000;
    v.save.cr4 = 0x6f0;
    v.save.dr6 = 0xffff0ff0;
    v.save.dr7 = 0x400;
    v.save.cs.attrib = 0xa9b;
    v.save.g_pat = PAT_RESET_VALUE;
    return v;
}

START_TEST(good_states_pass)
{
    struct vmcb v = good();
    ck_assert_int_eq(svm_entry_check(&v, &limits), SVM_RULE_NONE);
    /* protected mode without paging */
    v.save.efer = EFER_SVME;
    v.save.cr0 = 0x31;
    v.save.cr4 = 0;
    v.save.cs.attrib = 0xc9b;
    ck_assert_int_eq(svm_entry_check(&v, &limits), SVM_RULE_NONE);
    /* LME before PG: on the way to long mode */
    v.save.efer = EFER_SVME | EFER_LME;
    v.save.cr4 = 0x20;
    ck_assert_int_eq(svm_entry_check(&v, &limits), SVM_RULE_NONE);
    /* real mode with caches off */
    v.save.efer = EFER_SVME;
    v.save.cr0 = 0x60000010;
    ck_assert_int_eq(svm_entry_check(&v, &limits), SVM_RULE_NONE);
    /* every legal event */
    v = good();
    static const uint64_t events[] = {0x80000041, 0x80000202, 0x8000030d, 0x80000b0e, 0x80000480, 0x302, 0x7ff};
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        v.control.eventinj = events[i];
        ck_assert_int_eq(svm_entry_check(&v, &limits), SVM_RULE_NONE);
    }
}
END_TEST

#define BREAK(rule, ...)                                                                                               \
    do {                                                                                                               \
        struct vmcb v = good();                                                                                        \
        __VA_ARGS__;                                                                                                   \
        ck_assert_msg(svm_entry_check(&v, &limits) == (rule), "%s: found %s", svm_rule_text(rule),                     \
                      svm_rule_text(svm_entry_check(&v, &limits)));                                                    \
        seen[rule] = true;                                                                                             \
    } while (0)

START_TEST(each_rule)
{
    bool seen[SVM_RULE_COUNT] = {[SVM_RULE_NONE] = true};
    BREAK(SVM_RULE_SVME, v.save.efer = 0xd01);
    BREAK(SVM_RULE_CR0_CD_NW, v.save.cr0 |= BIT(29));
    BREAK(SVM_RULE_CR0_HIGH, v.save.cr0 |= BIT(32));
    BREAK(SVM_RULE_CR0_HIGH, v.save.cr0 |= BIT(63));
    BREAK(SVM_RULE_CR3_MBZ, v.save.cr3 |= BIT(40));
    BREAK(SVM_RULE_CR3_MBZ, v.save.cr3 |= BIT(63));
    BREAK(SVM_RULE_CR4_MBZ, v.save.cr4 |= BIT(23));
    BREAK(SVM_RULE_CR4_MBZ, v.save.cr4 |= BIT(63));
    BREAK(SVM_RULE_DR6_HIGH, v.save.dr6 |= BIT(32));
    BREAK(SVM_RULE_DR7_HIGH, v.save.dr7 |= BIT(32));
    BREAK(SVM_RULE_EFER_MBZ, v.save.efer |= BIT(1));
    BREAK(SVM_RULE_EFER_MBZ, v.save.efer |= BIT(63));
    BREAK(SVM_RULE_LME_PG_PAE, v.save.cr4 &= ~BIT(5));
    BREAK(SVM_RULE_LME_PG_PE, v.save.cr0 &= ~BIT(0));
    BREAK(SVM_RULE_CS_L_D, v.save.cs.attrib |= ATTRIB_DB);
    BREAK(SVM_RULE_LMA, v.save.efer &= ~EFER_LMA);
    BREAK(SVM_RULE_LMA, v.save.cr0 &= ~BIT(31));
    BREAK(SVM_RULE_VMRUN_INTERCEPT, v.control.intercept_misc2 = ~INTERCEPT_VMRUN);
    BREAK(SVM_RULE_MSRPM, v.control.msrpm_base_pa = BIT(40));
    BREAK(SVM_RULE_MSRPM, v.control.msrpm_base_pa = BIT(40) - 0x1000);
    BREAK(SVM_RULE_MSRPM, v.control.msrpm_base_pa |= 0x800);
    BREAK(SVM_RULE_IOPM, v.control.iopm_base_pa = BIT(40) - 0x2000);
    BREAK(SVM_RULE_EVENT_TYPE, v.control.eventinj = 0x80000141);
    BREAK(SVM_RULE_EVENT_TYPE, v.control.eventinj = 0x80000741);
    BREAK(SVM_RULE_EVENT_VECTOR, v.control.eventinj = 0x80000302);
    BREAK(SVM_RULE_EVENT_VECTOR, v.control.eventinj = 0x80000320);
    BREAK(SVM_RULE_ASID, v.control.guest_asid = 0);
    BREAK(SVM_RULE_ASID, v.control.guest_asid = 16);
    BREAK(SVM_RULE_NCR3, v.control.n_cr3 = BIT(40));
    BREAK(SVM_RULE_NCR3, v.control.n_cr3 |= 8);
    BREAK(SVM_RULE_G_PAT, v.save.g_pat = 0x0007040600070402);
    BREAK(SVM_RULE_G_PAT, v.save.g_pat = 0x0307040600070406);
    BREAK(SVM_RULE_G_PAT, v.save.g_pat = 0x0007040600080406);
    struct svm_limits other = limits;
    struct vmcb v = good();
    other.long_mode = false;
    ck_assert_int_eq(svm_entry_check(&v, &other), SVM_RULE_NO_LONG_MODE);
    seen[SVM_RULE_NO_LONG_MODE] = true;
    other = limits;
    other.cr4_valid |= BIT(23);
    v.save.cr4 |= BIT(23);
    ck_assert_int_eq(svm_entry_check(&v, &other), SVM_RULE_NONE);
    v.save.cr0 &= ~BIT(16);
    ck_assert_int_eq(svm_entry_check(&v, &other), SVM_RULE_CR4_CET_WP);
    seen[SVM_RULE_CR4_CET_WP] = true;
    for (unsigned i = 0; i < SVM_RULE_COUNT; i++)
        ck_assert_msg(seen[i], "no test breaks: %s", svm_rule_text((enum svm_rule)i));
    ck_assert_str_eq(svm_rule_text(SVM_RULE_COUNT), "unknown rule");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("svm_check");
    TCase *t = tcase_create("rules");
    tcase_add_test(t, good_states_pass);
    tcase_add_test(t, each_rule);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("svm_check", suite)
