# SPDX-License-Identifier: GPL-2.0-or-later
"""Other guests and other machines: our tiny guest, a guest with its own AHCI disk, further CPU models."""
import os
import re

import guest_tools
import machine
import steps
from scenario import check, scenario

TINY = os.path.join(machine.TOP, "build/tiny/tiny.elf")
TINY_LOW = os.path.join(machine.TOP, "build/tiny/tiny_low.elf")
XCR0_X87 = 1


def count_moves(m, seconds=10):
    m.guest.drop()
    first = int(m.guest.expect(r"count=(\d+) nmi=0 ", seconds * m.slow, never="EXCEPTION").group(1))
    check(int(m.guest.expect(rf"count=({first + 2}) nmi=0 ", seconds * m.slow, never="EXCEPTION").group(1)) > first, "no count")


@scenario(timeout=60)
def tiny_guest(m):
    """Our Multiboot guest with two modules: its own checks of memory map, hidden range, CPUID and ports; leave and enter.
    It lies where GRUB had put Sojourn, as kernels at 1 or 2 MiB do."""
    module = m.path("module.bin")
    content = bytes(range(251)) * 40
    with open(module, "wb") as f:
        f.write(content)
    total = 0
    for byte in content:
        total = (total * 31 + byte) & 0xFFFFFFFFFFFFFFFF
    steps.boot(m, "--guest", f"{TINY_LOW}:tiny busy", "--module", f"{module}:first module", "--module", f"{module}:second", wait=False,
               mem_mib=128)
    for string in ("first module", "second"):
        check(m.guest.expect(r"module start=\S+ end=\S+ sum=0x([0-9a-f]+) string " + string, 20 * m.slow).group(1) == f"{total:x}",
              f"the module {string!r} arrived damaged")
    m.guest.expect(r"checks failed=0\r\n", 20 * m.slow, never="FAIL|EXCEPTION")
    for name in ("hidden_read", "hidden_write", "hidden_listed", "memory_map", "cpuid_svm", "cpuid_vmx", "console_absent"):
        check(f"check {name} ok" in m.guest.seen() or name == "cpuid_svm", f"the guest did not check {name}")
    check(m.virtualization_on(), "the tiny guest runs, but not virtual")
    count_moves(m)
    exits = steps.status(m)["exits"]
    check(exits["npf"] > 0, f"the guest touched hidden memory, and no exit was counted: {exits}")
    # It has no room beside its IDT, or it has: either it leaves and comes back, or the refusal has a name.
    answer = m.sojourn.cmd("leave", 15 * m.slow)
    check(answer.ok or answer.code in ("E_NOSLOT", "E_NOIDT", "E_SEGMENT", "E_GDT"), f"leave: {answer!r}")
    count_moves(m)
    m.sojourn.run("enter", 15 * m.slow)
    count_moves(m)
    steps.checkpoint(m, "tiny")
    if m.rig == "bochs-vmx":  # pages are hashed there in vector registers, which this guest has never enabled
        check(m.registers()["XCR0"] == XCR0_X87, f"XCR0 is {m.registers()['XCR0']:#x} after a checkpoint")
    steps.restore(m)
    count_moves(m)


@scenario(timeout=60)
def tiny_guest_native(m):
    """start=native: the same guest on the bare CPU, and it sees the CPU as it is."""
    nmi = m.rig == "qemu-svm"  # Bochs drops an NMI that is sent with the shorthand "self"
    string = "tiny visible hidden=none conport=none" + (" selfnmi" if nmi else "")
    steps.boot(m, "--guest", f"{TINY}:{string}", wait=False, mem_mib=64, options="start=native", store=())
    m.guest.expect(r"checks failed=0\r\n", 10 * m.slow, never="FAIL|EXCEPTION")
    m.guest.expect(f"count=4 nmi={4 if nmi else 0} ", 10 * m.slow, never="EXCEPTION|count=5 ")
    check(not m.virtualization_on(), "start=native, but virtualization is on")


def use_disk(m, seed):
    """Write 8 MiB somewhere on the guest's disk, past its cache, and read them back; a checksum decides."""
    at = seed % 3 * 8
    m.guest.run(f"work dirty mib=8; cat /load/tree/*/* | head -c 8388608 >/tmp/block; "
                f"dd if=/tmp/block of=/dev/sda bs=1M seek={at} conv=fsync 2>/dev/null", 120)
    m.guest.run("echo 3 >/proc/sys/vm/drop_caches", 60)
    out = m.guest.run(f"dd if=/dev/sda bs=1M skip={at} count=8 2>/dev/null | md5sum; md5sum </tmp/block", 120).split()
    check(out[0] == out[2], f"the guest read back something else from its disk: {out}")


