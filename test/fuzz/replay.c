/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fuzz target without libFuzzer: every file of test/fuzz/corpus/NAME once, NAME being what follows "fuzz_" in the
   program's own name; or the files named. Ends with a line like a unit test program's; no file at all is a failure. */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

#define INPUT_MAX (1u << 20)

static unsigned replayed;

static void replay(const char *path)
{
    static uint8_t input[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (!f)
        return;
    size_t n = fread(input, 1, sizeof input, f);
    fclose(f);
    uint8_t *exact = malloc(n ? n : 1); /* so that a read behind its end is seen */
    memcpy(exact, input, n);
    fprintf(stderr, "%s\n", path); /* the last one named is the one that ended the program */
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    replayed++;
}

int main(int argc, char **argv)
{
    char corpus[256];
    const char *name = strrchr(argv[0], '_');
    snprintf(corpus, sizeof corpus, "test/fuzz/corpus/%s", name ? name + 1 : "");
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    DIR *d = argc == 1 ? opendir(corpus) : NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", corpus, e->d_name);
        if (e->d_name[0] != '.')
            replay(path);
    }
    if (d)
        closedir(d);
    printf("Checks: %u, Failures: 0, Errors: 0\n", replayed);
    return replayed ? EXIT_SUCCESS : EXIT_FAILURE;
}
