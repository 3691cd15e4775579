/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore show: one checkpoint in detail, for people and as JSON. UNITS are in sojstore.c. */
#include "bits.h"
#include "ckpt/store_text.h"
#include "tools/sojstore.h"
#include "vcpu_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTIONS_MAX 160u /* 64 CPUs and more device classes than there are */
#define CPUS_MAX 64u

#define CR0_PE BIT(0)
#define CR0_PG BIT(31)
#define RFLAGS_VM BIT(17)
#define EFER_LMA BIT(10)

struct shown_cpu {
    uint32_t number;
    uint64_t rip, cr3;
    const char *mode, *activity;
    unsigned privilege;
    bool paging;
};

/* What the records in front of the memory say. */
struct shown {
    struct {
        char name[32];
        uint32_t version, bytes;
    } section[SECTIONS_MAX];
    struct shown_cpu cpu[CPUS_MAX];
    uint32_t sections, cpus;
    bool more; /* than fit; never seen */
};

static const char *cpu_mode(const struct vcpu_state *c)
{
    uint32_t rights = c->seg[SREG_CS].access_rights;
    if (!(c->cr0 & CR0_PE))
        return "real";
    if (c->rflags & RFLAGS_VM)
        return "virtual-8086";
    if (c->msr_present & BIT(VMSR_EFER) && c->msr[VMSR_EFER] & EFER_LMA)
        return rights & AR_L ? "64-bit" : "compatibility";
    return rights & AR_DB ? "32-bit" : "16-bit";
}

static const char *cpu_activity(uint32_t activity)
{
    switch (activity) {
    case ACTIVITY_ACTIVE:
        return "active";
    case ACTIVITY_HLT:
        return "halted";
    case ACTIVITY_SHUTDOWN:
        return "shutdown";
    case ACTIVITY_WAIT_SIPI:
        return "waiting for SIPI";
    default:
        return "unknown";
    }
}

/* A name from the disk, for a terminal or a JSON string. */
static const char *clean(const char *name, size_t len, char out[32])
{
    size_t n = 0;
    for (; n < len && n < 31 && name[n]; n++)
        out[n] = name[n] < ' ' || name[n] > '~' || name[n] == '"' || name[n] == '\\' ? '?' : name[n];
    out[n] = 0;
    return out;
}

static void take_cpu(struct shown *s, const char *name, const void *data)
{
    static struct vcpu_state c; /* data has no alignment */
    memcpy(&c, data, sizeof c);
    s->cpu[s->cpus++] = (struct shown_cpu){
        .number = (uint32_t)strtoul(name + 3, NULL, 10),
        .rip = c.rip,
        .cr3 = c.cr3,
        .mode = cpu_mode(&c),
        .activity = cpu_activity(c.activity),
        .privilege = c.seg[SREG_SS].access_rights >> AR_DPL_SHIFT & 3,
        .paging = (c.cr0 & CR0_PG) != 0,
    };
}

static enum err show_section(void *ctx, const struct disk_record *record, const void *data)
{
    struct shown *s = ctx;
    if (s->sections == SECTIONS_MAX) {
        s->more = true;
        return E_OK;
    }
    char *name = s->section[s->sections].name;
    clean(record->name, sizeof record->name, name);
    s->section[s->sections].version = record->version;
    s->section[s->sections].bytes = record->payload_bytes;
    s->sections++;
    if (!strncmp(name, "cpu", 3) && name[3] >= '0' && name[3] <= '9' && s->cpus < CPUS_MAX &&
        record->version == VCPU_STATE_VERSION && record->payload_bytes == sizeof(struct vcpu_state))
        take_cpu(s, name, data);
    return E_OK;
}

static enum err stop_at_pages(void *ctx, uint64_t first, uint32_t count, const uint8_t *pages)
{
    (void)ctx, (void)first, (void)count, (void)pages;
    return E_ALREADY;
}

/* As in the parent; 0 in a full one. */
static uint64_t unchanged_pages(const struct disk_entry *e, const struct ckpt_layout *l)
{
    return format_layout_pages(l) - e->pages - e->zero_pages;
}

