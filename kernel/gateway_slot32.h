/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The gateway's place in the tables of a guest in 32-bit mode. Behind kernel/gateway_slot.h, which says what each
   function does: it is asked for readers whose format is not long mode's. */
#ifndef SOJOURN_KERNEL_GATEWAY_SLOT32_H
#define SOJOURN_KERNEL_GATEWAY_SLOT32_H

#include "kernel/gateway_slot.h"

enum err gateway_slot32_find(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, unsigned pages,
                             struct gateway_plan *plan) MUST_USE;
bool gateway_slot32_usable(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base,
                           const struct gateway_plan *plan);
enum err gateway_slot32_gate(const struct phys_reader *r, uint64_t cr3, uint64_t idt_base, uint64_t idt_limit,
                             struct gateway_gate *gate) MUST_USE;
bool gateway_slot32_shared(const struct phys_reader *r, uint64_t cr3, const struct gateway_plan *plan);
bool gateway_slot32_translate(const struct phys_reader *r, uint64_t cr3, uint64_t va, uint64_t *pa);
/* Entry i of a table, and bytes of one, in any format. */
uint64_t gateway_slot32_entry(const void *table, enum paging_format format, unsigned i);
unsigned gateway_slot32_entry_bytes(enum paging_format format);

#endif