@scenario(rigs=("qemu",), timeout=240)
def guest_ahci(m):
    """A guest with its own AHCI controller and driver uses its disk virtual and native; the store works beside it."""
    kernel = guest_tools.debian("amd64", "amd64-initrd.img", *guest_tools.AHCI)
    path, extra = guest_tools.own_disk(m)
    steps.boot(m, *kernel, extra=extra, wait=False)
    m.guest.wait_boot(90)
    m.guest.work_start("mib=16")
    check(m.guest.run("cat /sys/block/sda/size") == str(guest_tools.DISK_MIB << 11), "the guest's only disk is not its own one")
    check(m.guest.sh("ls /sys/block/sdb")[0] != 0, "the guest sees the store's disk")
    for seed in range(2):
        use_disk(m, seed)
        steps.checkpoint(m, f"round {seed}")
        use_disk(m, seed + 1)
        m.sojourn.run(f"delete {seed + 1}")
        (steps.to_native if seed % 2 == 0 else steps.to_virtual)(m)
    m.guest.run("dd if=/dev/zero of=/dev/sda bs=1M count=24 conv=fsync 2>/dev/null & sleep 0; true", 30)
    steps.checkpoint(m, "while it writes")
    m.guest.run("wait; sync", 120)
    m.guest.work_check()
    bad = m.guest.sh("dmesg | grep -iE 'ata[0-9].*(error|fail|reset|frozen|exception)|I/O error'")[1]
    check(not bad, f"the guest's AHCI driver complains: {bad}")
    m.sojourn.run("verify", 60)
    check(not any("may write memory" in line for line in m.sojourn.run("log")), "the guest stood still for its disk")
    m.power_cut()
    with open(path, "rb") as f:
        check(f.read(1 << 20) == bytes(1 << 20), "the guest's last writes are not on its disk")


@scenario(rigs=("qemu",), timeout=120)
def store_registers(m):
    """The registers of the store's controller: absent to a virtual guest, whatever it writes; on the bare machine they are there."""
    steps.boot(m, options=steps.OPTIONS)
    about = m.monitor("info pci").split("SATA controller")[1]
    abar = int(re.search(r"BAR5: .* at (0x[0-9a-f]+)", about)[1], 16)
    ghc = abar + 4

    def seen():
        return m.monitor(f"xp /1xw {ghc:#x}").split(":")[1].strip()

    before = seen()
    check(int(before, 16) >> 31, f"the rig has changed: {before}")  # AHCI is enabled
    for offset in (0, 4, 0x118):
        check(m.guest.run(f"devmem {abar + offset:#x} 32").lower() == "0xffffffff", f"register {offset:#x} is there")
    m.guest.run(f"devmem {ghc:#x} 32 1")  # HR: a reset of the controller
    check(seen() == before, "the guest's write has reached the controller")
    steps.checkpoint(m)
    m.sojourn.run("verify", 60)
    steps.to_native(m)
    check(m.guest.run(f"devmem {ghc:#x} 32").lower() == before, "a native guest is on the bare machine")


@scenario(rigs=("qemu",), timeout=90)
def shared_controller(m):
    """A second disk, without a store, on the store's own controller: the store is not used, status says shared."""
    other = m.path("other.img")
    with open(other, "wb") as f:
        f.write(b"\x5a" * (4 << 20))
    image = steps.boot(m, disks=(other,))
    store = steps.status(m)["store"]
    check(store["state"] != "ready" and "shared" in store["text"], f"two disks on one controller: {store}")
    steps.refused(m, "checkpoint", "E_SHARED")
    check("0000:00:1f.2" in m.guest.run("ls /sys/bus/pci/devices"), "the shared controller was taken from the guest")
    steps.to_native(m)
    m.power_cut()
    with open(other, "rb") as f:
        check(f.read() == b"\x5a" * (4 << 20), "a disk without a store was written to")
    check(os.path.exists(image), "no image")


HASHES = ("cd /tmp; : >rounds; head -c 1000000 /dev/urandom >data; sha256sum data >sum; "
          "(while sha256sum -s -c sum; do echo >>rounds; done; echo >bad) >/dev/null 2>&1 & sleep 0")


def hashes_are_right(m):
    """Two more rounds, all good."""
    def rounds():
        return int(m.guest.run("cat /tmp/rounds | wc -l", 30 * m.slow))

    wanted = rounds() + 2
    machine.wait_until("the guest's hashes", 10 * m.slow, lambda: rounds() >= wanted, every=0.2)
    check(m.guest.run("ls /tmp/bad 2>/dev/null | wc -l", 30 * m.slow) == "0", "a hash in the guest is wrong")


