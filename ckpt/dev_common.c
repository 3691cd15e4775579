/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pure. See dev_common.h. */
#include "ckpt/dev_common.h"

#include "str.h"

enum err dev_refuse(enum err code, char *why, size_t why_len, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str_vformat(why, why_len, fmt, args);
    va_end(args);
    return code;
}

enum err dev_head_check(const struct dev_head *head, uint16_t version, size_t bytes, char *why, size_t why_len)
{
    if (head->version != version)
        return dev_refuse(E_STOREVERSION, why, why_len, "state version %u, this version reads %u", head->version,
                          version);
    if (head->bytes != bytes || head->zero)
        return dev_refuse(E_DEVICE, why, why_len, "state says %u bytes, expected %u", (unsigned)head->bytes,
                          (unsigned)bytes);
    return E_OK;
}
