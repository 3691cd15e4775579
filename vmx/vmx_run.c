/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. One entry and one exit: what is injected, which windows and timers are armed, and what an exit leaves to be
   repaired before the next entry (interrupted event delivery, NMI blocking). Decoding is vmx/decode.c's. */
#include "cpu.h"
#include "ept/second_level.h"
#include "log.h"
#include "virt_env.h"
#include "vmx/decode.h"
#include "vmx/vmx_cpu.h"

#define VECTOR_NMI 2u

static void write_event(struct vmx_cpu *c, const struct vcpu_event *event)
{
    vmcs_write(c, VMCS_ENTRY_INTR_INFO, vmx_event_info(event));
    if (event->valid) {
        vmcs_write(c, VMCS_ENTRY_INTR_ERROR, event->error_code);
        vmcs_write(c, VMCS_ENTRY_INSN_LEN, event->insn_len);
    }
    c->event_in_vmcs = event->valid;
}

/* What goes in with this entry. SDM 3C 27.3.1.5 forbids an NMI under STI, MOV SS or NMI blocking: then exit as soon as
   it can go. The NMI window may open while STI still blocks, the interrupt window does not, so under STI (IF is set)
   that one is used. Returns true if an NMI is what goes in. */
static bool prepare_injection(struct vcpu *v, struct vmx_cpu *c)
{
    static const struct vcpu_event nmi = {.valid = 1, .type = EVENT_NMI, .vector = VECTOR_NMI};
    uint32_t proc = c->proc & ~(PROC_NMI_WINDOW | PROC_INTR_WINDOW);
    bool inject = false;
    c->nmi_by_intr_window = false;
    if (v->nmi_pending) {
        uint64_t block = vmcs_read(c, VMCS_GUEST_INTERRUPTIBILITY);
        inject = !v->event.valid && !(block & (BLOCK_STI | BLOCK_MOV_SS | BLOCK_NMI));
        c->nmi_by_intr_window = !inject && (block & BLOCK_STI);
        if (!inject && !c->nmi_by_intr_window)
            proc |= PROC_NMI_WINDOW;
    }
    if (c->want_intr_window || c->nmi_by_intr_window)
        proc |= PROC_INTR_WINDOW;
    vmcs_set_proc(c, proc);
    if (inject)
        write_event(c, &nmi);
    else if (v->event.valid || c->event_in_vmcs)
        write_event(c, &v->event);
    return inject;
}

/* The timer counts TSC >> shift down to 0. Other exits do not delay the tick: what is left is computed anew. */
static void prepare_tick(struct vmx_cpu *c)
{
    if (!c->tick_cycles)
        return;
    uint64_t now = cpu_rdtsc();
    uint64_t left = now < c->tick_deadline ? (c->tick_deadline - now) >> c->caps.timer_shift : 0;
    vmcs_write(c, VMCS_GUEST_TIMER, min_u64(left, UINT32_MAX));
}

/* SDM 3C 28.2.4 "Information for VM Exits During Event Delivery": what was being delivered is owed to the guest. */
static void recover_event(struct vcpu *v, struct vmx_cpu *c, const struct vmx_exit_info *info)
{
    uint32_t vectoring = (uint32_t)vmcs_read(c, VMCS_IDT_VECTORING_INFO);
    v->event.valid = 0;
    if (vectoring & INTR_INFO_VALID) {
        uint32_t error = (uint32_t)vmcs_read(c, VMCS_IDT_VECTORING_ERROR);
        vmx_event_from_vectoring(vectoring, error, info->insn_len, &v->event);
    }
    uint64_t block = vmcs_read(c, VMCS_GUEST_INTERRUPTIBILITY), now = block;
    if (v->event.valid && v->event.type == EVENT_NMI)
        now &= ~(uint64_t)BLOCK_NMI; /* "blocking by NMI" must be 0 to inject it again */
    if (vmx_exit_undid_iret(info, vectoring))
        now |= BLOCK_NMI;
    if (now != block)
        vmcs_write(c, VMCS_GUEST_INTERRUPTIBILITY, now);
}

