/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. CPU windows and gateway blocks, made once at boot; see the header. */
#include "kernel/cpus.h"

#include "bits.h"
#include "cpu.h"
#include "hostmem.h"
#include "kernel/paging.h"
#include "kernel/traps.h"
#include "log.h"

#include <string.h>

#define CPUID_APIC_ID_SHIFT 24

struct cpu *cpus[CPUS_MAX];
uint32_t cpu_count;

_Static_assert(CPU_SELF_OFFSET + CPU_SELF_PAGES * PAGE_BYTES <= CPU_MAIN_TOP - CPU_MAIN_BYTES - PAGE_BYTES,
               "a guard below the main stack");

static enum err map_window(uint64_t base)
{
    static const struct {
        uint32_t end, bytes;
    } parts[] = {
        {CPU_SELF_OFFSET + CPU_SELF_PAGES * PAGE_BYTES, CPU_SELF_PAGES * PAGE_BYTES},
        {CPU_MAIN_TOP, CPU_MAIN_BYTES},
        {CPU_FAULT_TOP, CPU_FAULT_BYTES},
        {CPU_NMI_TOP, CPU_FAULT_BYTES},
        {CPU_DOUBLE_FAULT_TOP, CPU_FAULT_BYTES},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        enum err e = paging_map_pool(base + parts[i].end - parts[i].bytes, parts[i].bytes);
        if (e)
            return e;
    }
    return E_OK;
}

static enum err add(uint32_t apic_id)
{
    uint32_t index = cpu_count;
    if (index == CPUS_MAX || apic_id >= GATEWAY_APIC_IDS - 1 || gateway.index[apic_id] != GATEWAY_NO_CPU) {
        log_line("smp", "cpu cannot be told apart: index=%u apic_id=%u", index, apic_id);
        return E_SMP;
    }
    uint64_t window = CPUS_BASE + (uint64_t)index * CPU_WINDOW_BYTES;
    enum err e = map_window(window);
    if (e)
        return e;
    struct cpu *c = (struct cpu *)(window + CPU_SELF_OFFSET);
    c->index = index;
    c->apic_id = apic_id;
    c->vcpu.cpu = index;
    c->gate = &gateway.cpu[index];
    c->gate->host_rsp = window + CPU_MAIN_TOP - sizeof(uint64_t); /* as a CALL would leave it */
    c->gate->in_host = 1;
    c->place = CPU_HELD;
    traps_init_cpu(c);
    gateway.index[apic_id] = (uint8_t)index;
    cpus[index] = c;
    cpu_count = index + 1;
    return E_OK;
}

enum err cpus_init_first(void)
{
    memset(gateway.index, GATEWAY_NO_CPU, sizeof gateway.index);
    enum err e = add(cpu_cpuid(1, 0).ebx >> CPUID_APIC_ID_SHIFT);
    if (e)
        return e;
    cpus[0]->present = true;
    cpus[0]->place = CPU_GUEST;
    return E_OK;
}

enum err cpus_init_others(const uint32_t *apic_ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        enum err e = apic_ids[i] == cpus[0]->apic_id ? E_OK : add(apic_ids[i]);
        if (e)
            return e;
    }
    uint64_t bytes = align_up(cpu_count * sizeof(struct vcpu_state), PAGE_BYTES);
    struct vcpu_state *states = pool_alloc_pages(bytes / PAGE_BYTES);
    if (!states)
        return E_NOMEM;
    for (uint32_t i = 0; i < cpu_count; i++)
        cpus[i]->state = &states[i];
    return E_OK;
}