def i386(m, kind, cpus, cmdline=steps.QUIET):
    """Debian's 32-bit kernel: left, entered, saved, restored, all while it compares hashes."""
    steps.boot(m, *guest_tools.debian(kind, f"initrd-{kind}.img"), cpus=cpus, cmdline=cmdline, wait=False)
    check(m.guest.wait_boot(60 * m.slow)["cpus"] == str(cpus), "a CPU is missing")
    m.guest.run(HASHES, 30 * m.slow)
    for number in range(4):
        steps.to_native(m)
        hashes_are_right(m)
        steps.to_virtual(m)
        hashes_are_right(m)
        if number == 1:
            steps.checkpoint(m, kind)
            m.guest.run("echo >/tmp/after", 20 * m.slow)
    steps.restore(m)
    check(m.guest.run("ls /tmp/after 2>/dev/null | wc -l", 20 * m.slow) == "0", "the restored guest knows what came after the checkpoint")
    hashes_are_right(m)
    steps.to_native(m)
    hashes_are_right(m)


@scenario(rigs=("qemu",), timeout=300)
def i386_pae(m):
    """PAE, two CPUs."""
    i386(m, "686-pae", 2)


@scenario(rigs=("qemu",), timeout=300)
def i386_two_levels(m):
    """Without PAE."""
    i386(m, "686", 1)


@scenario(rigs=("bochs",), timeout=900, long=True)
def i386_bochs(m):
    """The same under VMX; this kernel is compressed with XZ, and takes its time."""
    i386(m, "686-pae", 1, steps.FREED_IS_ZERO)


def model(m, cpu, cmdline=steps.QUIET):
    steps.boot(m, cpu=cpu, cmdline=cmdline, mem_mib=128)
    m.guest.work_start("mib=8", 60 * m.slow)


@scenario(rigs=("qemu",), timeout=90)
def machine_that_cannot_carry(m):
    """No SVM, or more CPUs than there is room for: the guest starts native, works, and the reason is said."""
    steps.boot(m, cpu="EPYC,svm=off")
    check("E_NOCPU" in m.sojourn.seen() and "bare CPU" in m.sojourn.seen(), f"no clear message: {m.sojourn.seen()[-400:]!r}")
    m.guest.work_start("mib=8")
    m.guest.work_check()
    m.power_cut()
    steps.boot(m, "--guest", f"{TINY}:tiny busy", wait=False, cpus=65)
    count_moves(m)
    check("E_SMP" in m.sojourn.seen() and "bare CPU" in m.sojourn.seen(), f"no clear message: {m.sojourn.seen()[-400:]!r}")
    check(not m.virtualization_on(), "too many CPUs, but EFER.SVME is set")


@scenario(rigs=("bochs",), timeout=150)
def cpu_without_ept(m):
    """Core 2 with VMX but no EPT: the guest starts natively, and the reason is said."""
    model(m, "core2_penryn_t9600")
    check("EPT" in m.sojourn.seen() and "bare CPU" in m.sojourn.seen(), f"no clear message: {m.sojourn.seen()[-400:]!r}")
    check(not m.virtualization_on(), "no EPT, but CR4.VMXE is set")
    m.guest.work_check(60 * m.slow)


def full_model(m, cpu, cmdline=steps.QUIET):
    model(m, cpu, cmdline)
    for _ in range(5):
        steps.to_native(m)
        steps.to_virtual(m)
    steps.checkpoint(m)
    steps.to_native(m)
    steps.restore(m)
    m.guest.work_check(120 * m.slow)


@scenario(rigs=("bochs",), timeout=300, long=True)
def cpu_skylake(m):
    """PML, XSAVES, mitigations on: leave, enter, checkpoint, restore."""
    full_model(m, "corei7_skylake_x")


@scenario(rigs=("bochs",), timeout=300, long=True)
def cpu_sandy_bridge(m):
    """No EPT access bits, no 1 GiB pages."""
    full_model(m, "corei7_sandy_bridge_2600k")


@scenario(rigs=("bochs",), timeout=300, long=True)
def cpu_ryzen(m):
    """SVM a second time, by another emulator: the guest boots virtual and works."""
    model(m, "ryzen", steps.QUIET + " clearcpuid=mwaitx")
    check(m.virtualization_on(), "the guest runs, but EFER.SVME is clear")
    m.guest.work_check(120 * m.slow)
