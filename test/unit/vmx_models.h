/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capability MSRs of the CPU models that the rigs have, for the VMX tests. */
#ifndef SOJOURN_TEST_UNIT_VMX_MODELS_H
#define SOJOURN_TEST_UNIT_VMX_MODELS_H

#include "vmx/caps.h"

#include <check.h>

#define MODEL_MSRS 18

struct vmx_model {
    const char *name;
    uint64_t feature_control;
    uint64_t msr[MODEL_MSRS]; /* from MSR_IA32_VMX_BASIC on */
    bool has[MODEL_MSRS];
};

enum { MODEL_HASWELL, MODEL_SKYLAKE, MODEL_SANDY, MODEL_PENRYN, MODEL_COUNT };

#define COMMON_CR [6] = 0x80000021, [7] = 0xffffffff, [8] = 0x2000
#define HAS_TRUE                                                                                                       \
    {                                                                                                                  \
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0                                                           \
    }

static const struct vmx_model vmx_models[MODEL_COUNT] = {
    [MODEL_HASWELL] = {"haswell",
                       5,
                       {[0] = 0x00da040000000012,
                        [1] = 0x7f00000016,
                        [2] = 0xfff9fffe0401e172,
                        [3] = 0x7fffff00036dff,
                        [4] = 0xffff000011ff,
                        [5] = 0x300481e5,
                        COMMON_CR,
                        [9] = 0x1767ff,
                        [11] = 0x7cff00000000,
                        [12] = 0xf0106334141,
                        [13] = 0x7f00000016,
                        [14] = 0xfff9fffe04006172,
                        [15] = 0x7fffff00036dfb,
                        [16] = 0xffff000011fb},
                       HAS_TRUE},
    [MODEL_SKYLAKE] = {"skylake_x",
                       5,
                       {[0] = 0x00da040000000004,
                        [1] = 0x7f00000016,
                        [2] = 0xfff9fffe0401e172,
                        [3] = 0x1ffffff00036dff,
                        [4] = 0x3ffff000011ff,
                        [5] = 0x7004c1e7,
                        COMMON_CR,
                        [9] = 0x3767ff,
                        [11] = 0x15ffcff00000000,
                        [12] = 0xf0106734141,
                        [13] = 0x7f00000016,
                        [14] = 0xfff9fffe04006172,
                        [15] = 0x1ffffff00036dfb,
                        [16] = 0x3ffff000011fb},
                       HAS_TRUE},
    [MODEL_SANDY] = {"sandy_bridge",
                     5,
                     {[0] = 0x00da040000000010,
                      [1] = 0x7f00000016,
                      [2] = 0xfff9fffe0401e172,
                      [3] = 0x7fffff00036dff,
                      [4] = 0xffff000011ff,
                      [5] = 0x100401e5,
                      COMMON_CR,
                      [9] = 0x627ff,
                      [11] = 0xff00000000,
                      [12] = 0xf0106114141,
                      [13] = 0x7f00000016,
                      [14] = 0xfff9fffe04006172,
                      [15] = 0x7fffff00036dfb,
                      [16] = 0xffff000011fb},
                     HAS_TRUE},
    [MODEL_PENRYN] = {"penryn",
                      5,
                      {[0] = 0x005a08000000000d,
                       [1] = 0x3f00000016,
                       [2] = 0xf7f9fffe0401e172,
                       [3] = 0x3ffff00036dff,
                       [4] = 0x3fff000011ff,
                       [5] = 0x403c0,
                       COMMON_CR,
                       [9] = 0x427ff,
                       [11] = 0x4100000000},
                      {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}},
};

/* A read of an MSR that the model lacks would be a #GP: the test fails. */
static inline uint64_t model_rdmsr(const struct vmx_source *source, uint32_t msr)
{
    const struct vmx_model *m = source->arg;
    if (msr == MSR_IA32_FEATURE_CONTROL)
        return m->feature_control;
    ck_assert_msg(msr >= MSR_IA32_VMX_BASIC && msr < MSR_IA32_VMX_BASIC + MODEL_MSRS &&
                      m->has[msr - MSR_IA32_VMX_BASIC],
                  "%s has no MSR %#x", m->name, msr);
    return m->msr[msr - MSR_IA32_VMX_BASIC];
}

static inline enum err model_resolve(const struct vmx_model *m, struct vmx_caps *caps, struct backend_report *report)
{
    struct vmx_source source = {.cpuid_vmx = true, .phys_bits = 40, .rdmsr = model_rdmsr, .arg = m};
    return vmx_caps_resolve(&source, caps, report);
}

#endif
