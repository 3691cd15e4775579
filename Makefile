# SPDX-License-Identifier: GPL-2.0-or-later
# Sojourn: build, test, run. `make help` lists the targets; ./sojourn installs what they need and calls them.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
B := build

ifeq ($(origin CC),default)
CC := gcc
endif
NASM ?= nasm
WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wpointer-arith -Werror
INC := -Iinclude -I. -I$(B)/gen

# Short lines, one per file made; V=1 shows the commands.
ifeq ($(filter-out 0,$(V)),)
Q := @
say = @printf '  %-6s %s\n' $(1) $(2)
else
Q :=
say = @:
endif
# Targets with many small jobs run them on all CPUs, unless the caller chose a number.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
SUBMAKE = $(MAKE) --no-print-directory $(JOBS)

all: $(B)/sojourn.elf $(B)/sojstore ## the image and the host tools

# ---- version ---------------------------------------------------------------------------------------------------
# Written only when it changes, so that a new commit does not rebuild what does not name it.
VERSION := $(shell git describe --tags --dirty 2>/dev/null || echo "0.1$$(git rev-parse --short HEAD 2>/dev/null | sed 's/^/-g/')")
GEN_VERSION := $(B)/gen/version.h
$(shell mkdir -p $(B)/gen; printf '\043define SOJOURN_VERSION "%s"\n' '$(VERSION)' >$(GEN_VERSION).new; \
  cmp -s $(GEN_VERSION).new $(GEN_VERSION) || cp $(GEN_VERSION).new $(GEN_VERSION))

# ---- the image -------------------------------------------------------------------------------------------------
# Position-independent code linked at a fixed address far from any kernel's: every reference is RIP-relative.
TARGET_CFLAGS := -std=gnu17 -O2 -g -ffreestanding -mno-red-zone -mgeneral-regs-only -fpie -fvisibility=hidden \
  -fno-stack-protector -fno-strict-aliasing -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections \
  -fcf-protection=none
LIBC_INC := -isystem $(B)/newlib/include
# What libzydis.a was compiled with; its headers must see the same.
ZYDIS_DEFS := -DZYAN_NO_LIBC -DZYDIS_STATIC_BUILD -DZYDIS_MINIMAL_MODE -DZYDIS_DISABLE_ENCODER \
  -DZYDIS_DISABLE_FORMATTER -DZYDIS_DISABLE_AVX512 -DZYDIS_DISABLE_KNC -DZYDIS_DISABLE_SEGMENT
