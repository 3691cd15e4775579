/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See bus_masters.h. PCI Local Bus 3.0 6.2.2 "Device Control": bit 2 of the command register. */
#include "kernel/bus_masters.h"

#include "bits.h"
#include "ckpt/hash.h"
#include "drivers/pci.h"
#include "drivers/usb_halt.h"
#include "kernel/policy.h"

#define FUNCTIONS_MAX 64u

static struct pci_function functions[FUNCTIONS_MAX];
static size_t function_count;

uint64_t bus_masters_scan(void)
{
    function_count = min_u64(pci_scan(functions, FUNCTIONS_MAX), FUNCTIONS_MAX);
    return hash64(functions, function_count * sizeof functions[0], 0);
}

const struct pci_function *bus_masters_next(size_t *at)
{
    while (*at < function_count) {
        const struct pci_function *f = &functions[(*at)++];
        if (f->class_code >> 16 == PCI_BASE_CLASS_BRIDGE || policy_pci_hidden(f->bdf))
            continue;
        lock_take(&policy_pci_lock);
        bool may_write = pci_read(f->bdf, PCI_COMMAND, 2) & PCI_COMMAND_BUS_MASTER &&
                         !(f->class_code >> 8 == PCI_CLASS_USB && usb_is_halted(f));
        lock_release(&policy_pci_lock);
        if (may_write)
            return f;
    }
    return NULL;
}
