/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. See load.h. The check collects the sections on the way of the one verifying walk over the checkpoint,
   which goes on over what it builds on; so what the classes judge, and later restore, is what was hashed. */
#include "ckpt/load.h"

#include "bits.h"
#include "log.h"
#include "str.h"

#include <string.h>

#define STATE_ALIGN 64u

struct collect {
    struct ckpt_restore *r;
    const struct ckpt_layout *here;
    const struct dev_class *const *classes;
    size_t count;
    uint64_t cpus_seen; /* bit i: "cpu<i>" was there */
    char *why;
    size_t why_len;
};

static enum err refuse(struct collect *c, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
static enum err refuse(struct collect *c, enum err e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str_vformat(c->why, c->why_len, fmt, args);
    va_end(args);
    return e;
}

static enum err on_meta(void *ctx, const struct disk_meta *meta)
{
    struct collect *c = ctx;
    c->r->meta = *meta;
    c->r->cpu_count = meta->layout.cpu_count;
    enum err e = ckpt_check_layout(&meta->layout, c->here, c->why, c->why_len);
    if (!e && c->r->seen_bytes < ckpt_seen_bytes(c->here)) /* found later, it would be after the devices stopped */
        return refuse(c, E_NOMEM, "no room to note which pages are restored");
    return e;
}

/* Values that later code uses as a length or a table index. */
static bool cpu_state_sane(const struct vcpu_state *s)
{
    return s->mtrr_count <= VCPU_MTRR_VARIABLE_MAX && s->activity <= ACTIVITY_WAIT_SIPI &&
           s->xsave_bytes <= VCPU_XSAVE_BYTES && s->event.valid <= 1 && s->event.type <= EVENT_SOFT_EXC;
}

static enum err on_cpu(struct collect *c, uint32_t cpu, const struct disk_record *record, const void *data)
{
    if (cpu >= c->here->cpu_count)
        return refuse(c, E_LAYOUT, "the checkpoint has a state for CPU %u, this machine has no such CPU", cpu);
    if (record->version != VCPU_STATE_VERSION || record->payload_bytes != sizeof(struct vcpu_state))
        return refuse(c, E_STOREVERSION, "CPU state version %u of %u bytes; this program has version %u of %lu bytes",
                      record->version, record->payload_bytes, VCPU_STATE_VERSION, sizeof(struct vcpu_state));
    memcpy(&c->r->cpus[cpu], data, sizeof c->r->cpus[cpu]);
    if (!cpu_state_sane(&c->r->cpus[cpu]))
        return refuse(c, E_CHECKSUM, "the state of CPU %u is out of range", cpu);
    c->cpus_seen |= BIT(cpu);
    return E_OK;
}

static const struct dev_class *find_class(const struct collect *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (!strncmp(c->classes[i]->name, name, RECORD_NAME_BYTES))
            return c->classes[i];
    return NULL;
}

static bool collected(const struct ckpt_devices *d, const struct dev_class *class)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->item[i].class == class)
            return true;
    return false;
}

static enum err on_device(struct collect *c, const struct disk_record *record, const void *data)
{
    struct ckpt_devices *d = &c->r->devices;
    const struct dev_class *class = find_class(c, record->name);
    if (!class)
        return refuse(c, E_STOREVERSION, "this program does not know the device state \"%.8s\"", record->name);
    if (!class->present())
        return refuse(c, E_LAYOUT, "the checkpoint has a state for %.8s, this machine has no such device", class->name);
    if (record->version != class->version || record->payload_bytes != class->bytes)
        return refuse(c, E_STOREVERSION, "%.8s: state version %u of %u bytes; this program has version %u of %u bytes",
                      class->name, record->version, record->payload_bytes, class->version, class->bytes);
    if (collected(d, class))
        return refuse(c, E_CHECKSUM, "two states for %.8s", class->name);
    size_t bytes = align_up(class->bytes, STATE_ALIGN);
    if (d->count == CKPT_DEVICES_MAX || bytes > d->room - d->used)
        return refuse(c, E_NOMEM, "the device states do not fit into %lu bytes", d->room);
    uint8_t *state = d->mem + d->used;
    memset(state, 0, bytes);
    memcpy(state, data, class->bytes);
    d->item[d->count].class = class;
    d->item[d->count++].state = state;
    d->used += bytes;
    return E_OK;
}

/* "cpu" and a decimal number below 64; devices have other names. */
static bool cpu_name(const char name[RECORD_NAME_BYTES], uint32_t *cpu)
{
    const size_t prefix = sizeof CKPT_SECTION_CPU - 1;
    if (memcmp(name, CKPT_SECTION_CPU, prefix) || !name[prefix])
        return false;
    *cpu = 0;
    for (size_t i = prefix; i < RECORD_NAME_BYTES && name[i]; i++) {
        if (name[i] < '0' || name[i] > '9')
            return false;
        *cpu = *cpu * 10 + (uint32_t)(name[i] - '0');
    }
    return *cpu < 64;
}

