# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps that many scenarios share: boot, wait for a mode, checkpoint, crash, restore, and look at the guest's clocks.
Every step fails with the reason, and every wait has a deadline, scaled by m.slow."""
import json
import os
import re
import subprocess
import time

import machine
from machine import RigError, mk_image, wait_until
from scenario import check

OPTIONS = "console=com2 settle=never"  # a leave in the middle of a slow boot would meet the UART probe
STORE = ("--store", "192", "--format")
STUCK_S = 100  # on Bochs, where a boot takes 40 s, or twice that beside another machine
EXITS_WHEN_STUCK = 200  # two `status` and what the console's bytes cost
BOOT_S = 30  # on QEMU; twenty times what it takes on an idle machine would hide nothing but a slow one
QUIET = "console=ttyS0 quiet loglevel=3"
# For checkpoints on Bochs, where they take minutes: a third of them is what the boot has freed.
FREED_IS_ZERO = QUIET + " init_on_free=1"


def boot(m, *arguments, options=OPTIONS, cmdline=None, store=STORE, wait=True, mem_mib=256, disks=(), **start):
    """Build the image, start the machine, wait for the guest's shell; returns the image's path."""
    more = ("--cmdline", cmdline) if cmdline else ()
    image = m.image("--options", options, *store, *more, *arguments)
    m.start(image, mem_mib=mem_mib, disks=disks, **start)
    if wait:
        shell(m)
    return image


def boot_several(m, *arguments, boots=4, within=None, **how):
    """A guest with several CPUs. Bochs 2.7 loses an interprocessor interrupt in about one boot of three, with Sojourn or
    without: the guest then waits for ever, and is started again. Nobody has asked Sojourn for anything by then, and it must
    show that it has nothing to do with it: it answers, and the guest runs without exits. A guest that has more memory than
    Bochs holds in memory may crash instead (docs/testing.md has both)."""
    image = boot(m, *arguments, wait=False, **how)
    for left in range(boots, 0, -1):
        try:
            shell(m, within or (STUCK_S if left > 1 else None))
            return image
        except RigError as e:
            in_a_file = how.get("mem_mib", 0) > machine.HOST_MEM_MIB and "BUG: kernel NULL pointer" in str(e)
            if left == 1 or m.rig != "bochs-vmx" or not (in_a_file or "gave nothing" in str(e)):
                raise
            if in_a_file:
                print(f"the guest crashed at boot, as it does there without Sojourn ({e}); it boots again", flush=True)
                again(m, image, mem_mib=how["mem_mib"], cpus=how["cpus"])
                continue
            first = status(m)
            time.sleep(1)
            now = status(m)
            check(now["guest"] == "running", f"the guest is {now['guest']}: {now['reason']}")
            exits = now["exits"]["total"] - first["exits"]["total"]
            if exits >= EXITS_WHEN_STUCK:  # it is on its way, on a busy build machine
                shell(m)
                return image
            print(f"the guest's CPUs wait for each other ({e}); it boots again", flush=True)
            again(m, image, mem_mib=how.get("mem_mib", 256), cpus=how["cpus"])


def boot_plain(m, cmdline=QUIET, **start):
    """The same guest without Sojourn, from an image of its own."""
    m.start(m.image("--sojourn", "none", "--cmdline", cmdline, name="plain.img"), **start)
    shell(m)


def again(m, image, *edit, mem_mib=256, disks=(), **start):
    """Pull the plug and start from the same disk, with the menu edited if asked for."""
    m.power_cut()
    if edit:
        mk_image(image, "--edit", *edit)
    m.start(image, mem_mib=mem_mib, disks=disks, **start)


def shell(m, within=None):
    return m.guest.wait_boot(within or BOOT_S * max(1.0, m.slow / 2))


def status(m):
    """status --json as a dict."""
    return json.loads("".join(m.sojourn.run("status --json")))


def checkpoints(m):
    return json.loads("".join(m.sojourn.run("list --json")))


def wait_mode(m, mode, timeout=20.0):
    def there():
        now = status(m)
        check(now["guest"] == "running", f"the guest is {now['guest']}: {now['reason']}")
        return now if now["mode"] == mode else None

    return wait_until(f"mode {mode}", timeout * max(1.0, m.slow / 2), there, every=0.2)


def to_native(m):
    """Leave, and see from outside that virtualization is off."""
    m.sojourn.run("leave", 20 * m.slow)
    now = wait_mode(m, "native")
    check(not m.virtualization_on(), "native, but the emulator still sees CR4.VMXE or EFER.SVME")
    return now


def to_virtual(m):
    m.sojourn.run("enter", 20 * m.slow)
    now = wait_mode(m, "virtual")
    check(m.virtualization_on(), "virtual, but the emulator sees neither CR4.VMXE nor EFER.SVME")
    return now


def cycle_once(m, number, pause=0.0):
    for command in ("enter", "leave"):
        answer = m.sojourn.cmd(command, 15 * m.slow)
        check(answer.ok and not answer.lines, f"round {number}: {answer!r}")
        time.sleep(pause)


def cycle(m, rounds, pause=0.0):
    """enter and leave, each answered ok and each one done: the counters must match exactly."""
    before = status(m)["transitions"]
    for number in range(rounds):
        cycle_once(m, number, pause)
    wait_mode(m, "native")
    after = status(m)["transitions"]
    for name in ("enter", "leave"):
        check(after[name] - before[name] == rounds, f"{rounds} rounds made {after[name] - before[name]} times {name}")
    check(after["refused"] == before["refused"], f"refused: {after['last_refusal']}")


def settle(m):
    """Until the guest was left for the first time."""
    now = wait_mode(m, "native", 40.0)
    check(not m.virtualization_on(), "settled, but the emulator still sees CR4.VMXE or EFER.SVME")
    check(now["transitions"]["leave"] >= 1, "native without a leave")
    return now


def checkpoint(m, label="", timeout=60.0):
    """Returns the new checkpoint's row of list --json."""
    before = {c["id"] for c in checkpoints(m)}
    m.sojourn.run("checkpoint" + (f' --label "{label}"' if label else ""), timeout * max(1.0, m.slow / 2))
    new = [c for c in checkpoints(m) if c["id"] not in before]
    check(len(new) == 1 and new[0]["state"] == "committed", f"one new checkpoint was expected, list shows {new}")
    check(new[0]["label"] == label, f"the label {label!r} became {new[0]['label']!r}")
    return new[0]


