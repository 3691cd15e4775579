/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. The rules of VM entry, applied to rows before the CPU sees them, because the CPU only says "invalid guest
   state". SDM 3C 27.2 "Checks on VMX Controls and Host-State Area", 27.3 "Checking and Loading Guest State". */
#ifndef SOJOURN_VMX_ENTRY_CHECK_H
#define SOJOURN_VMX_ENTRY_CHECK_H

#include "vmx/rows.h"

/* NULL: every rule holds; else the first broken one, in words that begin with the field. Of the rows that are written
   once, and of the others; those about both are with the others. */
const char *vmx_entry_check_fixed(const struct vmx_rows *rows, const struct vmx_caps *caps) MUST_USE;
const char *vmx_entry_check(const struct vmx_rows *rows, const struct vmx_caps *caps) MUST_USE;

#endif
