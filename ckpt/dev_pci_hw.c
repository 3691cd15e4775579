/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. PCI configuration for ckpt/dev_pci: reads and writes what the pure part plans, in its order. */
#include "ckpt/dev_pci.h"
#include "clock.h"
#include "drivers/pci.h"
#include "io.h"
#include "log.h"

#include <string.h>

#define PCI_D3_TO_D0_US 10000u /* PCI Power Management 1.2 table 5-6 "PCI Function State Transition Delays" */
#define MSIX_ENTRY_BYTES 16u
#define SCAN_MAX 128u

static struct dev_pci_id ids[DEV_PCI_FUNCTIONS];
static uint32_t classes[DEV_PCI_FUNCTIONS];
static bool host_uses[DEV_PCI_FUNCTIONS];
static size_t id_count;
static bool too_many;

static bool listed(uint16_t bdf, const uint16_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == bdf)
            return true;
    return false;
}

void pci_state_init(const uint16_t *hidden, size_t hidden_count, const uint16_t *kept_list, size_t kept_count)
{
    static struct pci_function found[SCAN_MAX];
    size_t n = pci_scan(found, SCAN_MAX);
    too_many = n > SCAN_MAX;
    id_count = 0;
    for (size_t i = 0; i < n && i < SCAN_MAX; i++) {
        if (listed(found[i].bdf, hidden, hidden_count))
            continue;
        if (id_count == DEV_PCI_FUNCTIONS) {
            too_many = true;
            break;
        }
        ids[id_count] = (struct dev_pci_id){found[i].bdf, found[i].vendor, found[i].device, found[i].header_type};
        host_uses[id_count] = listed(found[i].bdf, kept_list, kept_count);
        classes[id_count++] = found[i].class_code;
    }
}

const struct dev_pci_id *pci_state_functions(size_t *count)
{
    *count = id_count;
    return ids;
}

size_t pci_state_find(uint32_t class_code, uint32_t class_mask, uint16_t *bdf, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < id_count && n < max; i++)
        if (!host_uses[i] && (classes[i] & class_mask) == class_code)
            bdf[n++] = ids[i].bdf;
    return n;
}

static bool kept(uint16_t bdf)
{
    for (size_t i = 0; i < id_count; i++)
        if (ids[i].bdf == bdf)
            return host_uses[i];
    return true; /* not in our list: hands off */
}

enum err pci_state_capture(struct dev_pci_state *s)
{
    s->head = DEV_HEAD(DEV_PCI_VERSION, struct dev_pci_state);
    if (too_many) {
        log_line("pci", "more functions than a checkpoint holds max=%u", DEV_PCI_FUNCTIONS);
        return E_DEVICE;
    }
    s->functions = (uint32_t)id_count;
    for (size_t i = 0; i < id_count; i++) {
        struct dev_pci_function *f = &s->function[i];
        f->id = ids[i];
        pci_read_all(f->id.bdf, f->config);
        if (load16(f->config) != f->id.vendor) {
            log_line("pci", "function gone since boot: bdf=%04x", f->id.bdf);
            return E_DEVICE;
        }
        dev_pci_parse(f);
        uint32_t entries;
        uint64_t table = dev_pci_msix_table(f, &entries);
        if (s->msix_entries + entries > DEV_PCI_MSIX_ENTRIES) {
            log_line("pci", "more MSI-X entries than a checkpoint holds max=%u", DEV_PCI_MSIX_ENTRIES);
            return E_DEVICE;
        }
        f->msix_first = (uint16_t)s->msix_entries;
        f->msix_count = (uint16_t)entries;
        for (uint32_t k = 0; k < entries; k++)
            for (uint32_t w = 0; w < 4; w++)
                s->msix[s->msix_entries + k].word[w] = mmio_read32((hpa_t){table + k * MSIX_ENTRY_BYTES + w * 4});
        s->msix_entries += entries;
    }
    return E_OK;
}

enum err pci_state_quiesce(void)
{
    for (size_t i = 0; i < id_count; i++) {
        if (host_uses[i] || classes[i] >> 16 == PCI_BASE_CLASS_BRIDGE)
            continue;
        uint32_t command = pci_read(ids[i].bdf, PCI_COMMAND, 2);
        if (command & PCI_COMMAND_BUS_MASTER)
            pci_write(ids[i].bdf, PCI_COMMAND, 2, command & ~PCI_COMMAND_BUS_MASTER);
    }
    return E_OK;
}

static void send(uint16_t bdf, const struct pci_config_write *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pci_write(bdf, w[i].reg, w[i].bytes, w[i].value);
}

static void restore_msix(const struct dev_pci_state *s, const struct dev_pci_function *f)
{
    uint32_t entries;
    uint64_t table = dev_pci_msix_table(f, &entries);
    for (uint32_t k = 0; k < f->msix_count; k++)
        for (uint32_t w = 0; w < 4; w++)
            mmio_write32((hpa_t){table + k * MSIX_ENTRY_BYTES + w * 4}, s->msix[f->msix_first + k].word[w]);
}

enum err pci_state_restore(const struct dev_pci_state *s)
{
    static struct pci_config_write plan[DEV_PCI_PLAN_MAX];
    static uint8_t now[DEV_PCI_CONFIG_BYTES];
    for (uint32_t i = 0; i < s->functions; i++) {
        const struct dev_pci_function *f = &s->function[i];
        if (kept(f->id.bdf))
            continue;
        pci_read_all(f->id.bdf, now);
        if (f->cap_pm && load16(now + f->cap_pm + PCI_PM_CSR) & PCI_PM_STATE) {
            pci_write(f->id.bdf, (uint16_t)(f->cap_pm + PCI_PM_CSR), 2, 0);
            clock_delay_us(PCI_D3_TO_D0_US);
            pci_read_all(f->id.bdf, now); /* the way back from D3 may have reset it */
        }
        size_t n = dev_pci_plan_addresses(f, now, plan);
        send(f->id.bdf, plan, n);
        if (f->msix_count) { /* the table is only there while memory is decoded */
            uint32_t command = pci_read(f->id.bdf, PCI_COMMAND, 2);
            pci_write(f->id.bdf, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY);
            restore_msix(s, f);
        }
        n = dev_pci_plan_enables(f, plan);
        send(f->id.bdf, plan, n);
    }
    return E_OK;
}

enum err pcibm_state_capture(struct dev_pcibm_state *s)
{
    s->head = DEV_HEAD(DEV_PCI_VERSION, struct dev_pcibm_state);
    s->functions = (uint32_t)id_count;
    for (size_t i = 0; i < id_count; i++) {
        s->function[i].bdf = ids[i].bdf;
        s->function[i].command = (uint16_t)pci_read(ids[i].bdf, PCI_COMMAND, 2);
    }
    return E_OK;
}

enum err pcibm_state_restore(const struct dev_pcibm_state *s)
{
    for (uint32_t i = 0; i < s->functions; i++)
        if (!kept(s->function[i].bdf))
            pci_write(s->function[i].bdf, PCI_COMMAND, 2, s->function[i].command);
    return E_OK;
}
