/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure: PCI configuration of the functions the guest sees, which registers of it are restored, and in what order.
   dev_pci_hw.c is the shell. Only registers that differ are written, so that in place nothing is disturbed. Order:
   power state to D0, decoding off, bridge windows and base addresses, message interrupts, decoding on; bus mastering
   comes back last of all devices (class "pcibm"), when the disk controllers point at the guest's memory again. */
#ifndef SOJOURN_CKPT_DEV_PCI_H
#define SOJOURN_CKPT_DEV_PCI_H

#include "bits.h"
#include "ckpt/dev_common.h"

#define DEV_PCI_VERSION 1
#define DEV_PCI_FUNCTIONS 64u
#define DEV_PCI_MSIX_ENTRIES 512u
#define DEV_PCI_CONFIG_BYTES 256u
#define DEV_PCI_PLAN_MAX 64u

#define PCI_CAP_PM 0x01u
#define PCI_CAP_MSI 0x05u
#define PCI_CAP_EXPRESS 0x10u
#define PCI_CAP_MSIX 0x11u
#define PCI_MSIX_CONTROL 2u
#define PCI_MSIX_TABLE 4u
#define PCI_MSIX_ENABLE 0x8000u
#define PCI_MSIX_FUNCTION_MASK 0x4000u
#define PCI_PM_CSR 4u
#define PCI_PM_STATE 3u

struct dev_pci_id {
    uint16_t bdf, vendor, device;
    uint16_t header_type;
};

struct dev_pci_function {
    struct dev_pci_id id;
    uint8_t cap_pm, cap_msi, cap_msix, cap_express; /* offsets; 0: none */
    uint16_t msix_first, msix_count;                /* table entries in msix[]; 0: MSI-X is off */
    uint8_t config[DEV_PCI_CONFIG_BYTES];
};

struct dev_pci_msix {
    uint32_t word[4];
};

struct dev_pci_state {
    struct dev_head head;
    uint32_t functions;
    uint32_t msix_entries;
    struct dev_pci_function function[DEV_PCI_FUNCTIONS];
    struct dev_pci_msix msix[DEV_PCI_MSIX_ENTRIES];
};

/* Class "pcibm". */
struct dev_pcibm_state {
    struct dev_head head;
    uint32_t functions;
    uint32_t zero;
    struct {
        uint16_t bdf, command;
    } function[DEV_PCI_FUNCTIONS];
};

_Static_assert(sizeof(struct dev_pci_function) == 272, "saved layout");
_Static_assert(sizeof(struct dev_pci_state) == 16 + 64 * 272 + 512 * 16, "saved layout");
_Static_assert(sizeof(struct dev_pcibm_state) == 16 + 64 * 4, "saved layout");

struct pci_config_write {
    uint16_t reg;
    uint8_t bytes;
    uint32_t value;
};

/* Fills the capability offsets from config[]; a looping list ends the search. */
void dev_pci_parse(struct dev_pci_function *f);
/* Where the MSI-X table is, 0 if MSI-X is off or memory decoding is; entries: how many. */
uint64_t dev_pci_msix_table(const struct dev_pci_function *f, uint32_t *entries);
/* First half: everything up to the message interrupts' enables, with decoding off if an address changes. now: the same
   function's configuration as it is. Second half: message interrupts on, command register without bus mastering. */
size_t dev_pci_plan_addresses(const struct dev_pci_function *f, const uint8_t *now, struct pci_config_write *out);
size_t dev_pci_plan_enables(const struct dev_pci_function *f, struct pci_config_write *out);
enum err dev_pci_check(const struct dev_pci_state *s, const struct dev_pci_id *machine, size_t machine_count, char *why,
                       size_t why_len) MUST_USE;
enum err dev_pcibm_check(const struct dev_pcibm_state *s, char *why, size_t why_len) MUST_USE;
void dev_pci_show(const struct dev_pci_state *s, char *text, size_t len);

/* Shell, dev_pci_hw.c. hidden: functions the guest does not see. kept: ones it sees, but that the host uses itself:
   part of the layout, never quiesced, restored or captured in depth. Scans once: that is too slow for a cut. */
void pci_state_init(const uint16_t *hidden, size_t hidden_count, const uint16_t *kept, size_t kept_count);
const struct dev_pci_id *pci_state_functions(size_t *count);
/* The functions that are neither hidden nor kept and of this class (class, subclass, programming interface). */
size_t pci_state_find(uint32_t class_code, uint32_t class_mask, uint16_t *bdf, size_t max);
enum err pci_state_capture(struct dev_pci_state *s) MUST_USE;
enum err pci_state_quiesce(void) MUST_USE; /* bus mastering off, bridges excepted: the host's disk may be behind one */
enum err pci_state_restore(const struct dev_pci_state *s) MUST_USE;
enum err pcibm_state_capture(struct dev_pcibm_state *s) MUST_USE;
enum err pcibm_state_restore(const struct dev_pcibm_state *s) MUST_USE;

#endif
