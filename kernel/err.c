/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. Names and texts of the error codes. */
#include "err.h"

static const char *const names[ERR_COUNT] = {
#define X(code, text) [code] = #code,
    ERR_LIST(X)
#undef X
};

static const char *const texts[ERR_COUNT] = {
#define X(code, text) [code] = text,
    ERR_LIST(X)
#undef X
};

const char *err_name(enum err e)
{
    return (unsigned)e < ERR_COUNT ? names[e] : names[E_INTERNAL];
}

const char *err_text(enum err e)
{
    return (unsigned)e < ERR_COUNT ? texts[e] : texts[E_INTERNAL];
}
