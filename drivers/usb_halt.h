/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. Is a USB host controller at rest? Firmware leaves them able to master the bus; as long as they are halted they do
   not. UHCI 1.1 2.1.2 "USBSTS", OHCI 1.0a 7.1.2 "HcControl", EHCI 1.0 2.3.2 "USBSTS", xHCI 1.2 5.4.2 "USBSTS". Reads
   registers without side effects. */
#ifndef SOJOURN_DRIVERS_USB_HALT_H
#define SOJOURN_DRIVERS_USB_HALT_H

#include "drivers/pci.h"

#define PCI_CLASS_USB 0x0c03u /* base class and subclass; the programming interface says which kind */

/* False also for a kind that is not known, or registers that are not mapped. f: of class PCI_CLASS_USB. */
bool usb_is_halted(const struct pci_function *f);

#endif
