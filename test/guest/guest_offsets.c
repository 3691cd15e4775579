/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Offsets for the guests' NASM files, from the C structures: compiled to assembly text, of which the build takes the
   "->NAME value" lines. */
#include "prop.h"

#define EMIT(name, value) __asm__ volatile("\n->" #name " %0" : : "i"(value))

void guest_offsets(void);
void guest_offsets(void)
{
    EMIT(KIT_CPUS_MAX, KIT_CPUS_MAX);
    EMIT(KIT_CPU_BYTES, sizeof(struct kit_cpu));
    EMIT(KIT_CPU_MAIN_STACK_END, offsetof(struct kit_cpu, main_stack) + KIT_MAIN_STACK_BYTES);
    EMIT(PROP_STACK, offsetof(struct prop_hold, stack));
    EMIT(PROP_LOAD, offsetof(struct prop_hold, load));
    EMIT(PROP_LOAD_FRAME, offsetof(struct prop_hold, load_frame));
    EMIT(PROP_GOT, offsetof(struct prop_hold, got));
    EMIT(PROP_GOT_FRAME, offsetof(struct prop_hold, got_frame));
    EMIT(PROP_NMIS, offsetof(struct prop_hold, nmis));
    EMIT(PROP_NMIS_WITHOUT_CAUSE, offsetof(struct prop_hold, nmis_without_cause));
    EMIT(PROBE_OFFSET, offsetof(struct prop_probe, offset));
    EMIT(PROBE_VALUE, offsetof(struct prop_probe, value));
    EMIT(PROBE_FAULT, offsetof(struct prop_probe, fault));
    EMIT(PROP_VECTOR_RELEASE, PROP_VECTOR_RELEASE);
    EMIT(PROP_COMPAT_BASE, PROP_COMPAT_BASE);
}
