/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shell. What newlib expects from a system below it. Sojourn uses string functions and vsniprintf only; those
   never allocate, exit or do I/O. Should one of these functions be reached all the same, that is our own bug, and
   it panics with its name. What newlib keeps for each thread, `errno` above all, is the host's one here: its own
   initialised one would be a thirtieth of the image's data.
   The allocator's entry points are defined here so that the linker does not take newlib's allocator. */
#include "log.h"
#include "types.h"

#include <reent.h>

#define UNUSED __attribute__((unused))

static struct _reent of_host;
extern struct _reent *_impure_ptr;
struct _reent *_impure_ptr = &of_host;

/* Each is called from newlib only; the declaration keeps -Wmissing-prototypes useful elsewhere. */
#define LOUD(type, name, ...)                                                                                          \
    type name(__VA_ARGS__);                                                                                            \
    _Noreturn type name(__VA_ARGS__)                                                                                   \
    {                                                                                                                  \
        panic("newlib called %s, which Sojourn does not have", #name);                                                 \
    }

LOUD(void *, _malloc_r, struct _reent *reent UNUSED, size_t bytes UNUSED)
LOUD(void *, _calloc_r, struct _reent *reent UNUSED, size_t count UNUSED, size_t bytes UNUSED)
LOUD(void *, _realloc_r, struct _reent *reent UNUSED, void *old UNUSED, size_t bytes UNUSED)
LOUD(void, _free_r, struct _reent *reent UNUSED, void *old UNUSED)
LOUD(void *, malloc, size_t bytes UNUSED)
LOUD(void *, calloc, size_t count UNUSED, size_t bytes UNUSED)
LOUD(void *, realloc, void *old UNUSED, size_t bytes UNUSED)
LOUD(void, free, void *old UNUSED)
LOUD(void *, sbrk, ptrdiff_t bytes UNUSED)
LOUD(void, abort, void)
LOUD(void, _exit, int status UNUSED)
LOUD(int, kill, int pid UNUSED, int number UNUSED)
LOUD(int, getpid, void)
LOUD(int, open, const char *path UNUSED, int flags UNUSED, int mode UNUSED)
LOUD(int, close, int file UNUSED)
LOUD(int, fstat, int file UNUSED, void *status UNUSED)
LOUD(int, isatty, int file UNUSED)
LOUD(long, lseek, int file UNUSED, long offset UNUSED, int whence UNUSED)
LOUD(long, read, int file UNUSED, void *buffer UNUSED, size_t bytes UNUSED)
LOUD(long, write, int file UNUSED, const void *buffer UNUSED, size_t bytes UNUSED)
LOUD(void, __assert_func, const char *file UNUSED, int line UNUSED, const char *function UNUSED,
     const char *text UNUSED)