def restore(m, which="latest", timeout=60.0):
    """In place. `ok` means checked and begun; what is typed at the guest before it runs again overruns its UART."""
    m.sojourn.run(f"restore {which}", timeout * max(1.0, m.slow / 2))
    outcome = m.sojourn.expect(r"\* restore: ([^\r\n]+)\r?\n", timeout * max(1.0, m.slow / 2)).group(1)
    check(outcome == "done", f"restore {which}: {outcome}")
    wait_until("the restored guest runs", 10 * m.slow, lambda: status(m)["guest"] == "running")
    m.guest.drop()


def crash(m):
    """sysrq-c: the guest's kernel panics and never comes back by itself."""
    m.guest.drop()
    m.guest.send("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger\n")
    m.guest.expect("Kernel panic - not syncing: sysrq triggered crash[^\r\n]*", 20 * m.slow)


def clocks(m):
    """(uptime in seconds, date in seconds) as the guest tells them."""
    up, date = m.guest.run("cut -d' ' -f1 /proc/uptime; date +%s", 20 * m.slow).split()
    return float(up), int(date)


def timers_fire(m):
    """sleep 1 takes about one second on each of the guest's clocks, and outside it ends at all."""
    out = m.guest.run("a=$(cut -d' ' -f1 /proc/uptime); sleep 1; b=$(cut -d' ' -f1 /proc/uptime); echo $a $b", 60 * m.slow)
    a, b = (float(x) for x in out.split())
    check(0.95 <= b - a <= 4.0, f"sleep 1 took {b - a:.2f} s of the guest's time")


def time_is_whole(m):
    """The kernel has not given up its TSC, and says nothing about clocks going wrong. With several of QEMU's AMD CPUs, which
    do not claim a constant TSC, Linux never uses it: "TSCs unsynchronized" is a verdict from the table, not a finding."""
    source = m.guest.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource", 20 * m.slow)
    said = m.guest.sh("dmesg | grep -iE 'clocksource|tsc:' | tail -n 4", 20 * m.slow)[1]
    want = "hpet" if m.rig == "qemu-svm" and m.cpus > 1 else "tsc"
    check(source == want, f"the clocksource is {source}, not {want}: {said}")
    bad = m.guest.sh("dmesg | grep -iE 'unstable|stall|soft lockup|hung|TSC ADJUST' | grep -vE 'TSCs unsynchronized|default tracing clock'",
                     20 * m.slow)[1]
    check(not bad, f"the guest's kernel complains: {bad}")


def kernel_messages(m):
    """dmesg without times, as a list."""
    out = m.guest.run("dmesg", 60 * m.slow)
    return [re.sub(r"^(<\d+>)?\[ *\d+\.\d+\] ", "", line) for line in out.splitlines()]


def interrupt_count(m, name):
    """Sum over CPUs of a line of /proc/interrupts, e.g. NMI."""
    line = m.guest.run(f"grep '^ *{name}:' /proc/interrupts", 20 * m.slow)
    return sum(int(word) for word in line.split(":")[1].split() if word.isdigit())


def refused(m, command, code, timeout=30.0):
    """The command has to end in this error; returns its text."""
    answer = m.sojourn.cmd(command, timeout * max(1.0, m.slow / 2))
    check(answer.code == code, f"{command!r} gave {answer!r}, not error {code}")
    check(answer.text, f"{command!r}: error {code} without a text")
    return answer.text


def fails(what, *pattern):
    """Run what() and see it raise RigError with the pattern in its text: for checks of checks."""
    try:
        what()
    except RigError as e:
        check(not pattern or re.search(pattern[0], str(e)), f"failed with {e}, not with {pattern[0]!r}")
        return
    check(False, "it did not fail")


def physical(m, symbol):
    """Where a symbol of the host's image lies."""
    base = int(re.search(r"hidden memory: base=0x([0-9a-f]+)", "\n".join(m.sojourn.run("log", 20 * m.slow))).group(1), 16)
    names = subprocess.run(["nm", os.path.join(machine.TOP, "build/sojourn.debug")], stdout=subprocess.PIPE, text=True, check=True)
    found = re.search(rf"(?m)^([0-9a-f]+) \w {symbol}$", names.stdout)
    check(found, f"no symbol {symbol}")
    return base + (int(found.group(1), 16) & 0xFFFFFFFF)