static enum err on_section(void *ctx, const struct disk_record *record, const void *data)
{
    struct collect *c = ctx;
    uint32_t cpu;
    return cpu_name(record->name, &cpu) ? on_cpu(c, cpu, record, data) : on_device(c, record, data);
}

/* The walk is over and all is whole: is it also complete, and do the classes take it? */
static enum err judge(struct collect *c)
{
    struct ckpt_devices *d = &c->r->devices;
    for (uint32_t i = 0; i < c->here->cpu_count; i++)
        if (!(c->cpus_seen & BIT(i)))
            return refuse(c, E_LAYOUT, "the checkpoint has no state for CPU %u", i);
    for (size_t i = 0; i < c->count; i++)
        if (c->classes[i]->present() && !collected(d, c->classes[i]))
            return refuse(c, E_LAYOUT, "the checkpoint has no state for %.8s, which this machine has",
                          c->classes[i]->name);
    for (uint32_t i = 0; i < d->count; i++) {
        const struct dev_class *class = d->item[i].class;
        enum err e = class->check ? class->check(d->item[i].state, c->why, c->why_len) : E_OK;
        if (e)
            return e;
    }
    return E_OK;
}

/* Insertion sort by restore order; equal ones keep the order they were saved in. */
static void sort_devices(struct ckpt_devices *d)
{
    for (uint32_t i = 1; i < d->count; i++) {
        const struct dev_class *class = d->item[i].class;
        uint8_t *state = d->item[i].state;
        uint32_t at = i;
        for (; at && d->item[at - 1].class->order > class->order; at--)
            d->item[at] = d->item[at - 1];
        d->item[at].class = class;
        d->item[at].state = state;
    }
}

enum err ckpt_restore_check(struct ckpt_restore *r, struct store *s, uint64_t id, const struct ckpt_layout *here,
                            const struct dev_class *const *classes, size_t count, char *why, size_t why_len)
{
    struct collect c = {.r = r, .here = here, .classes = classes, .count = count, .why = why, .why_len = why_len};
    struct ckpt_visitor v = {.meta = on_meta, .section = on_section, .ctx = &c};
    const struct disk_entry *entry = store_find(s, id);
    r->step = RESTORE_NONE;
    r->devices.count = 0;
    r->devices.used = 0;
    if (why_len)
        why[0] = 0;
    if (!entry)
        return refuse(&c, E_NOTFOUND, "no such checkpoint");
    if (here->cpu_count > 64)
        return refuse(&c, E_LAYOUT, "more than 64 CPUs");
    enum err e = ckpt_verify_chain(s, entry, &v, r->progress);
    if (!e)
        e = judge(&c);
    if (e) {
        if (why_len && !why[0])
            str_format(why, why_len, "%s", err_text(e));
        log_line("ckpt", "restore of %lu refused: %s: %s", entry->id, err_name(e), why_len ? why : "");
        return e;
    }
    sort_devices(&r->devices);
    r->store = s;
    r->id = entry->id;
    r->step = RESTORE_CHECKED;
    return E_OK;
}

enum err ckpt_restore_memory(struct ckpt_restore *r, ckpt_page_writer page, void *ctx, bool *touched)
{
    *touched = false;
    if (r->step != RESTORE_CHECKED)
        return E_INTERNAL;
    r->step = RESTORE_QUIESCED;
    for (uint32_t i = r->devices.count; i-- > 0;) { /* the last to be restored is the first to be stopped */
        const struct dev_class *class = r->devices.item[i].class;
        enum err e = class->quiesce ? class->quiesce() : E_OK;
        if (e) {
            log_line("ckpt", "quiesce of %.8s: %s", class->name, err_name(e));
            return e;
        }
    }
    enum err e = ckpt_load_ram(r->store, r->id, page, ctx, r->seen, r->seen_bytes, touched, r->progress);
    if (e) {
        log_line("ckpt", "memory of checkpoint %lu: %s, RAM %s", r->id, err_name(e),
                 *touched ? "changed" : "unchanged");
        return e;
    }
    r->step = RESTORE_MEMORY;
    return E_OK;
}

enum err ckpt_restore_devices(struct ckpt_restore *r, const struct dev_restore_clock *clock)
{
    if (r->step != RESTORE_MEMORY)
        return E_INTERNAL;
    for (uint32_t i = 0; i < r->devices.count; i++) {
        const struct dev_class *class = r->devices.item[i].class;
        enum err e = class->restore(r->devices.item[i].state, clock);
        if (e) {
            log_line("ckpt", "restore of %.8s: %s", class->name, err_name(e));
            return e;
        }
    }
    r->step = RESTORE_DEVICES;
    return E_OK;
}

const struct vcpu_state *ckpt_restore_cpu(const struct ckpt_restore *r, uint32_t cpu)
{
    return r->step == RESTORE_DEVICES && cpu < r->cpu_count ? &r->cpus[cpu] : NULL;
}
