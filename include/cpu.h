/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Single instructions as functions (SDM 2, "Instruction Set Reference"); no decision is taken here. */
#ifndef SOJOURN_CPU_H
#define SOJOURN_CPU_H

#include "types.h"

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpu_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return lo | (uint64_t)hi << 32;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t cpu_rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return lo | (uint64_t)hi << 32;
}

/* As above for a register that may not exist: false when the CPU raised #GP (kernel/exceptions.c resumes us). */
static inline bool cpu_rdmsr_safe(uint32_t msr, uint64_t *value)
{
    uint32_t lo = 0, hi = 0, ok = 0;
    __asm__ volatile("1: rdmsr\n movl $1, %2\n2:\n"
                     ".pushsection .fixup_table,\"a\"\n .quad 1b, 2b\n .popsection"
                     : "+a"(lo), "+d"(hi), "+r"(ok)
                     : "c"(msr));
    *value = lo | (uint64_t)hi << 32;
    return ok != 0;
}

static inline bool cpu_wrmsr_safe(uint32_t msr, uint64_t value)
{
    uint32_t ok = 0;
    __asm__ volatile("1: wrmsr\n movl $1, %0\n2:\n"
                     ".pushsection .fixup_table,\"a\"\n .quad 1b, 2b\n .popsection"
                     : "+r"(ok)
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return ok != 0;
}

static inline void cpu_wbinvd(void)
{
    __asm__ volatile("wbinvd" : : : "memory");
}

static inline bool cpu_xsetbv_safe(uint32_t index, uint64_t value)
{
    uint32_t ok = 0;
    __asm__ volatile("1: xsetbv\n movl $1, %0\n2:\n"
                     ".pushsection .fixup_table,\"a\"\n .quad 1b, 2b\n .popsection"
                     : "+r"(ok)
                     : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return ok != 0;
}

static inline uint64_t cpu_xgetbv(uint32_t index)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
    return lo | (uint64_t)hi << 32;
}

#define CPU_CONTROL_REGISTER(name, insn)                                                                               \
    static inline uint64_t cpu_read_##name(void)                                                                       \
    {                                                                                                                  \
        uint64_t v;                                                                                                    \
        __asm__ volatile("mov %%" insn ", %0" : "=r"(v) : : "memory");                                                 \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline void cpu_write_##name(uint64_t v)                                                                    \
    {                                                                                                                  \
        __asm__ volatile("mov %0, %%" insn : : "r"(v) : "memory");                                                     \
    }
CPU_CONTROL_REGISTER(cr0, "cr0")
CPU_CONTROL_REGISTER(cr2, "cr2")
CPU_CONTROL_REGISTER(cr3, "cr3")
CPU_CONTROL_REGISTER(cr4, "cr4")
CPU_CONTROL_REGISTER(cr8, "cr8")
CPU_CONTROL_REGISTER(dr0, "db0")
CPU_CONTROL_REGISTER(dr1, "db1")
CPU_CONTROL_REGISTER(dr2, "db2")
CPU_CONTROL_REGISTER(dr3, "db3")
CPU_CONTROL_REGISTER(dr6, "db6")
CPU_CONTROL_REGISTER(dr7, "db7")
#undef CPU_CONTROL_REGISTER

#define CPU_SELECTOR(name)                                                                                             \
    static inline uint16_t cpu_read_##name(void)                                                                       \
    {                                                                                                                  \
        uint16_t v;                                                                                                    \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v));                                                             \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline void cpu_write_##name(uint16_t v)                                                                    \
    {                                                                                                                  \
        __asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");                                                    \
    }
CPU_SELECTOR(es)
CPU_SELECTOR(ds)
CPU_SELECTOR(fs)
CPU_SELECTOR(gs)
#undef CPU_SELECTOR

static inline uint16_t cpu_read_tr(void)
{
    uint16_t v;
    __asm__ volatile("str %0" : "=r"(v));
    return v;
}

static inline uint16_t cpu_read_ldtr(void)
{
    uint16_t v;
    __asm__ volatile("sldt %0" : "=r"(v));
    return v;
}

static inline void cpu_ltr(uint16_t selector)
{
    __asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

static inline void cpu_lldt(uint16_t selector)
{
    __asm__ volatile("lldt %0" : : "r"(selector) : "memory");
}

static inline void cpu_lgdt(const struct pseudo_descriptor *d)
{
    __asm__ volatile("lgdt %0" : : "m"(*d) : "memory");
}

static inline void cpu_lidt(const struct pseudo_descriptor *d)
{
    __asm__ volatile("lidt %0" : : "m"(*d) : "memory");
}

static inline void cpu_xsave(void *area, uint64_t mask)
{
    __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static inline void cpu_xrstor(const void *area, uint64_t mask)
{
    __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static inline void cpu_fxsave(void *area)
{
    __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void cpu_fxrstor(const void *area)
{
    __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

/* APM 2 15.17 "Global Interrupt Flag, STGI and CLGI Instructions"; #UD unless EFER.SVME is set. */
static inline void cpu_stgi(void)
{
    __asm__ volatile("stgi" : : : "memory");
}

static inline void cpu_clgi(void)
{
    __asm__ volatile("clgi" : : : "memory");
}

static inline void cpu_pause(void)
{
    __asm__ volatile("pause");
}

static inline void cpu_cli_hlt(void)
{
    __asm__ volatile("cli; hlt");
}

#endif
