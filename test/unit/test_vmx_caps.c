/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control resolution with the rigs' CPU models, and with every required bit missing in turn. */
/* UNITS: vmx/caps.c */
#include "unit.h"
#include "vmx_models.h"

#include <string.h>

START_TEST(models)
{
    static const struct {
        bool pages_1g, ad, pml, xsaves, invpcid;
        uint8_t shift;
    } expect[] = {{true, true, false, false, true, 5}, {true, true, true, true, true, 7}, {0, 0, 0, 0, 0, 5}};
    for (int i = MODEL_HASWELL; i <= MODEL_SANDY; i++) {
        struct vmx_caps caps;
        struct backend_report report;
        ck_assert_msg(model_resolve(&vmx_models[i], &caps, &report) == E_OK, "%s: %s", vmx_models[i].name, report.text);
        ck_assert_int_eq(report.why, E_OK);
        ck_assert_int_eq(caps.pages_1g, expect[i].pages_1g);
        ck_assert_int_eq(caps.ad, expect[i].ad);
        ck_assert_int_eq(caps.pml, expect[i].pml);
        ck_assert_int_eq(!!(caps.base[CTL_PROC2] & PROC2_PML), expect[i].pml);
        ck_assert_int_eq(caps.xsaves, expect[i].xsaves);
        ck_assert_int_eq(!!(caps.base[CTL_PROC2] & PROC2_INVPCID), expect[i].invpcid);
        ck_assert_uint_eq(caps.timer_shift, expect[i].shift);
        ck_assert(caps.vpid && caps.timer && caps.activity_hlt);
        ck_assert_uint_eq(caps.cr0_fixed0, CR0_NE);
        ck_assert_uint_eq(caps.cr4_fixed0, CR4_VMXE);
        ck_assert_uint_eq(caps.base[CTL_PIN], 0x3e);
        ck_assert_uint_eq(caps.base[CTL_PROC] & PROC_CR3_LOAD_EXIT, 0);
        for (int c = 0; c < CTL_COUNT; c++) {
            ck_assert_uint_eq(caps.base[c] & caps.allowed0[c], caps.allowed0[c]);
            ck_assert_uint_eq(caps.base[c] & ~caps.allowed1[c], 0);
        }
    }
}
END_TEST

static void refused(const struct vmx_model *m, enum err why, const char *words)
{
    struct vmx_caps caps;
    struct backend_report report;
    ck_assert_int_eq(model_resolve(m, &caps, &report), why);
    ck_assert_int_eq(report.why, why);
    ck_assert_msg(strstr(report.text, words) != NULL, "\"%s\" lacks \"%s\"", report.text, words);
}

START_TEST(refusals)
{
    refused(&vmx_models[MODEL_PENRYN], E_NOEPT, "this CPU has VMX but no EPT");
    struct vmx_model m = vmx_models[MODEL_HASWELL];
    m.feature_control = FEATURE_CONTROL_LOCK;
    refused(&m, E_LOCKED, "VT-x is locked off by the firmware: enable it in Setup");
    m.feature_control = FEATURE_CONTROL_LOCK | BIT(1); /* inside SMX only */
    refused(&m, E_LOCKED, "Setup");
    m.feature_control = 0; /* unlocked: ours to lock */
    struct vmx_caps caps;
    struct backend_report report;
    ck_assert_int_eq(model_resolve(&m, &caps, &report), E_OK);
    struct vmx_source none = {.cpuid_vmx = false, .rdmsr = model_rdmsr, .arg = &m};
    ck_assert_int_eq(vmx_caps_resolve(&none, &caps, &report), E_NOCPU);
}
END_TEST

