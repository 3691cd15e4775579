# SPDX-License-Identifier: GPL-2.0-or-later
"""Several CPUs: all of them change over or none; those that the guest takes offline, brings back, or never started."""
import os
import time

import guest_tools
import moments
import steps
from scenario import RigError, check, scenario

MOST = 64


def online(m):
    return m.guest.run("cat /sys/devices/system/cpu/online", 20 * m.slow)


def set_online(m, cpu, on):
    """Linux hotplug; the kernel waits for the CPU, so a CPU that does not come or go shows here."""
    m.guest.run(f"echo {int(on)} >/sys/devices/system/cpu/cpu{cpu}/online", 30 * m.slow)


def every_cpu_works(m):
    """A process bound to each CPU that is online gets done."""
    count = int(m.guest.run("grep -c ^processor /proc/cpuinfo", 20 * m.slow))
    m.guest.run("for c in $(grep ^processor /proc/cpuinfo | grep -o '[0-9]*$'); do taskset -p $(printf %x $((1 << c))) $$ >/dev/null && "
                "sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i + 1)); done' || exit 1; done", 60 * m.slow)
    return count


def virtual(m, count):
    seen = m.virtual_cpus()
    check(seen == count, f"{seen} CPUs are virtual, not {count}")


def hotplug(m, last):
    """The last CPU goes and comes back in each mode, and through a change of mode while it is away."""
    # That order: a CPU that came up virtual goes while nobody looks, and is started again virtual.
    for there, back in ((steps.to_virtual, None), (steps.to_native, steps.to_virtual), (steps.to_virtual, steps.to_native),
                        (steps.to_native, None)):
        if steps.status(m)["mode"] != there.__name__[3:]:
            there(m)
        set_online(m, last, False)
        check(str(last) not in online(m).replace("-", " ").split() and online(m) != f"0-{last}", f"online: {online(m)}")
        if back:
            back(m)
        m.guest.run("sleep 0.2", 20 * m.slow)
        set_online(m, last, True)
        check(online(m) == f"0-{last}", f"CPU {last} did not come back: online {online(m)}")
        check(every_cpu_works(m) == last + 1, "a CPU is missing")
    if steps.status(m)["mode"] != "native":
        steps.to_native(m)


@scenario(rigs=("qemu",), timeout=200, alone=("qemu",))
def smp_hotplug(m):
    """Four CPUs come up virtual; one goes offline and comes back, in both modes and across changes of mode."""
    steps.boot(m, cpus=4)
    virtual(m, 4)
    check(every_cpu_works(m) == 4, "a CPU is missing")
    m.guest.work_start("mib=8 busy")
    hotplug(m, 3)
    steps.cycle(m, 10)
    m.guest.work_check()
    steps.time_is_whole(m)


@scenario(rigs=("qemu",), timeout=200, alone=("qemu",))
def smp_starting(m):
    """A leave while the guest starts a CPU, which takes it 150 ms: it has to wait between INIT and start-up IPI."""
    steps.boot(m, cpus=2, cmdline=f"{steps.QUIET} cpu_init_udelay=150000")
    for number in range(5):
        if steps.status(m)["mode"] != "virtual":
            steps.to_virtual(m)
        set_online(m, 1, False)
        m.guest.run("rm -f /tmp/end; (sleep 0.3; echo 1 >/sys/devices/system/cpu/cpu1/online; echo $? >/tmp/end) & true", 20)
        time.sleep(0.32 + number * 0.02)  # the guest's shell is deaf while its kernel waits
        steps.to_native(m)
        ended = m.guest.run("while ! [ -s /tmp/end ]; do sleep 0.1; done; cat /tmp/end", 60 * m.slow)
        check(ended.strip() == "0" and online(m) == "0-1", f"CPU 1 did not start: {ended} online {online(m)}")
    check(every_cpu_works(m) == 2, "a CPU is missing")