static void print_json(const struct disk_entry *e, const struct ckpt_layout *l, const struct shown *s)
{
    char line[512], text[32];
    int n = store_entry_json(e, line, sizeof line);
    printf("%.*s,\"zero_pages\":%" PRIu64, n - 1, line, e->zero_pages); /* the object, left open */
    printf(",\"unchanged_pages\":%" PRIu64 ",\"chain\":%u", unchanged_pages(e, l), store_chain_length(&store, e->id));
    printf(",\"encrypted\":%s", store.sealed ? "true" : "false");
    printf(",\"backend\":\"%s\"", clean(l->backend, sizeof l->backend, text));
    printf(",\"cpus\":%u,\"cpu_vendor\":\"%s\"", l->cpu_count, clean(l->cpu_vendor, sizeof l->cpu_vendor, text));
    printf(",\"cpu_signature\":%u,\"ram\":[", l->cpu_signature);
    for (uint32_t i = 0; i < l->ram_count; i++)
        printf("%s{\"base\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", i ? "," : "", l->ram[i].base, l->ram[i].bytes);
    printf("],\"hidden\":{\"base\":%" PRIu64 ",\"bytes\":%" PRIu64 "},\"cpu\":[", l->hidden.base, l->hidden.bytes);
    for (uint32_t i = 0; i < s->cpus; i++) {
        const struct shown_cpu *c = &s->cpu[i];
        /* Addresses as text: JSON readers keep 53 bits of a number. */
        printf("%s{\"number\":%u,\"rip\":\"%#" PRIx64 "\",\"cr3\":\"%#" PRIx64 "\",\"mode\":\"%s\",\"paging\":%s,"
               "\"privilege\":%u,\"activity\":\"%s\"}",
               i ? "," : "", c->number, c->rip, c->cr3, c->mode, c->paging ? "true" : "false", c->privilege,
               c->activity);
    }
    printf("],\"sections\":[");
    for (uint32_t i = 0; i < s->sections; i++)
        printf("%s{\"name\":\"%s\",\"version\":%u,\"bytes\":%u}", i ? "," : "", s->section[i].name,
               s->section[i].version, s->section[i].bytes);
    puts("]}");
}

static void print_text(const struct disk_entry *e, const struct ckpt_layout *l, const struct shown *s)
{
    char line[512], backend[32], vendor[32];
    store_entry_line(e, line, sizeof line);
    printf("%s\n%s\n", store_entry_heading, line);
    printf("  pages   %" PRIu64 " stored, %" PRIu64 " zero, %" PRIu64 " unchanged; %" PRIu64 " bytes in the store\n",
           e->pages, e->zero_pages, unchanged_pages(e, l), store_entry_bytes(e));
    if (e->parent)
        printf("  chain   builds on %" PRIu64 "; a restore reads %u checkpoints\n", e->parent,
               store_chain_length(&store, e->id));
    printf("  backend %s, %u CPU, %s signature %#x\n", clean(l->backend, sizeof l->backend, backend), l->cpu_count,
           clean(l->cpu_vendor, sizeof l->cpu_vendor, vendor), l->cpu_signature);
    for (uint32_t i = 0; i < l->ram_count; i++)
        printf("  ram     %#" PRIx64 " + %#" PRIx64 "\n", l->ram[i].base, l->ram[i].bytes);
    printf("  hidden  %#" PRIx64 " + %#" PRIx64 "\n", l->hidden.base, l->hidden.bytes);
    for (uint32_t i = 0; i < s->cpus; i++) {
        const struct shown_cpu *c = &s->cpu[i];
        printf("  cpu %-3u rip %#018" PRIx64 ", cr3 %#" PRIx64 ", %s, paging %s, privilege %u, %s\n", c->number, c->rip,
               c->cr3, c->mode, c->paging ? "on" : "off", c->privilege, c->activity);
    }
    for (uint32_t i = 0; i < s->sections; i++)
        printf("  section %-8s version %u, %u bytes\n", s->section[i].name, s->section[i].version, s->section[i].bytes);
    if (s->more)
        puts("  and more sections");
    if (store.sealed)
        printf("  encrypted%s\n", store_locked(&store) ? "; CPUs and sections are shown with --key-file" : "");
}

int do_show(void)
{
    static struct shown s;
    static struct disk_meta meta;
    struct ckpt_visitor v = {.section = show_section, .pages = stop_at_pages, .ctx = &s};
    const struct disk_entry *e = find_checkpoint();
    if (!e)
        return EXIT_FAILURE;
    memset(&s, 0, sizeof s);
    enum err err = ckpt_read_meta(&store, e->id, &meta);
    if (!err)
        err = ckpt_walk(&store, e, &v, NULL);
    if (err && err != E_ALREADY && err != E_KEY) {
        say("%s: checkpoint %" PRIu64 ": %s; look closer with: sojstore verify %s %" PRIu64, opt.path, e->id,
            err_text(err), opt.path, e->id);
        return EXIT_FAILURE;
    }
    (opt.json ? print_json : print_text)(e, &meta.layout, &s);
    return EXIT_SUCCESS;
}
