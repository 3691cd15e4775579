/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Engine. Probing the vendors in turn; the first that can is taken, else the most telling reason is passed on. */
#include "kernel/backend_choice.h"

#include "backend.h"
#include "kernel/guest.h"
#include "log.h"
#include "str.h"

enum err backend_choose(enum option_backend choice, char *why, size_t why_len)
{
    static const struct {
        const struct backend *backend;
        enum option_backend choice;
    } all[] = {{&vmx_backend, BACKEND_CHOICE_VMX}, {&svm_backend, BACKEND_CHOICE_SVM}};
    enum err worst = E_NOCPU;
    (void)str_format(why, why_len, "%s", err_text(E_NOCPU));
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        struct backend_report report = {0};
        if (choice != BACKEND_CHOICE_AUTO && choice != all[i].choice)
            continue;
        enum err e = all[i].backend->probe(&report);
        if (!e) {
            guest.backend = all[i].backend;
            log_line("boot", "backend: %s", guest.backend->name);
            return E_OK;
        }
        log_line("boot", "backend %s not usable: %s: %s", all[i].backend->name, err_name(e), report.text);
        /* "No such CPU" says less than what a CPU of the right kind lacks. */
        if (e != E_NOCPU) {
            worst = e;
            (void)str_format(why, why_len, "%s", report.text);
        }
    }
    return worst;
}