@scenario(rigs=("qemu",), timeout=200, alone=("qemu",))
def smp_few(m):
    """maxcpus=2 on a machine of four: two CPUs are never started, and are left alone; then they are started natively."""
    steps.boot(m, cpus=4, cmdline=f"{steps.QUIET} maxcpus=2")
    check(online(m) == "0-1", f"online: {online(m)}")
    virtual(m, 2)
    steps.to_native(m)
    steps.cycle(m, 10)
    for cpu in (2, 3):
        set_online(m, cpu, True)
    check(every_cpu_works(m) == 4, "a CPU is missing")
    steps.cycle(m, 10)
    steps.to_virtual(m)
    virtual(m, 4)
    check(every_cpu_works(m) == 4, "a CPU is missing")


@scenario(rigs=("qemu",), timeout=500, long=True, alone=("qemu",))
def smp_many(m):
    """As many CPUs as there is room for: left and entered, saved and restored in place. The emulator runs all that wait for the leader."""
    steps.boot(m, cpus=MOST, wait=False)
    steps.shell(m, 200)
    virtual(m, MOST)
    check(every_cpu_works(m) == MOST, "a CPU is missing")
    steps.to_native(m)
    steps.cycle(m, 10)
    moments.mark(m, "cut")
    steps.checkpoint(m, "before the cut")
    moments.mark(m, "lost")
    steps.restore(m, "latest", 300)
    check(moments.marked(m) == "cut", f"restored: {moments.marked(m)}")
    check(every_cpu_works(m) == MOST, "a CPU is missing")
    hotplug(m, MOST - 1)


@scenario(rigs=("qemu",), timeout=300, alone=("qemu",))
def smp_saving(m):
    """Four CPUs: checkpoint and restore in place from both modes, and cold."""
    image = steps.boot(m, cpus=4)
    m.guest.work_start("mib=16 busy")
    steps.to_native(m)
    moments.mark(m, "cut")
    steps.checkpoint(m, "before the cut")
    moments.mark(m, "lost")
    moments.cold(m, image, "cut", cpus=4)
    check(every_cpu_works(m) == 4, "a CPU is missing")
    for number in range(4):
        moments.round_trip(m, number, number % 2 == 0, number < 2, number == 3)
        check(every_cpu_works(m) == 4, "a CPU is missing")
    if steps.status(m)["mode"] == "virtual":
        steps.to_native(m)
    steps.cycle(m, 5)
    steps.time_is_whole(m)
    m.guest.work_check()


def two_under_vmx(m):
    # A restore in place is a gap in the guest's time, of minutes on this machine: its watchdog would tell.
    kernel = guest_tools.debian("cloud", "user.img", "--test-program", "user")
    steps.boot_several(m, *kernel, cpus=2, mem_mib=128, cmdline=f"{steps.FREED_IS_ZERO} nowatchdog")
    virtual(m, 2)
    guest_tools.user_starts(m)


@scenario(rigs=("bochs",), timeout=800)
def smp_bochs(m):
    """Two CPUs under VMX: up, off and on again, left and entered."""
    two_under_vmx(m)
    m.guest.work_start("mib=4 busy", 60 * m.slow)
    hotplug(m, 1)
    steps.cycle(m, 100)
    steps.time_is_whole(m)
    m.guest.work_check(60 * m.slow)
    guest_tools.user_goes_on(m)


@scenario(rigs=("bochs",), timeout=800, long=True)
def smp_saving_bochs(m):
    """Two CPUs under VMX, saved and restored; property_restore_bochs does so with a guest of its own, in much less time."""
    two_under_vmx(m)
    m.guest.work_start("mib=4", 60 * m.slow)
    moments.round_trip(m, 0, True, True, False)
    check(every_cpu_works(m) == 2, "a CPU is missing")
    m.guest.work_check(60 * m.slow)
    guest_tools.user_goes_on(m)


@scenario(rigs=("bochs",), timeout=1800, long=True)
def emulator_ipi(m):
    """How many boots with two CPUs the emulator itself spoils: Debian without Sojourn, ten times."""
    stuck = 0
    for number in range(10):
        try:
            steps.boot_plain(m, cmdline=f"{steps.QUIET} nowatchdog", cpus=2, mem_mib=128)
        except RigError as e:
            check("gave nothing" in str(e), str(e))
            stuck += 1
        m.power_cut()
        print(f"emulator_ipi: {stuck} of {number + 1} boots stopped", flush=True)