START_TEST(every_required_bit)
{
    static const struct {
        int msr;
        uint64_t bit;
        enum err why;
        const char *words;
    } need[] = {
        {14, (uint64_t)PROC_SECONDARY << 32, E_NOEPT, "no EPT"},
        {11, (uint64_t)PROC2_EPT << 32, E_NOEPT, "no EPT"},
        {11, (uint64_t)PROC2_UNRESTRICTED << 32, E_NOFEATURE, "unrestricted guest"},
        {13, (uint64_t)PIN_NMI_EXIT << 32, E_NOFEATURE, "NMI exiting"},
        {13, (uint64_t)PIN_VIRTUAL_NMIS << 32, E_NOFEATURE, "virtual NMIs"},
        {14, (uint64_t)PROC_IO_BITMAPS << 32, E_NOFEATURE, "I/O bitmaps"},
        {14, (uint64_t)PROC_MSR_BITMAPS << 32, E_NOFEATURE, "MSR bitmaps"},
        {14, (uint64_t)PROC_INTR_WINDOW << 32, E_NOFEATURE, "interrupt-window"},
        {14, (uint64_t)PROC_NMI_WINDOW << 32, E_NOFEATURE, "NMI-window"},
        {15, (uint64_t)EXIT_CTL_SAVE_DEBUG << 32, E_NOFEATURE, "save debug controls"},
        {15, (uint64_t)EXIT_CTL_HOST_64 << 32, E_NOFEATURE, "host address-space size"},
        {15, (uint64_t)EXIT_CTL_SAVE_PAT << 32, E_NOFEATURE, "save IA32_PAT"},
        {15, (uint64_t)EXIT_CTL_LOAD_PAT << 32, E_NOFEATURE, "load IA32_PAT on exit"},
        {15, (uint64_t)EXIT_CTL_SAVE_EFER << 32, E_NOFEATURE, "save IA32_EFER"},
        {15, (uint64_t)EXIT_CTL_LOAD_EFER << 32, E_NOFEATURE, "load IA32_EFER on exit"},
        {16, (uint64_t)ENTRY_CTL_LOAD_DEBUG << 32, E_NOFEATURE, "load debug controls"},
        {16, (uint64_t)ENTRY_CTL_IA32E << 32, E_NOFEATURE, "IA-32e mode guest"},
        {16, (uint64_t)ENTRY_CTL_LOAD_PAT << 32, E_NOFEATURE, "load IA32_PAT"},
        {16, (uint64_t)ENTRY_CTL_LOAD_EFER << 32, E_NOFEATURE, "load IA32_EFER"},
        {12, EPT_CAP_WALK_4, E_NOFEATURE, "4-level EPT"},
        {12, EPT_CAP_TYPE_WB, E_NOFEATURE, "write-back"},
        {12, EPT_CAP_2M, E_NOFEATURE, "2-MiB"},
        {12, EPT_CAP_INVEPT, E_NOFEATURE, "INVEPT"},
        {12, EPT_CAP_INVEPT_ALL, E_NOFEATURE, "all-context"},
        {5, BIT(5), E_NOFEATURE, "LMA"},
    };
    for (size_t i = 0; i < ARRAY_LEN(need); i++) {
        struct vmx_model m = vmx_models[MODEL_HASWELL];
        ck_assert(m.msr[need[i].msr] & need[i].bit);
        m.msr[need[i].msr] &= ~need[i].bit;
        refused(&m, need[i].why, need[i].words);
    }
}
END_TEST

START_TEST(forced_exits_and_geometry)
{
    static const struct {
        int msr;
        uint32_t bit;
        const char *words;
    } forced[] = {
        {13, PIN_EXTINT_EXIT, "external-interrupt"},
        {13, PIN_TIMER, "preemption timer"},
        {14, PROC_HLT_EXIT, "HLT"},
        {14, PROC_INVLPG_EXIT, "INVLPG"},
        {14, PROC_MWAIT_EXIT, "MWAIT"},
        {14, PROC_RDPMC_EXIT, "RDPMC"},
        {14, PROC_RDTSC_EXIT, "RDTSC"},
        {14, PROC_CR3_LOAD_EXIT, "CR3-load"},
        {14, PROC_CR3_STORE_EXIT, "CR3-store"},
        {14, PROC_CR8_LOAD_EXIT, "CR8-load"},
        {14, PROC_CR8_STORE_EXIT, "CR8-store"},
        {14, PROC_TPR_SHADOW, "TPR shadow"},
        {14, PROC_DR_EXIT, "MOV-DR"},
        {14, PROC_UNCOND_IO_EXIT, "unconditional I/O"},
        {14, PROC_MONITOR_EXIT, "MONITOR"},
        {14, PROC_PAUSE_EXIT, "PAUSE"},
    };
    for (size_t i = 0; i < ARRAY_LEN(forced); i++) {
        struct vmx_model m = vmx_models[MODEL_HASWELL];
        m.msr[forced[i].msr] |= forced[i].bit;
        refused(&m, E_NOFEATURE, forced[i].words);
    }
    struct vmx_model m = vmx_models[MODEL_HASWELL];
    m.msr[16] |= BIT(13);  /* must be 1, */
    m.msr[16] &= ~BIT(45); /* may not be 1 */
    refused(&m, E_NOFEATURE, "contradict");
    m = vmx_models[MODEL_HASWELL];
    m.msr[0] = (m.msr[0] & ~MASK(44, 32)) | 0x1001ull << 32;
    refused(&m, E_NOFEATURE, "larger than a page");
    m = vmx_models[MODEL_HASWELL];
    m.msr[0] &= ~MASK(53, 50);
    refused(&m, E_NOFEATURE, "uncached");
    /* VPID is only used when all of it can be flushed. */
    m = vmx_models[MODEL_HASWELL];
    m.msr[12] &= ~VPID_CAP_INVVPID_ALL;
    struct vmx_caps caps;
    struct backend_report report;
    ck_assert_int_eq(model_resolve(&m, &caps, &report), E_OK);
    ck_assert(!caps.vpid && !(caps.base[CTL_PROC2] & PROC2_VPID));
    /* Without the exact MSRs the old ones decide, and those force CR3 exits. */
    m = vmx_models[MODEL_HASWELL];
    m.msr[0] &= ~BIT(55);
    m.has[13] = m.has[14] = m.has[15] = m.has[16] = false;
    refused(&m, E_NOFEATURE, "CR3-load");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("vmx_caps");
    TCase *t = tcase_create("all");
    tcase_add_test(t, models);
    tcase_add_test(t, refusals);
    tcase_add_test(t, every_required_bit);
    tcase_add_test(t, forced_exits_and_geometry);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN("vmx_caps", suite)