IMAGE_CFLAGS := $(TARGET_CFLAGS) -include include/visibility.h $(WARN) $(INC) $(LIBC_INC) -isystem $(B)/lib/include $(ZYDIS_DEFS) -DMBEDTLS_CONFIG_FILE='<mbedtls-config.h>'
IMAGE_DIRS := boot kernel vmx svm ept ckpt drivers
OFFSETS_C := kernel/asm_offsets.c
IMAGE_C := $(filter-out $(OFFSETS_C),$(wildcard $(addsuffix /*.c,$(IMAGE_DIRS))))
IMAGE_ASM := $(wildcard $(addsuffix /*.asm,$(IMAGE_DIRS)))
IMAGE_OBJ := $(IMAGE_C:%.c=$(B)/obj/%.o) $(IMAGE_ASM:%.asm=$(B)/obj/%.asm.o)
IMAGE_LIBS := $(B)/newlib/lib/libc.a $(B)/lib/liblz4.a $(B)/lib/libzydis.a $(B)/lib/libmbedtls.a
OFFSETS := $(B)/gen/offsets.inc

$(B)/newlib/lib/libc.a: tools/build-newlib
	$(call say,LIB,$@)
	$(Q)tools/build-newlib $(B)/newlib
	@touch $@
# What GCC 12's -Oz still does for speed: 4 KiB less without.
OZ := -Oz -fno-expensive-optimizations -fno-tree-dominator-opts -fno-move-loop-invariants -fno-tree-loop-im -fno-caller-saves \
  -fno-jump-tables
SIZE_zydis := $(OZ)
SIZE_mbedtls := $(OZ)
$(B)/lib/lib%.a: tools/build-source-lib tools/apt-source | $(B)/newlib/lib/libc.a
	$(call say,LIB,$@)
	$(Q)tools/build-source-lib $* $(B)/lib $(TARGET_CFLAGS) $(SIZE_$*) -isystem $(abspath $(B))/newlib/include
	@touch $@
libs: $(IMAGE_LIBS) ## the image's libraries (newlib, LZ4, Zydis, mbedtls) from Debian's sources

# What runs once, or waits for a device anyway, is compiled for size; so is the console, where -O2 saves no more than a few dozen instructions of
# an enter or a leave. The rest of the door (kernel/door.ld) is not.
SMALL := $(filter-out ckpt/hash.c ckpt/pages.c ckpt/dev_lapic.c drivers/io.c drivers/lapic.c,$(wildcard boot/*.c ckpt/*.c drivers/*.c)) \
  vmx/caps.c vmx/decode.c vmx/entry_check.c $(wildcard svm/*.c) ept/second_level.c ept/mtrr.c $(wildcard $(addprefix kernel/,auto.c auto_plan.c host_timer.c tsc_debt.c iowatch.c hidden_access.c wallclock.c \
  report.c json.c options.c checkpoint.c saving.c bus_masters.c dma_watch.c commands.c startup.c crash.c apic_watch.c setup.c main.c guestmem.c policy.c live.c \
  merging.c store_key.c screen.c native_start.c settle.c timebase.c cpus.c bridge.c bridge_tables.c bridge_visit.c gateway_slot32.c leave_check32.c insn.c emulate.c log_ring.c log.c \
  console_help.c newlib_glue.c panic.c base.c console.c console_tx.c console_irq.c command.c line_editor.c digest.c backend_choice.c icr.c str.c turns.c)) ept/track.c $(wildcard ept/codec_*.c)
$(SMALL:%.c=$(B)/obj/%.o): SIZE := $(OZ)
$(B)/obj/kernel/traps.o $(B)/obj/kernel/transition.o $(B)/obj/kernel/nmi.o $(B)/obj/kernel/gateway_install.o $(B)/obj/kernel/paging.o $(B)/obj/vmx/vmx.o: SIZE := -Os
# XXH3: the loop over a stripe's lanes unrolled, for all that is hashed is pages; but not every function inlined into every other
# (`./sojourn bench hash_bytes_per_insn`).
$(B)/obj/ckpt/hash.o: SIZE := -DXXH_NO_INLINE_HINTS=1 -fpeel-loops -fno-inline-functions -fno-inline-small-functions
# Padding in front of loops and functions is checked at each way in, too; where loops over memory are, it pays. In front of data it does not.
# No vector register is ever saved on a stack, so that 8 bytes of alignment do there.
STACK := -mpreferred-stack-boundary=3
ALIGN := -falign-functions=4 -falign-jumps=1 -falign-loops=1 -falign-labels=1 -malign-data=abi
$(B)/obj/ckpt/pages.o: ALIGN :=
$(B)/obj/%.o: %.c Makefile | $(IMAGE_LIBS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(IMAGE_CFLAGS) $(STACK) $(ALIGN) $(SIZE) -MMD -MP -c $< -o $@
# NASM writes paths as it opened them; offsets.inc is generated, so every .asm waits for it.
$(B)/obj/%.asm.o: %.asm Makefile $(OFFSETS)
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -f elf64 -w+all -Werror -g -F dwarf -I. -Iinclude/ -I$(B)/gen/ -MD $(@:.o=.d) -MQ $@ -o $@ $<

# Offsets for NASM come from C: lines "->NAME $value" in the compiled assembly become "%define NAME value".
$(OFFSETS): $(wildcard $(OFFSETS_C)) Makefile | $(IMAGE_LIBS)
	@mkdir -p $(@D) $(B)/obj/kernel
	@echo "; Generated from $(OFFSETS_C); do not edit." >$@.new
ifneq ($(wildcard $(OFFSETS_C)),)
	$(call say,GEN,$@)
	$(Q)$(CC) $(IMAGE_CFLAGS) -MMD -MP -MQ $@ -MF $(B)/obj/kernel/asm_offsets.d -S $(OFFSETS_C) -o $(B)/obj/kernel/asm_offsets.s
	$(Q)sed -n 's/^->\([A-Za-z0-9_]*\) [$$]*\(-\{0,1\}[0-9]*\)$$/%define \1 \2/p' $(B)/obj/kernel/asm_offsets.s >>$@.new
	@test "$$(grep -c '^->' $(B)/obj/kernel/asm_offsets.s)" = "$$(grep -c '^%define' $@.new)" || \
	  { echo "$(OFFSETS_C): a line was not understood" >&2; exit 1; }
endif
	@mv $@.new $@

$(B)/sojourn.debug: $(IMAGE_OBJ) $(IMAGE_LIBS) linker.ld kernel/door.ld
	$(call say,LD,$@)
	$(Q)ld -n -O2 -z max-page-size=4096 -z noexecstack --fatal-warnings -T linker.ld --gc-sections -Map $(B)/sojourn.map \
	  -o $@ $(IMAGE_OBJ) --start-group $(IMAGE_LIBS) --end-group
$(B)/sojourn.elf: $(B)/sojourn.debug
	$(call say,STRIP,$@)
	$(Q)strip -s -o $@ $<
	$(Q)grub-file --is-x86-multiboot2 $@ || { echo "$@: GRUB finds no Multiboot2 header in it" >&2; exit 1; }
image: $(B)/sojourn.elf ## the Multiboot2 image, build/sojourn.elf

# ---- host programs and unit tests ------------------------------------------------------------------------------
# Both name the pure sources they link in a comment:   UNITS: ckpt/store.c ckpt/crc.c     and libraries:   LIBS: -llz4
HOST_CFLAGS := -std=gnu17 -O2 -g -fno-strict-aliasing $(WARN) $(INC)
# One look at all of them: UNITS(file) := ... and LIBS(file) := ...
$(shell grep -oE '(UNITS|LIBS): .* \*/' tools/*.c test/unit/test_*.c test/fuzz/*.c /dev/null | \
  sed 's,^\([^:]*\):\([A-Z]*\): *\(.*\) \*/,\2(\1) += \3,' >$(B)/gen/units.mk)
include $(B)/gen/units.mk
units_of = $(foreach f,$(1),$(UNITS($(f))))
libs_of = $(foreach f,$(1),$(LIBS($(f))))

$(B)/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,HOSTCC,$<)
	$(Q)$(CC) $(HOST_CFLAGS) -MMD -MP -c $< -o $@
define HOST_TOOL
$(B)/$(1): $(2:%.c=$(B)/host/%.o) $$(addprefix $(B)/host/,$$(patsubst %.c,%.o,$(call units_of,$(2))))
	$$(call say,HOSTLD,$$@)
	$$(Q)$$(CC) -o $$@ $$(sort $$^) $(call libs_of,$(2)) -llz4 -lmbedcrypto
endef
SOJSTORE_C := $(wildcard tools/sojstore*.c)
ifneq ($(SOJSTORE_C),)
$(eval $(call HOST_TOOL,sojstore,$(SOJSTORE_C)))
else
$(B)/sojstore:
	@echo "tools/sojstore.c is missing" >&2; exit 1
endif

UNIT_WARN_CFLAGS := -std=gnu17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
  -fno-strict-aliasing $(WARN) $(INC) -Itest/unit
UNIT_TESTS := $(patsubst test/unit/test_%.c,%,$(wildcard test/unit/test_*.c))
UNIT_COMPILERS := gcc clang
UNIT_BINS :=
define UNIT_COMPILER
$(B)/unit/$(1)/obj/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$$(Q)$(1) $$(UNIT_WARN_CFLAGS) -MMD -MP -c $$< -o $$@
$(B)/unit/$(1)/obj/%.asm.o: %.asm Makefile
	@mkdir -p $$(@D)
	$$(Q)$(NASM) -f elf64 -w+all -Werror -g -F dwarf -o $$@ $$<
endef
define UNIT_TEST
UNIT_BINS += $(B)/unit/$(1)/test_$(2)
$(B)/unit/$(1)/test_$(2): $(patsubst %,$(B)/unit/$(1)/obj/%.o,$(patsubst %.c,%,$(sort test/unit/test_$(2).c test/unit/env.c \
  kernel/err.c $(call units_of,test/unit/test_$(2).c))))
	$$(call say,UNIT,"$(1) test_$(2)")
	$$(Q)$(1) -fsanitize=address,undefined -o $$@ $$^ -lcheck -lsubunit -lm -lrt -lpthread \
	  $(call libs_of,test/unit/test_$(2).c)
endef
$(foreach c,$(UNIT_COMPILERS),$(eval $(call UNIT_COMPILER,$(c))))
$(foreach c,$(UNIT_COMPILERS),$(foreach t,$(UNIT_TESTS),$(eval $(call UNIT_TEST,$(c),$(t)))))
.SECONDARY:

# ---- fuzzing ---------------------------------------------------------------------------------------------------
# Each target is one program with libFuzzer, and one that replays the corpus among the unit tests.
FUZZ_NAMES := $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 60
FUZZ_CFLAGS := $(UNIT_WARN_CFLAGS) -fsanitize=fuzzer-no-link
$(B)/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@
fuzz_objs = $(patsubst %,$(1)/obj/%.o,$(patsubst %.c,%,$(sort test/unit/env.c kernel/err.c $(2) $(call units_of,$(2)))))
FUZZ_LIBS := -lcheck -lsubunit -lm -lrt -lpthread
define FUZZ_TARGET
UNIT_BINS += $(B)/unit/gcc/fuzz_$(1)
$(B)/unit/gcc/fuzz_$(1): $(call fuzz_objs,$(B)/unit/gcc,test/fuzz/fuzz_$(1).c) $(B)/unit/gcc/obj/test/fuzz/replay.o
	$$(call say,UNIT,"gcc fuzz_$(1)")
	$$(Q)gcc -fsanitize=address,undefined -o $$@ $$^ $(FUZZ_LIBS) $(call libs_of,test/fuzz/fuzz_$(1).c)
$(B)/fuzz/fuzz_$(1): $(call fuzz_objs,$(B)/fuzz,test/fuzz/fuzz_$(1).c)
	$$(call say,FUZZ,fuzz_$(1))
	$$(Q)clang -fsanitize=fuzzer,address,undefined -o $$@ $$^ $(FUZZ_LIBS) $(call libs_of,test/fuzz/fuzz_$(1).c)
endef
$(foreach f,$(FUZZ_NAMES),$(eval $(call FUZZ_TARGET,$(f))))
$(B)/fuzz/make_seeds: $(call fuzz_objs,$(B)/unit/gcc,test/fuzz/make_seeds.c)
	@mkdir -p $(@D)
	$(Q)gcc -fsanitize=address,undefined -o $@ $^ $(FUZZ_LIBS) -llz4 -lmbedcrypto
fuzz: $(FUZZ_NAMES:%=$(B)/fuzz/fuzz_%) ## libFuzzer on store, sojstore, console, options, boot, ACPI, partitions, FUZZ_SECONDS=60 each (FUZZ="store ..." picks)
	test/fuzz/run $(FUZZ_SECONDS) $(or $(FUZZ),$(FUZZ_NAMES))

unit: ## unit tests of the pure cores, gcc and clang, under ASan and UBSan
	@status=0; $(SUBMAKE) -k unit-build || { status=1; echo "unit: not everything could be built" >&2; }; \
	  tools/run-unit $(UNIT_BINS) || status=1; exit $$status
unit-build: $(UNIT_BINS)

# ---- checks ----------------------------------------------------------------------------------------------------
CODE_DIRS := include $(IMAGE_DIRS) tools test/unit test/fuzz test/guest bench
CODE_C := $(wildcard $(addsuffix /*.c,$(CODE_DIRS)))
CODE_H := $(wildcard $(addsuffix /*.h,$(CODE_DIRS)))
HEADERS := $(wildcard $(addsuffix /*.h,include $(IMAGE_DIRS)))
PURE_C := $(shell tools/check-layers --list Pure $(IMAGE_C))
SCRIPTS := $(shell tools/check-style --list sh)
PYTHON := $(shell tools/check-style --list python)

CHECKS := check-elf check-tidy check-clang check-headers check-format check-style check-layers check-scripts
check: ## every static check
	@$(SUBMAKE) -k --output-sync=target $(CHECKS) && echo "check: all $(words $(CHECKS)) passed"
format: ## clang-format over every C file
	$(Q)clang-format -i $(CODE_C) $(CODE_H)
check-format:
	$(Q)clang-format --dry-run -Werror $(CODE_C) $(CODE_H)
	@echo "check-format: $(words $(CODE_C) $(CODE_H)) files"
check-style:
	$(Q)tools/check-style
check-layers:
	$(Q)tools/check-layers $(IMAGE_C) $(HEADERS)
check-headers: $(HEADERS:%=$(B)/check/%.ok)
	@echo "check-headers: $(words $(HEADERS)) headers compile alone"
check-clang: $(IMAGE_C:%=$(B)/check/%.clang)
	@echo "check-clang: $(words $(IMAGE_C)) files compile without a warning"
check-tidy: $(PURE_C:%=$(B)/check/%.tidy)
	@echo "check-tidy: $(words $(PURE_C)) pure files clean"
	@test $(words $(PURE_C)) -gt 0
check-elf: $(B)/sojourn.debug
	$(Q)tools/check-elf $<
check-scripts:
	$(Q)shellcheck $(SCRIPTS)
	$(Q)pyflakes3 $(PYTHON)
	@echo "check-scripts: $(words $(SCRIPTS) $(PYTHON)) files"
CHECK_DEPS = -MMD -MP -MQ $@ -MF $@.d
$(B)/check/%.h.ok: %.h Makefile | $(IMAGE_LIBS)
	@mkdir -p $(@D)
	$(Q)printf '\043include "%s"\n\043include "%s"\n' $< $< | $(CC) $(IMAGE_CFLAGS) $(CHECK_DEPS) -fsyntax-only -x c - && touch $@
$(B)/check/%.c.clang: %.c Makefile | $(IMAGE_LIBS)
	@mkdir -p $(@D)
	$(Q)clang $(IMAGE_CFLAGS) $(CHECK_DEPS) -fsyntax-only $< && touch $@
$(B)/check/%.c.tidy: %.c .clang-tidy
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)clang-tidy --quiet $< -- $(HOST_CFLAGS) >$@.log 2>&1 || { cat $@.log; exit 1; }
	@$(CC) $(HOST_CFLAGS) -MM -MP -MQ $@ -MF $@.d $< && touch $@

# ---- machines --------------------------------------------------------------------------------------------------
# Test guests of our own: a tiny Multiboot kernel.
-include test/guest/guest.mk
guest: $(if $(wildcard test/guest/guest.mk),guests) ## guest kernel, initramfs and workload under build/guest/
	tools/fetch-kernel cloud
	tools/mk-initramfs $(B)/guest/initrd.img
scenarios: all guest ## whole-machine tests on both rigs (ONLY="name ..." picks some)
	test/rig/run $(if $(filter-out 1,$(shell nproc)),--lanes) $(ONLY)
test: ## check + unit + scenarios
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory scenarios
# A hook runs its script when there is one and says plainly when there is none.
hook = @if [ -x $(1) ]; then exec $(1) $(ARGS); else echo "$@: not part of this version yet" >&2; exit 1; fi
run: all guest ## the demonstration machine by hand: guest console and Sojourn console
	$(call hook,tools/run-machine)
debug: all guest ## as run, but QEMU waits for gdb and gdb is started on build/sojourn.debug
	tools/run-machine --debug $(ARGS)
demo: all guest ## the unattended demonstration, about two minutes
	$(call hook,tools/demo)
bench: all guest ## measurements (ARGS="--json NAME ...")
	$(call hook,bench/run)
soak: all guest ## 10,000 enters and leaves with 4 CPUs on QEMU, 2,000 with 2 on Bochs, then the other long scenarios (hours)
	test/rig/run --all soak cycles restore_rounds cpu_ property
campaign-model: $(B)/unit/gcc/test_crash ## the store's power-cut model with other seeds and 25 times as many states (CRASH_FACTOR=N, CRASH_SEED=N; minutes)
	ASAN_OPTIONS=detect_leaks=0 CRASH_FACTOR=$(or $(CRASH_FACTOR),25) CRASH_SEED=$(or $(CRASH_SEED),$$(date +%s)) $<
campaign: all guest ## power cuts at 50 random moments on QEMU, five on Bochs (a quarter of an hour)
	test/rig/run --all power_cut
clean: ## everything built, libraries and guest material excepted
	rm -rf $(B)/obj $(B)/gen $(B)/host $(B)/unit $(B)/fuzz $(B)/check $(B)/test $(B)/sojourn.* $(B)/sojstore
distclean: ## everything under build/
	rm -rf $(B)
help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16

.PHONY: all format libs image unit unit-build fuzz check check-format check-style check-layers check-headers check-tidy check-elf \
  check-clang check-scripts guest scenarios test run debug demo bench soak campaign campaign-model clean distclean help

-include $(shell find $(B)/obj $(B)/host $(B)/unit $(B)/fuzz $(B)/check -name '*.d' 2>/dev/null)
