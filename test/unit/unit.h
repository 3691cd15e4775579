/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every unit test shares: Check's main, and the knobs of env.c. */
#ifndef SOJOURN_TEST_UNIT_H
#define SOJOURN_TEST_UNIT_H

#include "types.h"

#include <check.h>
#include <stdlib.h>

/* Check writes a message to a file at every assertion that holds, to know where a signal came from. Here nothing forks
   and ASan says where, so millions of assertions in loops shall not cost minutes. */
#define _mark_point(file, line) ((void)0)

extern uint64_t env_clock_us;      /* what clock_us() says next */
extern uint64_t env_clock_step_us; /* added at every call, so that deadlines pass */
extern size_t env_pool_limit;      /* pages pool_alloc_pages may still give; SIZE_MAX at start */
extern uintptr_t env_phys_offset;  /* where physical address 0 lies; 0 (identity) at start */
extern char env_log[65536];        /* everything logged, for tests that look for a line */

/* Zero tests is a failure, and so is any that failed. */
#define UNIT_MAIN(name, suite_function)                                                                                \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        SRunner *runner = srunner_create(suite_function());                                                            \
        srunner_set_fork_status(runner, CK_NOFORK);                                                                    \
        srunner_run_all(runner, CK_NORMAL);                                                                            \
        int run = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);                                  \
        srunner_free(runner);                                                                                          \
        return run > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                                                   \
    }

#endif