SOAK = {"qemu-svm": (4, 10000), "bochs-vmx": (2, 2000)}
STRESS = "stress-ng --temp-path /tmp --quiet --oomable -t 0 --cpu 1 --vm 1 --vm-bytes 16M --fork 1 --timer 1 --timer-freq 200 --sigq 1 --futex 1"
# Writes 8 MiB to the guest's own disk, past its cache, reads them back and compares.
DISK = ("while :; do dd if=/tmp/block of=/dev/sda bs=64k conv=fsync 2>/dev/null; echo 1 >/proc/sys/vm/drop_caches; "
        "dd if=/dev/sda bs=64k count=128 2>/dev/null | cmp - /tmp/block || echo bad >>/tmp/disk-bad; echo done >>/tmp/disk-rounds; done")


def in_background(m, command):
    m.guest.run(f"({command}) >/tmp/background.log 2>&1 & echo $! >>/tmp/background; sleep 0", 60 * m.slow)


def soak_guest(m, cpus):
    """Debian with stress-ng; on QEMU with a disk of its own, too. Leaves it busy, with an empty kernel log."""
    guest_tools.tool("fetch-program", "stress-ng")
    program = ("--program", os.path.join(guest_tools.GUEST, "stress-ng/usr/bin/stress-ng"))
    extra = {}
    if m.rig == "qemu-svm":
        kernel = guest_tools.debian("amd64", "soak-amd64.img", *program, *guest_tools.AHCI)
        extra = {"extra": guest_tools.own_disk(m)[1]}
    else:
        kernel = guest_tools.debian("cloud", "soak-cloud.img", *program)
    steps.boot(m, *kernel, cpus=cpus, mem_mib=384, wait=False, **extra)
    m.guest.wait_boot(120 * m.slow)
    m.guest.work_start("mib=16 busy", 60 * m.slow)
    in_background(m, STRESS)
    if extra:
        m.guest.run("head -c 8388608 /dev/urandom >/tmp/block; echo 4 >/proc/sys/vm/drop_caches", 60)
        in_background(m, DISK)
    time.sleep(m.slow)
    alive = m.guest.run("pidof stress-ng | wc -w; cat /tmp/background.log", 60 * m.slow)
    check(int(alive.split()[0]) >= 7, f"stress-ng does not run: {alive}")
    m.guest.run("dmesg -c >/dev/null", 60 * m.slow)


@scenario(timeout=3 * 3600, long=True)
def soak(m):
    """make soak: 10,000 enters and leaves with 4 CPUs on QEMU, 2,000 with 2 on Bochs, under load; SOAK_CYCLES=N for fewer."""
    cpus, rounds = SOAK[m.rig]
    rounds = int(os.environ.get("SOAK_CYCLES", rounds))
    soak_guest(m, cpus)
    steps.to_native(m)
    begin, done, step = time.monotonic(), 0, 100
    while done < rounds:
        steps.cycle(m, min(step, rounds - done))
        done += min(step, rounds - done)
        work = m.guest.work_check(120 * m.slow)
        print(f"soak: {done} of {rounds} cycles in {time.monotonic() - begin:.0f} s, counter {work['counter']}", flush=True)
    if m.rig == "qemu-svm":
        disk = m.guest.run("wc -l </tmp/disk-rounds; cat /tmp/disk-bad 2>/dev/null | wc -l", 60).split()
        check(int(disk[0]) > 0 and disk[1] == "0", f"the guest's disk: rounds and bad ones: {disk}")
        print(f"soak: the guest wrote and read its disk {disk[0]} times", flush=True)
    check(int(m.guest.run("pidof stress-ng | wc -w", 60 * m.slow)) >= 7, "stress-ng has ended")
    m.guest.run("kill $(cat /tmp/background)", 60 * m.slow)
    steps.time_is_whole(m)
    # A transition that finds an emulated CPU without a real one takes tens of milliseconds; in the middle of a timer's
    # interrupt the guest's kernel notices, once in a boot.
    said = m.guest.run("dmesg | grep -v 'hrtimer: interrupt took' || true", 60 * m.slow)
    check(not said, f"the guest's kernel spoke: {said[:300]}")
    m.guest.work_check(120 * m.slow)
