/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See virtio.h. PCI Local Bus 3.0 6.7 "Capabilities List". */
#include "drivers/virtio.h"

#include "drivers/pci.h"

#define CAPABILITIES_MAX 48u /* behind the header there is no room for more */
#define CAP_VENDOR_SPECIFIC 0x09u
#define CAP_NEXT 1u
#define CAP_KIND 3u
#define CAP_BAR 4u
#define CAP_OFFSET 8u

uint64_t virtio_structure(uint16_t bdf, uint8_t kind)
{
    uint16_t at = PCI_CAPABILITIES;
    if (!(pci_read(bdf, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
        return 0;
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
        at = pci_read(bdf, at, 1) & PCI_CAPABILITY_MASK;
        if (!at)
            break;
        if (pci_read(bdf, at, 1) == CAP_VENDOR_SPECIFIC && pci_read(bdf, at + CAP_KIND, 1) == kind) {
            struct pci_bar bar = pci_read_bar(bdf, pci_read(bdf, at + CAP_BAR, 1));
            return bar.io || !bar.base ? 0 : bar.base + pci_read(bdf, at + CAP_OFFSET, 4);
        }
        at += CAP_NEXT;
    }
    return 0;
}
