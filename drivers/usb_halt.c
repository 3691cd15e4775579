/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. See usb_halt.h. */
#include "drivers/usb_halt.h"

#include "bits.h"
#include "io.h"

#define UHCI 0x00u
#define OHCI 0x10u
#define EHCI 0x20u
#define XHCI 0x30u
#define UHCI_BAR 4u
#define UHCI_STATUS 2u
#define UHCI_HALTED BIT32(5)
#define OHCI_CONTROL 4u
#define OHCI_STATE_SHIFT 6
#define OHCI_OPERATIONAL 2u
#define CAPLENGTH_MASK 0xffu
#define OPERATIONAL_STATUS 4u
#define EHCI_HALTED BIT32(12)
#define XHCI_HALTED BIT32(0)

bool usb_is_halted(const struct pci_function *f)
{
    uint32_t kind = f->class_code & 0xff;
    struct pci_bar bar = pci_read_bar(f->bdf, kind == UHCI ? UHCI_BAR : 0);
    if (!bar.base || bar.io != (kind == UHCI))
        return false;
    if (kind == UHCI)
        return io_in16((uint16_t)(bar.base + UHCI_STATUS)) & UHCI_HALTED;
    uint32_t first = mmio_read32((hpa_t){bar.base});
    if (kind == OHCI)
        return (mmio_read32((hpa_t){bar.base + OHCI_CONTROL}) >> OHCI_STATE_SHIFT & 3u) != OHCI_OPERATIONAL;
    uint32_t status = mmio_read32((hpa_t){bar.base + (first & CAPLENGTH_MASK) + OPERATIONAL_STATUS});
    if (kind == EHCI)
        return status & EHCI_HALTED;
    return kind == XHCI && (status & XHCI_HALTED);
}
