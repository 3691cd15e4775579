/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any line from GRUB: options, and the selector of a partition. Nothing is refused, and all that comes out is in range. */
/* UNITS: kernel/options.c ckpt/seal.c drivers/partition.c drivers/block.c */
/* LIBS: -lmbedcrypto */
#include "drivers/partition.h"
#include "fuzz.h"
#include "kernel/options.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct options o;
    char *line = malloc(size + 1); /* exact: a read behind the end is seen */
    memcpy(line, data, size);
    line[size] = 0;
    options_parse(line, &o);
    FUZZ_CHECK(o.warnings <= OPTIONS_WARNING_COUNT);
    for (uint32_t i = 0; i < o.warnings; i++) {
        FUZZ_CHECK(o.warning[i][0] && memchr(o.warning[i], 0, OPTIONS_WARNING_MAX));
        for (const char *p = o.warning[i]; *p; p++)
            FUZZ_CHECK(*p >= ' ' && *p <= '~'); /* it is shown on consoles */
    }
    FUZZ_CHECK(!o.warnings_hidden || o.warnings == OPTIONS_WARNING_COUNT);
    FUZZ_CHECK(memchr(o.store_label, 0, sizeof o.store_label) && memchr(o.console_name, 0, sizeof o.console_name));
    FUZZ_CHECK(o.settle_s <= OPTIONS_SETTLE_MAX_S);
    FUZZ_CHECK(o.store <= STORE_CHOICE_NONE && o.restore <= RESTORE_CHOICE_ASK && o.on_crash <= CRASH_CHOICE_HOLD);
    FUZZ_CHECK(o.restore != RESTORE_CHOICE_ID || o.restore_id);
    (void)partition_selector_ok(line);
    free(line);
    return 0;
}
