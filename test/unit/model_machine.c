/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model behind model_machine.h. Written from the specifications, not from the drivers. */
#include "model_machine.h"

#include "io.h"
#include "model_disk.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct model_machine machine;

void model_violation(const char *what)
{
    machine.violations++;
    fprintf(stderr, "model: %s\n", what);
}

void *low_alloc(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

/* For tests that link with --wrap=pool_alloc_pages: the pool, but below 4 GiB. */
void *__wrap_pool_alloc_pages(size_t count);
void *__wrap_pool_alloc_pages(size_t count)
{
    if (count > env_pool_limit)
        return NULL;
    env_pool_limit -= count;
    return low_alloc(count * PAGE_BYTES);
}

/* ---- AHCI ------------------------------------------------------------------------------------------------------ */

static void port_reset_device(struct model_port *p)
{
    bool here = p->disk.present && !p->no_link;
    p->ssts = here ? 0x123 : p->disk.present ? 0x1 : 0;
    p->tfd = here ? 0x50 : 0x7F;
    p->sig = !here ? 0xFFFFFFFF : p->disk.atapi ? 0xEB140101 : 0x101;
    p->serr |= 1u << 16;
    p->is |= 1u << 22;
}

void port_plug(struct model_port *p)
{
    port_reset_device(p);
}

void machine_add_hba(unsigned index, uint16_t bdf, bool dma64)
{
    struct model_hba *h = &machine.hba[index];
    h->abar = 0xFEB00000u + index * 0x10000u;
    h->cap = (dma64 ? 1u << 31 : 0) | 0x1F00 | (MODEL_PORTS - 1);
    h->pi = (1u << MODEL_PORTS) - 1;
    h->vs = 0x00010000;
    h->ghc = 0x80000002; /* as firmware with interrupts leaves it */
    uint8_t *config = machine_pci_add(bdf, 0x8086, 0x2922, 0x010601, 0);
    uint32_t bar = (uint32_t)h->abar;
    memcpy(config + 0x24, &bar, 4);
    for (unsigned i = 0; i < MODEL_PORTS; i++) {
        struct model_port *p = &h->port[i];
        memset(p, 0, sizeof *p);
        p->clb = 0x7000 + i * 0x400; /* the firmware's */
        p->fb = 0x6000 + i * 0x100;
        p->cmd = 0xC017;
        p->ie = 1;
        p->tfd = 0x7F;
        p->sig = 0xFFFFFFFF;
    }
}

static void port_execute(struct model_hba *h, struct model_port *p)
{
    struct piece pieces[64];
    size_t n = 0;
    uint32_t list[8], moved;
    uint8_t *header = (uint8_t *)(uintptr_t)((uint64_t)p->clbu << 32 | p->clb);
    memcpy(list, header, 32);
    uint8_t *table = (uint8_t *)(uintptr_t)((uint64_t)list[3] << 32 | list[2]);
    if ((list[0] & 0x1F) != 5 || table[0] != 0x27 || !(table[1] & 0x80))
        model_violation("no host-to-device register FIS of five dwords");
    if ((uintptr_t)table % 128)
        model_violation("command table not aligned");
    if (p->ie || (h->ghc & 2))
        model_violation("command with interrupts on");
    if (!(h->ghc & 0x80000000u))
        model_violation("command without GHC.AE");
    for (uint32_t i = 0; i < list[0] >> 16 && n < 64; i++, n++) {
        uint32_t prd[4];
        memcpy(prd, table + 0x80 + 16 * i, 16);
        if (!(h->cap >> 31) && prd[1])
            model_violation("64-bit address on a 32-bit HBA");
        if (!(prd[3] & 1) || (prd[0] & 1) || (prd[3] & 0x3FFFFF) != prd[3])
            model_violation("PRD not word-aligned, or more than 4 MiB");
        pieces[n].at = (uint8_t *)(uintptr_t)((uint64_t)prd[1] << 32 | prd[0]);
        pieces[n].bytes = prd[3] + 1;
    }
    uint8_t command = table[2];
    bool ext = command == 0x25 || command == 0x35, write = command == 0x35 || command == 0xCA;
    uint64_t lba = (uint64_t)table[4] | (uint64_t)table[5] << 8 | (uint64_t)table[6] << 16;
    uint32_t count = (uint32_t)table[12] | (uint32_t)table[13] << 8;
    if (ext)
        lba |= (uint64_t)table[8] << 24 | (uint64_t)table[9] << 32 | (uint64_t)table[10] << 40;
    else
        lba |= (uint64_t)(table[7] & 0xF) << 24;
    if (count == 0)
        count = ext ? 65536 : 256;
    if (!ext && command != 0xE7 && command != 0xEA && count > 256)
        model_violation("28-bit command with a long count");
    if (n && !(table[7] & 0x40) && command != 0xEC)
        model_violation("LBA bit missing");
    if (n && write != ((list[0] & 0x40) != 0))
        model_violation("W bit against the command");

    enum outcome o = disk_run(&p->disk, command, lba, count, pieces, n, &moved);
    memcpy(header + 4, &moved, 4);
    p->running = false;
    switch (o) {
    case DONE:
        p->ci = 0;
        p->tfd = 0x50;
        break;
    case ERROR:
        p->tfd = 0x0451;
        p->is |= 1u << 30;
        break;
    case FAULT:
        p->tfd = 0x70;
        p->is |= 1u << 29;
        break;
    case HANG:
        p->tfd = 0xD0;
        break;
    case VANISH:
        p->disk.present = false;
        p->ssts = 0;
        p->serr |= 1u << 16;
        p->is |= 1u << 22;
        p->tfd = 0x7F;
        break;
    }
}

static uint32_t *port_register(struct model_port *p, uint32_t reg)
{
    uint32_t *map[] = {&p->clb, &p->clbu, &p->fb,   &p->fbu,  &p->is,   &p->ie,   &p->cmd, NULL,
                       &p->tfd, &p->sig,  &p->ssts, &p->sctl, &p->serr, &p->sact, &p->ci};
    return reg / 4 < ARRAY_LEN(map) ? map[reg / 4] : NULL;
}

static void port_tick(struct model_hba *h, struct model_port *p)
{
    if (p->running && --p->polls_left < 0)
        port_execute(h, p);
}

static void port_cmd_write(struct model_port *p, uint32_t v)
{
    uint32_t old = p->cmd;
    uint32_t status = old & 0xC000u;
    if ((v & 1) && !(old & 1)) {
        if (!(v & 0x10) || !(old & 0x4000))
            model_violation("ST set while FRE is not running");
        if (p->tfd & 0x88)
            model_violation("ST set while BSY or DRQ");
        if ((p->ssts & 0xF) != 3)
            model_violation("ST set without a link");
        status |= 0x8000;
    }
    if (!(v & 1)) {
        p->ci = 0;
        p->running = false;
        if (!p->stuck_cr && !p->stuck_hard)
            status &= ~0x8000u;
    }
    if (!(v & 0x10) && (old & 0x10) && (status & 0x8000))
        model_violation("FRE cleared while commands run");
    status = v & 0x10 ? status | 0x4000 : status & ~0x4000u;
    p->cmd = (v & 0x0FFF3FFFu) | status; /* ICC: done at once, reads 0 */
}

static void port_write(struct model_port *p, uint32_t reg, uint32_t v)
{
    uint32_t *r = port_register(p, reg);
    switch (reg) {
    case 0x00:
    case 0x04:
        if ((p->cmd & 0x8001) && *r != v)
            model_violation("command list moved while running");
        *r = v;
        break;
    case 0x08:
    case 0x0C:
        if ((p->cmd & 0x4010) && *r != v)
            model_violation("FIS area moved while running");
        *r = v;
        break;
    case 0x10:
        p->is &= ~v;
        if (p->serr & 1u << 16)
            p->is |= 1u << 22;
        break;
    case 0x18:
        port_cmd_write(p, v);
        break;
    case 0x20:
    case 0x24:
    case 0x28:
        model_violation("write to a read-only register");
        break;
    case 0x2C:
        if ((v & 0xF) == 1 && (p->cmd & 1))
            model_violation("COMRESET while ST is set");
        if ((p->sctl & 0xF) == 1 && (v & 0xF) == 0) {
            p->comresets++;
            p->stuck_cr = p->stuck_busy = false;
            if (!p->stuck_hard)
                p->cmd &= ~0x8000u;
            port_reset_device(p);
        }
        p->sctl = v;
        break;
    case 0x30:
        p->serr &= ~v;
        break;
    case 0x38:
        if (!(p->cmd & 1) || !(p->cmd & 0x8000))
            model_violation("command issued while the port is stopped");
        p->ci |= v;
        p->tfd |= 0x80;
        p->running = true;
        p->polls_left = machine.latency;
        break;
    default:
        if (r)
            *r = v;
    }
}

static uint32_t hba_read(struct model_hba *h, uint32_t reg)
{
    if (h->dead)
        return UINT32_MAX;
    if (reg >= 0x100) {
        unsigned n = (reg - 0x100) / 0x80;
        if (n >= MODEL_PORTS)
            return 0;
        struct model_port *p = &h->port[n];
        if (p->link_at_us && env_clock_us >= p->link_at_us) {
            p->link_at_us = 0;
            port_reset_device(p);
        }
        if ((reg & 0x7F) == 0x38)
            port_tick(h, p);
        uint32_t *r = port_register(p, reg & 0x7F);
        if (!r)
            return 0;
        uint32_t v = *r;
        if (r == &p->tfd && p->stuck_busy)
            v |= 0x80;
        return v;
    }
    switch (reg) {
    case 0x00:
        return h->cap;
    case 0x04:
        return h->ghc;
    case 0x0C:
        return h->pi;
    case 0x10:
        return h->vs;
    case 0x24:
        return h->cap2;
    case 0x28:
        if ((h->bohc & 2) && !h->firmware_clings)
            h->bohc &= ~1u;
        return h->bohc;
    default:
        return 0;
    }
}

static void hba_write(struct model_hba *h, uint32_t reg, uint32_t v)
{
    if (h->dead)
        return;
    if (reg >= 0x100) {
        unsigned n = (reg - 0x100) / 0x80;
        if (n >= MODEL_PORTS) {
            model_violation("write to a port that is not in PI");
            return;
        }
        struct model_port *p = &h->port[n];
        if (h->staggered && (reg & 0x7F) == 0x18 && (v & 2) && !(p->cmd & 2) && p->disk.present)
            p->link_at_us = env_clock_us + 10000;
        port_write(p, reg & 0x7F, v);
        return;
    }
    if (reg == 0x04) {
        h->ghc = v & 0x80000002u;
        if (v & 1) {
            h->resets++;
            h->ghc = 0;
            for (unsigned i = 0; i < MODEL_PORTS; i++) {
                struct model_port *p = &h->port[i];
                p->cmd = 6;
                p->stuck_cr = p->stuck_hard = p->stuck_busy = false;
                p->ci = p->is = p->ie = p->serr = 0;
                p->running = false;
            }
        }
    } else if (reg == 0x28) {
        h->bohc = v;
    }
}

/* ---- IDE ------------------------------------------------------------------------------------------------------- */

void machine_add_ide(uint16_t bdf, bool native)
{
    uint8_t *config = machine_pci_add(bdf, 0x8086, 0x7010, native ? 0x010185 : 0x010180, 0);
    static const uint16_t native_bar[4] = {0xC001, 0xC011, 0xC021, 0xC031};
    machine.bm_base = 0xC040;
    uint32_t bar4 = 0xC041;
    memcpy(config + 0x20, &bar4, 4);
    for (int i = 0; i < 2; i++) {
        machine.ide_base[i] = i ? 0x170 : 0x1F0;
        machine.ide_control[i] = i ? 0x376 : 0x3F6;
        machine.ide[i].status = 0x50;
        machine.ide[i].bm_status = 0x60;
        if (native) {
            machine.ide_base[i] = (uint16_t)(native_bar[2 * i] - 1);
            machine.ide_control[i] = (uint16_t)(native_bar[2 * i + 1] + 1);
            uint32_t a = native_bar[2 * i], b = native_bar[2 * i + 1];
            memcpy(config + 0x10 + 8 * i, &a, 4);
            memcpy(config + 0x14 + 8 * i, &b, 4);
        }
    }
}

static struct model_disk *selected(struct model_channel *c)
{
    return &c->disk[c->device >> 4 & 1];
}

static bool channel_empty(const struct model_channel *c)
{
    return !c->disk[0].present && !c->disk[1].present;
}

static void ide_end(struct model_channel *c, enum outcome o)
{
    c->pending = false;
    c->bm_status = (uint8_t)(o == HANG ? c->bm_status : c->bm_status & ~1);
    switch (o) {
    case DONE:
        c->status = 0x50;
        break;
    case ERROR:
        c->status = 0x51;
        c->error = 4;
        break;
    case FAULT:
        c->status = 0x70;
        break;
    case HANG:
        c->status = 0xD0;
        break;
    case VANISH:
        selected(c)->present = false;
        break;
    }
    if (c->bm_error_next) {
        c->bm_error_next = false;
        c->bm_status |= 2;
    }
}

static void ide_execute(struct model_channel *c)
{
    struct piece pieces[512];
    size_t n = 0;
    uint32_t moved;
    struct model_disk *d = selected(c);
    uint8_t command = d->last_command;
    bool data = command == 0x25 || command == 0x35 || command == 0xC8 || command == 0xCA;
    bool read = command == 0x25 || command == 0xC8, ext = command == 0x25 || command == 0x35;
    if (data && !(c->bm_command & 1))
        return; /* waits for the bus master */
    if (data && read != ((c->bm_command & 8) != 0))
        model_violation("bus master direction against the command");
    if (!(c->control & 2))
        model_violation("command with interrupts on");
    for (bool last = !data; !last && n < 512; n++) {
        uint32_t base;
        uint16_t bytes, flags;
        uint8_t *prd = (uint8_t *)(uintptr_t)(c->bm_table + 8 * n);
        memcpy(&base, prd, 4);
        memcpy(&bytes, prd + 4, 2);
        memcpy(&flags, prd + 6, 2);
        pieces[n].at = (uint8_t *)(uintptr_t)base;
        pieces[n].bytes = bytes ? bytes : 65536;
        if ((base & 0xFFFF) + pieces[n].bytes > 65536 || (base & 1))
            model_violation("PRD crosses 64 KiB or is odd");
        last = flags & 0x8000;
    }
    uint64_t lba = (uint64_t)c->lba[0][0] | (uint64_t)c->lba[1][0] << 8 | (uint64_t)c->lba[2][0] << 16;
    uint32_t count = c->count[0];
    if (ext) {
        lba |= (uint64_t)c->lba[0][1] << 24 | (uint64_t)c->lba[1][1] << 32 | (uint64_t)c->lba[2][1] << 40;
        count |= (uint32_t)c->count[1] << 8;
    } else {
        lba |= (uint64_t)(c->device & 0xF) << 24;
    }
    if (data && !(c->device & 0x40))
        model_violation("LBA bit missing");
    if (count == 0)
        count = ext ? 65536 : 256;
    ide_end(c, disk_run(d, command, lba, count, pieces, n, &moved));
}

static void ide_command(struct model_channel *c, uint8_t command)
{
    struct model_disk *d = selected(c);
    if (!d->present)
        return;
    if (c->status & 0x88)
        model_violation("command while busy");
    d->last_command = command;
    if (command == 0xEC) {
        if (d->atapi || d->identify_fails) {
            c->status = 0x51;
            c->error = 4;
            c->lba[1][0] = d->atapi ? 0x14 : 0;
            c->lba[2][0] = d->atapi ? 0xEB : 0;
            return;
        }
        disk_identify(d, c->pio);
        c->pio_at = 0;
        c->status = 0x58;
        return;
    }
    c->status = 0xD0;
    c->pending = true;
    c->polls_left = machine.latency;
}

static uint8_t ide_status(struct model_channel *c)
{
    if (channel_empty(c))
        return 0xFF;
    if (!selected(c)->present)
        return 0;
    if (c->stuck_busy || c->dead)
        return 0x80;
    if (c->pending && --c->polls_left < 0)
        ide_execute(c);
    return selected(c)->present ? c->status : 0;
}

static uint8_t ide_in(struct model_channel *c, unsigned reg)
{
    if (reg == 7)
        return ide_status(c);
    if (!selected(c)->present)
        return channel_empty(c) ? 0xFF : 0;
    unsigned deep = c->control >> 7;
    uint8_t regs[7] = {0, c->error, c->count[deep], c->lba[0][deep], c->lba[1][deep], c->lba[2][deep], c->device};
    return regs[reg];
}

static void ide_out(struct model_channel *c, unsigned reg, uint8_t v)
{
    if (reg == 2) {
        c->count[1] = c->count[0];
        c->count[0] = v;
    } else if (reg >= 3 && reg <= 5) {
        c->lba[reg - 3][1] = c->lba[reg - 3][0];
        c->lba[reg - 3][0] = v;
    } else if (reg == 6) {
        c->device = v;
    } else if (reg == 7) {
        ide_command(c, v);
    }
}

static void ide_control(struct model_channel *c, uint8_t v)
{
    if ((c->control & 4) && !(v & 4)) {
        c->resets++;
        c->stuck_busy = false;
        c->pending = false;
        c->status = 0x50;
        c->device = 0;
    }
    c->control = v;
}

/* ---- the buses ------------------------------------------------------------------------------------------------- */

void machine_reset(void)
{
    memset(&machine, 0, sizeof machine);
    machine.latency = 3;
    machine_pci_add(0, 0x8086, 0x1237, 0x060000, 0);
}

uint8_t *machine_pci_add(uint16_t bdf, uint16_t vendor, uint16_t device, uint32_t class_code, uint8_t header_type)
{
    ck_assert_uint_lt(machine.pci_count, MODEL_PCI);
    uint8_t *c = machine.pci[machine.pci_count].config;
    machine.pci[machine.pci_count++].bdf = bdf;
    memcpy(c, &vendor, 2);
    memcpy(c + 2, &device, 2);
    class_code <<= 8;
    memcpy(c + 8, &class_code, 4);
    c[0xE] = header_type;
    return c;
}

static uint8_t *config_byte(uint16_t port)
{
    for (unsigned i = 0; i < machine.pci_count; i++)
        if ((machine.cf8 >> 31) && machine.pci[i].bdf == (machine.cf8 >> 8 & 0xFFFF))
            return &machine.pci[i].config[(machine.cf8 & 0xFC) + (port & 3)];
    return NULL;
}

static uint32_t config_in(uint16_t port, unsigned bytes)
{
    uint32_t v = UINT32_MAX;
    uint8_t *c = config_byte(port);
    if (c)
        memcpy(&v, c, bytes);
    return v;
}

static void config_out(uint16_t port, unsigned bytes, uint32_t v)
{
    uint8_t *c = config_byte(port);
    if (c)
        memcpy(c, &v, bytes);
}

static bool is_config(uint16_t port)
{
    return port >= 0xCFC && port <= 0xCFF;
}

/* Which channel a port belongs to, and where in it: 0-7 command block, 8 control, 16-23 bus master. */
static struct model_channel *ide_at(uint16_t port, unsigned *where)
{
    for (unsigned i = 0; i < 2 && machine.bm_base; i++) {
        if (port >= machine.ide_base[i] && port < machine.ide_base[i] + 8)
            *where = port - machine.ide_base[i];
        else if (port == machine.ide_control[i])
            *where = 8;
        else if (port >= machine.bm_base + 8 * i && port < machine.bm_base + 8 * i + 8)
            *where = port - (machine.bm_base + 8 * i) + 16;
        else
            continue;
        return &machine.ide[i];
    }
    return NULL;
}

uint8_t io_in8(uint16_t port)
{
    unsigned where;
    struct model_channel *c = ide_at(port, &where);
    if (is_config(port))
        return (uint8_t)config_in(port, 1);
    if (!c)
        return 0xFF;
    if (where < 8)
        return ide_in(c, where);
    return where == 8 ? ide_status(c) : where == 16 ? c->bm_command : where == 18 ? c->bm_status : 0;
}

uint16_t io_in16(uint16_t port)
{
    unsigned where;
    struct model_channel *c = ide_at(port, &where);
    if (is_config(port))
        return (uint16_t)config_in(port, 2);
    if (!c || where != 0 || c->pio_at >= 256)
        return 0xFFFF;
    uint16_t v = c->pio[c->pio_at++];
    if (c->pio_at == 256)
        c->status = 0x50;
    return v;
}

uint32_t io_in32(uint16_t port)
{
    unsigned where;
    if (port == 0xCF8)
        return machine.cf8;
    if (is_config(port))
        return config_in(port, 4);
    struct model_channel *c = ide_at(port, &where);
    return c && where == 20 ? c->bm_table : UINT32_MAX;
}

void io_out8(uint16_t port, uint8_t v)
{
    unsigned where;
    struct model_channel *c = ide_at(port, &where);
    if (is_config(port)) {
        config_out(port, 1, v);
    } else if (!c) {
        return;
    } else if (where < 8) {
        ide_out(c, where, v);
    } else if (where == 8) {
        ide_control(c, v);
    } else if (where == 16) {
        if ((v & 1) && !(c->bm_command & 1))
            c->bm_status |= 1;
        if (!(v & 1))
            c->bm_status &= (uint8_t)~1;
        c->bm_command = v;
    } else if (where == 18) {
        c->bm_status = (uint8_t)((c->bm_status & 1) | (v & 0x60) | (c->bm_status & ~v & 6));
    }
}

void io_out16(uint16_t port, uint16_t v)
{
    if (is_config(port))
        config_out(port, 2, v);
}

void io_out32(uint16_t port, uint32_t v)
{
    unsigned where;
    if (port == 0xCF8) {
        machine.cf8 = v;
        return;
    }
    if (is_config(port)) {
        config_out(port, 4, v);
        return;
    }
    struct model_channel *c = ide_at(port, &where);
    if (c && where == 20)
        c->bm_table = v;
}

static struct model_hba *hba_at(hpa_t where, uint32_t *reg)
{
    for (unsigned i = 0; i < MODEL_HBAS; i++) {
        struct model_hba *h = &machine.hba[i];
        if (h->abar && where.v >= h->abar && where.v < h->abar + 0x1000) {
            *reg = (uint32_t)(where.v - h->abar);
            return h;
        }
    }
    model_violation("MMIO where nothing is");
    return NULL;
}

uint32_t mmio_read32(hpa_t where)
{
    uint32_t reg;
    struct model_hba *h = hba_at(where, &reg);
    return h ? hba_read(h, reg) : UINT32_MAX;
}

void mmio_write32(hpa_t where, uint32_t v)
{
    uint32_t reg;
    struct model_hba *h = hba_at(where, &reg);
    if (h)
        hba_write(h, reg, v);
}

uint64_t mmio_read64(hpa_t where)
{
    return (uint64_t)mmio_read32((hpa_t){where.v + 4}) << 32 | mmio_read32(where);
}

void mmio_write64(hpa_t where, uint64_t v)
{
    mmio_write32(where, (uint32_t)v);
    mmio_write32((hpa_t){where.v + 4}, (uint32_t)(v >> 32));
}
