/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. The VMX instructions as functions. Each captures CF and ZF; whoever calls one names what it did in the log.
   SDM 3C 31.2 "Conventions", 31.3 "VMX Instructions". */
#ifndef SOJOURN_VMX_INSN_H
#define SOJOURN_VMX_INSN_H

#include "vmx/vmcs_fields.h"

enum vmx_status { VMX_OK, VMX_STATUS_INVALID, VMX_STATUS_VALID };

#define VMX_STATUS(cf, zf) ((cf) ? VMX_STATUS_INVALID : (zf) ? VMX_STATUS_VALID : VMX_OK)

#define VMX_POINTER_INSN(insn)                                                                                         \
    static inline enum vmx_status insn_##insn(hpa_t region)                                                            \
    {                                                                                                                  \
        bool cf, zf;                                                                                                   \
        __asm__ volatile(#insn " %2" : "=@ccc"(cf), "=@ccz"(zf) : "m"(region.v) : "memory");                           \
        return VMX_STATUS(cf, zf);                                                                                     \
    }
VMX_POINTER_INSN(vmxon)
VMX_POINTER_INSN(vmclear)
VMX_POINTER_INSN(vmptrld)
#undef VMX_POINTER_INSN

static inline enum vmx_status insn_vmxoff(void)
{
    bool cf, zf;
    __asm__ volatile("vmxoff" : "=@ccc"(cf), "=@ccz"(zf) : : "memory");
    return VMX_STATUS(cf, zf);
}

static inline enum vmx_status insn_vmread(struct vmcs_field field, uint64_t *value)
{
    bool cf, zf;
    uint64_t read = 0;
    __asm__ volatile("vmread %3, %2" : "=@ccc"(cf), "=@ccz"(zf), "+r"(read) : "r"((uint64_t)field.encoding) : "memory");
    *value = read;
    return VMX_STATUS(cf, zf);
}

static inline enum vmx_status insn_vmwrite(struct vmcs_field field, uint64_t value)
{
    bool cf, zf;
    __asm__ volatile("vmwrite %3, %2"
                     : "=@ccc"(cf), "=@ccz"(zf)
                     : "r"((uint64_t)field.encoding), "r"(value)
                     : "memory");
    return VMX_STATUS(cf, zf);
}

/* SDM 3C 31.3 INVEPT and INVVPID: type 2 is all-context in both. */
#define INVALIDATE_ALL_CONTEXTS 2u

struct invalidate_descriptor {
    uint64_t what, address;
};

#define VMX_INVALIDATE_INSN(insn)                                                                                      \
    static inline enum vmx_status insn_##insn(void)                                                                    \
    {                                                                                                                  \
        bool cf, zf;                                                                                                   \
        struct invalidate_descriptor d = {0, 0};                                                                       \
        __asm__ volatile(#insn " %2, %3"                                                                               \
                         : "=@ccc"(cf), "=@ccz"(zf)                                                                    \
                         : "m"(d), "r"((uint64_t)INVALIDATE_ALL_CONTEXTS)                                              \
                         : "memory");                                                                                  \
        return VMX_STATUS(cf, zf);                                                                                     \
    }
VMX_INVALIDATE_INSN(invept)
VMX_INVALIDATE_INSN(invvpid)
#undef VMX_INVALIDATE_INSN

#endif
