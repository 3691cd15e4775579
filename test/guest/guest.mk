# SPDX-License-Identifier: GPL-2.0-or-later
# The test guests. `make guests` builds build/tiny/tiny.elf and the kit's guests, build/prop/prop.elf ...: 32-bit
# Multiboot 1 ELF files whose code is 64-bit after its first instructions, linked as ELF64, then rewritten as ELF32 for
# loaders that take nothing else.
GUEST_B := $(B)/tiny
GUEST_CFLAGS := -std=gnu17 -Os -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-pie -mcmodel=small \
  -fno-stack-protector -fno-strict-aliasing -fno-asynchronous-unwind-tables -fcf-protection=none $(WARN) -Iinclude
KIT_B := $(B)/kit
KIT_C := kit_main kit_io kit_descriptors kit_smp
KIT_ASM := kit kit_tables
PROP_C := prop_main prop_phases prop_items prop_values prop_fpu prop_segments prop_memory
PROP_ASM := prop_hold
NMI_C := nmi_main
ODD_C := odd_main
ODD_ASM := odd_modes
KIT_OBJ := $(KIT_C:%=$(KIT_B)/%.o) $(KIT_ASM:%=$(KIT_B)/%.asm.o)

.PHONY: guests
guests: $(GUEST_B)/tiny.elf $(GUEST_B)/tiny_low.elf $(B)/prop/prop.elf $(B)/nmi/nmi.elf $(B)/odd/odd.elf $(B)/narrow/narrow.elf

$(GUEST_B)/guest.o: test/guest/guest.c include/bits.h include/types.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) -c -o $@ $<

$(GUEST_B)/start.o: test/guest/start.asm
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -w+all -Werror -f elf64 -o $@ $<

# tiny_low64.elf reaches over the place where GRUB puts Sojourn.
$(GUEST_B)/tiny_low64.elf: LOAD_AT := --defsym load_at=0x1ff000
$(GUEST_B)/tiny64.elf $(GUEST_B)/tiny_low64.elf: $(GUEST_B)/start.o $(GUEST_B)/guest.o test/guest/guest.ld
	$(call say,LD,$@)
	$(Q)ld -m elf_x86_64 -nostdlib -static -z max-page-size=4096 $(LOAD_AT) -T test/guest/guest.ld -o $@ $(GUEST_B)/start.o $(GUEST_B)/guest.o

$(GUEST_B)/tiny.elf $(GUEST_B)/tiny_low.elf: $(GUEST_B)/%.elf: $(GUEST_B)/%64.elf
	$(Q)objcopy -O elf32-i386 --strip-debug $< $@

# ---- guests on the kit -------------------------------------------------------------------------------------------
$(KIT_B)/kit_offsets.inc: test/guest/guest_offsets.c $(wildcard test/guest/*.h)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$(CC) $(GUEST_CFLAGS) -Itest/guest -S -o $(KIT_B)/offsets.s $<
	$(Q)sed -n 's/^->\([A-Za-z0-9_]*\) [$$]*\(-\{0,1\}[0-9]*\)$$/%define \1 \2/p' $(KIT_B)/offsets.s >$@.new
	@test "$$(grep -c '^->' $(KIT_B)/offsets.s)" = "$$(grep -c '^%define' $@.new)" && mv $@.new $@

$(KIT_B)/%.o: test/guest/%.c $(wildcard test/guest/*.h) $(wildcard include/*.h)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(GUEST_CFLAGS) -Itest/guest -c -o $@ $<

$(KIT_B)/%.asm.o: test/guest/%.asm $(KIT_B)/kit_offsets.inc
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -w+all -Werror -f elf64 -I$(KIT_B)/ -o $@ $<

define KIT_GUEST
$(B)/$(1)/$(1).elf: $(KIT_OBJ) $(2:%=$(KIT_B)/%.o) $(3:%=$(KIT_B)/%.asm.o) test/guest/kit.ld
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)ld -m elf_x86_64 -nostdlib -static -z max-page-size=4096 -T test/guest/kit.ld -Map $$(@D)/$(1).map \
	  -o $$(@D)/$(1)64.elf $$(filter %.o,$$^)
	$$(Q)objcopy -O elf32-i386 --strip-debug $$(@D)/$(1)64.elf $$@
endef
$(eval $(call KIT_GUEST,prop,$(PROP_C),$(PROP_ASM)))
$(eval $(call KIT_GUEST,nmi,$(NMI_C),))
$(eval $(call KIT_GUEST,odd,$(ODD_C),$(ODD_ASM)))

# ---- the 32-bit guest ----------------------------------------------------------------------------------------------
NARROW_B := $(B)/narrow
NARROW_C := narrow_main narrow_cpu narrow_hold
NARROW_CFLAGS := $(filter-out -mno-red-zone -mcmodel=small,$(GUEST_CFLAGS)) -m32

$(NARROW_B)/%.o: test/guest/%.c test/guest/narrow.h include/bits.h include/types.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(NARROW_CFLAGS) -c -o $@ $<

$(NARROW_B)/narrow_start.o: test/guest/narrow_start.asm
	@mkdir -p $(@D)
	$(call say,NASM,$<)
	$(Q)$(NASM) -w+all -Werror -f elf32 -o $@ $<

$(NARROW_B)/narrow.elf: $(NARROW_B)/narrow_start.o $(NARROW_C:%=$(NARROW_B)/%.o) test/guest/narrow.ld
	$(call say,LD,$@)
	$(Q)ld -m elf_i386 -nostdlib -static -z max-page-size=4096 --no-warn-rwx-segments -T test/guest/narrow.ld -Map $(@D)/narrow.map \
	  -o $@ $(filter %.o,$^)