static void read_exit(struct vmx_cpu *c, struct vmx_exit_info *info)
{
    info->reason = (uint32_t)vmcs_read(c, VMCS_EXIT_REASON);
    info->intr_info = (uint32_t)vmcs_read(c, VMCS_EXIT_INTR_INFO);
    info->intr_error = (uint32_t)vmcs_read(c, VMCS_EXIT_INTR_ERROR);
    info->insn_len = (uint32_t)vmcs_read(c, VMCS_EXIT_INSN_LEN);
    info->qualification = vmcs_read(c, VMCS_EXIT_QUALIFICATION);
    info->gpa = vmcs_read(c, VMCS_EXIT_GPA);
    info->linear_address = vmcs_read(c, VMCS_EXIT_LINEAR_ADDRESS);
    info->cr0 =
        vmx_cr_visible(vmcs_read(c, VMCS_GUEST_CR0), vmcs_read(c, VMCS_CR0_MASK), vmcs_read(c, VMCS_CR0_SHADOW));
}

static enum err entry_refused(struct vmx_cpu *c, uint64_t result, struct vm_exit *x)
{
    uint64_t error = 0;
    if (result == VMX_FAIL_VALID)
        error = vmcs_read(c, VMCS_INSN_ERROR);
    *x = (struct vm_exit){.kind = EXIT_ENTRY_FAILED, .raw = error};
    log_line("vmx", "%s failed error=%u text=\"%s\"", c->launched ? "vmresume" : "vmlaunch", (unsigned)error,
             vmx_error_text((uint32_t)error));
    return E_VMENTRY;
}

/* Not on the way in (kernel/door.ld). */
static __attribute__((noinline)) enum err look_at_exit(struct vcpu *v, struct vmx_cpu *c, bool nmi, struct vm_exit *x)
{
    struct vmx_exit_info info;
    read_exit(c, &info);
    vmx_decode(&info, x);
    if (x->kind == EXIT_ENTRY_FAILED) {
        log_line("vmx", "entry refused reason=%u qualification=%llu text=\"%s\"", (unsigned)(info.reason & UINT16_MAX),
                 (unsigned long long)info.qualification, vmx_entry_failure_text(info.reason, info.qualification));
        return E_VMENTRY;
    }
    c->launched = true;
    c->event_in_vmcs = false; /* "VM exits clear the valid bit of the VM-entry interruption-information field" */
    if (nmi)
        v->nmi_pending = false;
    recover_event(v, c, &info);
    v->gpr[GPR_RSP] = c->rsp_in_vmcs = vmcs_read(c, VMCS_GUEST_RSP);
    if (x->kind == EXIT_TICK)
        c->tick_deadline = cpu_rdtsc() + c->tick_cycles;
    if (x->kind == EXIT_INTR_WINDOW && c->nmi_by_intr_window && !c->want_intr_window)
        x->kind = EXIT_NMI_WINDOW;
    /* SDM 3C 28.5.5: an exit caused by an NMI leaves NMIs blocked in the host until an IRET. */
    if (vmx_exit_blocks_nmi(&info))
        vmx_unblock_nmi();
    return c->broken ? E_VMXFAIL : E_OK;
}

enum err vmx_run(struct vcpu *v, struct vm_exit *x)
{
    struct vmx_cpu *c = vmx_of(v);
    if (virt_env.second_level && virt_env.second_level->flush_epoch != v->flush_seen)
        vmx_flush(v);
    bool nmi = prepare_injection(v, c);
    prepare_tick(c);
    if (v->gpr[GPR_RSP] != c->rsp_in_vmcs)
        vmcs_write(c, VMCS_GUEST_RSP, v->gpr[GPR_RSP]);
    c->rsp_in_vmcs = v->gpr[GPR_RSP];
    if (c->broken || !c->loaded)
        return E_VMXFAIL;

    v->entry_tsc = cpu_rdtsc();
    uint64_t result = vmx_enter(v, c->launched, &c->frame.anchor);
    if (result == VMX_ABORTED) {
        *x = (struct vm_exit){.kind = EXIT_NMI_HOST};
        return E_OK; /* nothing was consumed: v->event and v->nmi_pending go in next time */
    }
    if (result != VMX_EXITED)
        return entry_refused(c, result, x);
    if (virt_env.exited)
        virt_env.exited();
    return look_at_exit(v, c, nmi, x);
}
