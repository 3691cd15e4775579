/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Names of exit kinds, as status, log and dumps show them. */
#include "backend.h"

static const char *const names[EXIT_KIND_COUNT] = {
#define X(kind, name) [kind] = name,
    EXIT_LIST(X)
#undef X
};

const char *exit_name(enum exit_kind kind)
{
    return (unsigned)kind < EXIT_KIND_COUNT ? names[kind] : "unknown";
}
