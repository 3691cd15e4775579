/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Host program. sojstore extract: the file around sojstore_core.c. Memory goes out page by page as the store gives it,
   with write calls: a full disk is then an error, not a signal, and a page of zeros is never touched and stays a hole
   on every file system. Then the file is mapped for reading, and the guest's page tables are read from it. UNITS are in
   sojstore.c. */
#include "bits.h"
#include "ckpt/pages.h"
#include "tools/sojstore.h"
#include "tools/sojstore_core.h"
#include "tools/sojstore_host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CPUS_MAX 64u
#define CANDIDATES_MAX 8u /* pages that may be VMCOREINFO: the running kernel's, and those of earlier ones */

struct extraction {
    struct core_image image;
    struct core_loads loads;
    struct vcpu_state *cpus; /* cpu_count */
    uint32_t cpu_count;
    uint64_t candidate[CANDIDATES_MAX]; /* guest-physical */
    uint32_t candidates;

    int fd;
    int error;        /* errno of the first write that failed */
    uint64_t pending; /* guest-physical address of the page in bounce; CORE_NOWHERE: none */
    uint8_t bounce[PAGE_BYTES] ALIGNED(64);
};

/* ---- memory ---- */

static bool write_all(int fd, const void *bytes, size_t count, uint64_t at)
{
    const uint8_t *p = bytes;
    while (count) {
        ssize_t n = pwrite(fd, p, count, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        at += (uint64_t)n;
        count -= (size_t)n;
    }
    return true;
}

static bool flush_page(struct extraction *x)
{
    if (x->pending != CORE_NOWHERE && !page_is_zero(x->bounce)) {
        uint64_t at = CORE_MEMORY_AT + core_offset(&x->image, x->pending);
        if (!write_all(x->fd, x->bounce, PAGE_BYTES, at)) {
            x->error = errno ? errno : EIO;
            return false;
        }
        if (core_page_is_vmcoreinfo(x->bounce) && x->candidates < CANDIDATES_MAX)
            x->candidate[x->candidates++] = x->pending;
        memset(x->bounce, 0, PAGE_BYTES);
    }
    x->pending = CORE_NOWHERE;
    return true;
}

/* ckpt_load_ram asks for each page once, along a whole chain, too: the one before is complete. */
static void *next_page(void *ctx, gpa_t gpa)
{
    struct extraction *x = ctx;
    if (!flush_page(x))
        return NULL;
    if (core_offset(&x->image, gpa.v) == CORE_NOWHERE)
        return NULL;
    x->pending = gpa.v;
    return x->bounce;
}

/* The whole memory, also of a checkpoint that builds on others. */
static bool load_memory(struct extraction *x, const struct disk_entry *e, const struct ckpt_layout *layout)
{
    char what[48];
    bool touched;
    size_t seen_bytes;
    uint8_t *seen = seen_alloc(layout, e->id, &seen_bytes);
    if (!seen)
        return false;
    enum err err = verify_checkpoint(&store, e->id);
    if (!err) {
        snprintf(what, sizeof what, "extracting checkpoint %" PRIu64, e->id);
        x->pending = CORE_NOWHERE;
        err = ckpt_load_ram(&store, e->id, next_page, x, seen, seen_bytes, &touched, progress_begin(what));
        progress_end();
    }
    free(seen);
    if (!x->error && !err)
        (void)flush_page(x);
    if (x->error)
        say("%s: %s; make room, or write it elsewhere", opt.to, strerror(x->error));
    else if (err && fault_is_below(&store, e))
        say("%s: checkpoint %" PRIu64 " builds on one that is damaged: %s (%s); take another one: sojstore list %s",
            opt.path, e->id, err_text(err), err_name(err), opt.path);
    else if (err)
        say("%s: checkpoint %" PRIu64 " is damaged: %s (%s); take another one: sojstore list %s", opt.path, e->id,
            err_text(err), err_name(err), opt.path);
    return !x->error && !err;
}

/* ---- what the headers need ---- */

static bool read_cpus(struct extraction *x, const struct disk_entry *e, uint32_t count)
{
    if (count == 0 || count > CPUS_MAX) {
        say("%s: checkpoint %" PRIu64 " is of %u CPUs; use the sojstore that belongs to it", opt.path, e->id, count);
        return false;
    }
    x->cpu_count = count;
    x->cpus = aligned_alloc(64, count * sizeof *x->cpus);
    for (uint32_t i = 0; x->cpus && i < count; i++) {
        char name[16];
        size_t bytes = 0;
        uint16_t version = 0;
        snprintf(name, sizeof name, "cpu%u", i);
        enum err err = ckpt_read_section(&store, e->id, name, &x->cpus[i], sizeof *x->cpus, &bytes, &version);
        if (err == E_NOTFOUND) {
            say("%s: checkpoint %" PRIu64 " has no state of CPU %u; take another one: sojstore list %s", opt.path,
                e->id, i, opt.path);
            return false;
        }
        if (!err && (version != VCPU_STATE_VERSION || bytes != sizeof *x->cpus))
            err = E_STOREVERSION;
        if (err) {
            say("%s: checkpoint %" PRIu64 ", CPU %u: %s; %s", opt.path, e->id, i, err_text(err),
                err == E_STOREVERSION || err == E_NOMEM ? "use the sojstore that belongs to it"
                                                        : "take another one, see: sojstore list");
            return false;
        }
    }
    if (!x->cpus)
        say("not enough memory; close other programs");
    return x->cpus != NULL;
}

/* Page tables, VMCOREINFO and headers; memory is in the file and mapped. */
static bool write_headers(struct extraction *x, uint64_t id)
{
    struct core_tables tables = core_find_tables(&x->image, x->cpus, x->cpu_count);
    struct core_content c = {.image = &x->image, .loads = &x->loads, .cpus = x->cpus, .cpu_count = x->cpu_count};
    x->loads.most = CORE_LOADS_MAX;
    x->loads.room = 2 * CORE_LOADS_MAX;
    x->loads.load = malloc(x->loads.room * sizeof *x->loads.load);
    uint8_t *headers = malloc(CORE_MEMORY_AT);
    bool ok = x->loads.load && headers;
    if (ok) {
        core_walk(&x->image, tables, &x->loads);
        for (uint32_t i = 0; i < x->candidates && !c.vmcoreinfo; i++)
            c.vmcoreinfo = core_vmcoreinfo(&x->image, tables, x->candidate[i], &c.vmcoreinfo_bytes);
        size_t bytes = core_headers(&c, headers, CORE_MEMORY_AT);
        ok = bytes && write_all(x->fd, headers, bytes, 0);
        if (!ok)
            say("%s: the headers cannot be written: %s; make room, or write it elsewhere", opt.to,
                bytes ? strerror(errno) : "too long");
    } else {
        say("not enough memory; close other programs");
    }
    free(headers);
    if (!ok)
        return false;
    if (!tables.levels)
        say("%s: note: no CPU was in 64-bit paging; the file has physical addresses only", opt.to);
    else if (!x->loads.count)
        say("%s: note: the page tables at %#" PRIx64 " show no kernel; the file has physical addresses only", opt.to,
            tables.root);
    if (x->loads.dropped)
        say("%s: note: the shortest %" PRIu64
            " runs of kernel addresses did not fit; their memory is there by physical "
            "address",
            opt.to, x->loads.dropped);
    if (x->loads.stopped)
        say("%s: note: the guest's page tables do not end; higher kernel addresses are missing, physical ones are "
            "there",
            opt.to);
    printf("%s: checkpoint %" PRIu64 ", %u CPUs, %" PRIu64 " bytes of memory, %u runs of kernel addresses%s\n", opt.to,
           id, x->cpu_count, x->image.bytes, x->loads.count, c.vmcoreinfo ? ", VMCOREINFO" : "");
    return true;
}

static bool fill_file(struct extraction *x, const struct disk_entry *e)
{
    static struct disk_meta meta;
    enum err err = ckpt_read_meta(&store, e->id, &meta);
    if (err) {
        say("%s: checkpoint %" PRIu64 ": %s; take another one: sojstore list %s", opt.path, e->id, err_text(err),
            opt.path);
        return false;
    }
    core_plan(&x->image, &meta.layout);
    if (!read_cpus(x, e, meta.layout.cpu_count))
        return false;
    if (x->image.bytes > INT64_MAX - CORE_MEMORY_AT || ftruncate(x->fd, (off_t)(CORE_MEMORY_AT + x->image.bytes))) {
        say("%s: a file of %" PRIu64 " bytes cannot be made here: %s; write it to another file system", opt.to,
            CORE_MEMORY_AT + x->image.bytes, strerror(errno));
        return false;
    }
    if (!load_memory(x, e, &meta.layout))
        return false;
    void *memory = mmap(NULL, x->image.bytes, PROT_READ, MAP_SHARED, x->fd, CORE_MEMORY_AT);
    if (memory == MAP_FAILED) {
        say("%s: cannot be mapped: %s; write it to another file system", opt.to, strerror(errno));
        return false;
    }
    x->image.memory = memory;
    bool ok = write_headers(x, e->id);
    munmap(memory, x->image.bytes);
    return ok;
}

/* A new file for the core; -1 after a message. What --force replaces is a file, and never the store. */
static int open_output(void)
{
    struct stat st;
    if (!lstat(opt.to, &st)) {
        if (!opt.force) {
            say("%s: exists; --force replaces it", opt.to);
            return -1;
        }
        if (!S_ISREG(st.st_mode) || host_same_file(opt.to, opt.path)) {
            say("%s: is %s; name another file", opt.to, S_ISREG(st.st_mode) ? "the store itself" : "not a plain file");
            return -1;
        }
        if (unlink(opt.to)) {
            say("%s: cannot be replaced: %s; name another file", opt.to, strerror(errno));
            return -1;
        }
    }
    int fd = open(opt.to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* a guest's memory holds its secrets */
    if (fd < 0)
        say("%s: cannot be made: %s; name another file", opt.to, strerror(errno));
    return fd;
}

int do_extract(void)
{
    static struct extraction x;
    const struct disk_entry *e = find_checkpoint();
    if (!e)
        return EXIT_FAILURE;
    memset(&x, 0, sizeof x);
    x.fd = open_output();
    if (x.fd < 0)
        return EXIT_FAILURE;
    bool ok = fill_file(&x, e);
    if (close(x.fd) && ok) {
        say("%s: %s; make room, or write it elsewhere", opt.to, strerror(errno));
        ok = false;
    }
    if (!ok)
        unlink(opt.to);
    free(x.cpus);
    free(x.loads.load);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
