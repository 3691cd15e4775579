# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged stores, failing disks, missing modules, odd options, garbage on the console: a clear word, and a way on."""
import os
import random
import shutil
import struct
import time
import uuid

import machine
import saving_tools as st
import steps
from console import RigError
from scenario import check, scenario

BLOCK = 4096
# The superblock's fields: docs/store-format.md.
FIELDS = {"magic": 0, "version": 8, "header_bytes": 12, "checksum": 16, "generation": 24, "features_required": 32,
          "features_write": 40, "features_optional": 48, "uuid": 56, "total_blocks": 72, "data_first": 80, "block_bytes": 88,
          "table_entry_bytes": 92, "table_count": 96, "table_hash": 104, "next_id": 120, "created": 128, "reserved": 140}
SLOT_B = 128 * BLOCK


def extent(image):
    """(first byte, bytes) of the store partition, from the GPT."""
    wanted = uuid.UUID("534F4A4F-5552-4E00-8000-53544F524531").bytes_le
    with open(image, "rb") as f:
        f.seek(1024)
        table = f.read(128 * 128)
    for at in range(0, len(table), 128):
        if table[at : at + 16] == wanted:
            first, last = struct.unpack_from("<QQ", table, at + 32)
            return first * 512, (last - first + 1) * 512
    raise RigError(f"no store partition in {image}")


def flip(image, at, mask=0x10):
    with open(image, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ mask]))


def data_runs(image, first):
    """(byte, bytes) of what the newest checkpoint of a store with one owns, from slot A or B's table."""
    best = (0, [])
    with open(image, "rb") as f:
        for slot in (0, SLOT_B):
            f.seek(first + slot)
            generation = struct.unpack_from("<Q", f.read(BLOCK), FIELDS["generation"])[0]
            entry = f.read(512)
            runs = struct.unpack_from("<32Q", entry, 256)
            count = struct.unpack_from("<I", entry, 80)[0]
            if generation > best[0]:
                best = (generation, [(first + runs[2 * i] * BLOCK, runs[2 * i + 1] * BLOCK) for i in range(count)])
    return best[1]


def goes_on(m):
    m.guest.drop()
    m.guest.work_check(60 * m.slow)


@scenario(rigs=("qemu",), timeout=150)
def superblock_fields(m):
    """Every superblock field corrupted in turn, in one copy and in both; a truncated store; a boot with a bad one."""
    image = steps.boot(m)
    steps.checkpoint(m, "kept")
    m.power_cut()
    first, size = extent(image)
    check(len(st.committed(image)) == 1, "no checkpoint to begin with")
    for name, offset in FIELDS.items():
        for slots, whole in (((0,), True), ((SLOT_B,), True), ((0, SLOT_B), False)):
            for slot in slots:
                flip(image, first + slot + offset)
            done = st.sojstore("list", image, "--json")
            if whole:  # the older copy may know less, but it is a store
                check(done.returncode == 0, f"{name} damaged in one copy: {done.stdout}")
            else:
                check(done.returncode == 1 and len(done.stdout) > 20, f"{name} damaged in both: {done.returncode} {done.stdout}")
                check(st.sojstore("verify", image).returncode == 1, f"{name} damaged in both, and verify finds nothing")
            for slot in slots:
                flip(image, first + slot + offset)
    check(len(st.committed(image)) == 1, "the store did not survive being repaired")
    # A file that ends in the middle of the store.
    short = m.path("short.img")
    shutil.copyfile(image, short)
    os.truncate(short, first + size // 8)
    done = st.sojstore("verify", short)
    check(done.returncode == 1 and done.stdout, f"a truncated store: {done.returncode} {done.stdout}")
    # The machine with a bad store: everything but checkpoints works, and the reason is said.
    for slot in (0, SLOT_B):
        flip(image, first + slot + FIELDS["total_blocks"])
    steps.again(m, image, "--options", "console=com2 settle=never restore=latest")
    steps.shell(m)
    now = steps.status(m)
    check(now["store"]["state"] == "bad" and now["store"]["text"], f"status with a bad store: {now['store']}")
    check(any("store not usable" in line for line in m.sojourn.run("log")), "the log does not say why the store is not used")
    steps.refused(m, "checkpoint", "E_BADSTORE")
    steps.refused(m, "restore latest", "E_BADSTORE")
    steps.to_native(m)
    m.sojourn.run("format --yes")
    steps.checkpoint(m, "after format")
    check(steps.status(m)["store"]["state"] == "ready", "formatted, but not ready")


@scenario(rigs=("qemu",), timeout=150)
def bit_flips(m):
    """A flipped bit anywhere in a checkpoint: restore is refused before anything is overwritten, and the guest goes on."""
    image = steps.boot(m)
    m.guest.work_start("mib=16")
    steps.to_native(m)
    steps.checkpoint(m, "to be damaged")
    first, _ = extent(image)
    runs = data_runs(image, first)
    check(runs, "no data of the checkpoint found")
    at_random = random.Random(7)
    used = struct.unpack_from("<Q", read(image, runs[0][0] - runs[0][0] % BLOCK, 16), 0)[0]
    check(used, "the checkpoint's data are empty")
    places = [runs[0][0], runs[0][0] + 40] + [start + at_random.randrange(size - BLOCK) for start, size in runs for _ in range(6)]
    for number, place in enumerate(places):
        m.guest.run(f"echo {number} >/tmp/mark")
        flip(image, place)
        text = steps.refused(m, "restore latest", "E_CHECKSUM", 60)
        check(m.guest.run("cat /tmp/mark") == str(number), f"refused ({text}), but the guest was changed")
        if number == 0:
            steps.refused(m, "verify", "E_CHECKSUM", 60)
        check(st.sojstore("verify", image).returncode == 1, "sojstore verify does not see the flip")
        flip(image, place)
    m.guest.work_check()
    m.sojourn.run("verify", 60)
    steps.restore(m)
    m.guest.work_check()


def read(path, at, count):
    with open(path, "rb") as f:
        f.seek(at)
        return f.read(count)


def rules(m, *lines):
    path = m.path("blkdebug.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(lines) + "\n")
    return path


@scenario(rigs=("qemu",), timeout=150)
def disk_errors(m):
    """Write errors during a checkpoint, read errors during a restore: E_IO, the guest goes on, the store stays whole."""
    image = steps.boot(m)
    m.guest.work_start("mib=16")
    m.guest.run("echo kept >/tmp/mark")
    steps.checkpoint(m, "good")
    m.power_cut()
    first, _ = extent(image)
    start, size = data_runs(image, first)[0]
    conf = rules(m, "[inject-error]", 'event = "none"', 'iotype = "write"', 'errno = "5"', 'once = "off"')
    m.start(f"file.driver=blkdebug,file.config={conf},file.image.filename={image},format=raw")
    steps.shell(m)
    m.guest.work_start("mib=16")
    m.guest.run("echo later >/tmp/mark")
    steps.to_native(m)
    for _ in range(2):
        steps.refused(m, "checkpoint", "E_IO", 60)
        goes_on(m)
        check(not m.virtualization_on(), "native before the failed checkpoint, virtual after it")
    check(len(steps.checkpoints(m)) == 1, "the failed checkpoint is in the list")
    m.sojourn.run("verify", 60)
    steps.restore(m)
    check(m.guest.run("cat /tmp/mark") == "kept", "reading works, but the restore brought something else")
    m.power_cut()
    check(len(st.committed(image)) == 1 and st.sojstore("verify", image).returncode == 0, "write errors harmed the store")
    conf = rules(m, "[inject-error]", 'event = "none"', 'iotype = "read"', 'errno = "5"', 'once = "off"', f'sector = "{(start + size // 2) // 512}"')
    m.start(f"file.driver=blkdebug,file.config={conf},file.image.filename={image},format=raw")
    steps.shell(m)
    m.guest.work_start("mib=16")
    m.guest.run("echo later >/tmp/mark")
    for _ in range(2):
        steps.refused(m, "restore latest", "E_IO", 60)
        goes_on(m)
    check(m.guest.run("cat /tmp/mark") == "later", "the refused restore changed the guest")
    steps.checkpoint(m, "beside the bad sector")
    steps.to_native(m)
    goes_on(m)


@scenario(rigs=("qemu",), timeout=150)
def no_store(m):
    """No store partition, store=none, one that is too small, one that is not formatted: said, and no harm."""
    image = steps.boot(m, store=())
    check(steps.status(m)["store"]["state"] == "absent", "a store without a partition")
    for command in ("checkpoint", "list", "restore latest", "verify", "format --yes"):
        steps.refused(m, command, "E_NOSTORE")
    steps.to_native(m)
    m.power_cut()
    image = m.image("--options", "console=com2 settle=never restore=latest", "--store", "2", name="small.img")
    done = st.sojstore("format", image)
    check(done.returncode == 1 and "small" in done.stdout, f"sojstore format of 2 MiB: {done.returncode} {done.stdout}")
    m.start(image)
    steps.shell(m)
    check(steps.status(m)["store"]["state"] == "bad", "an unformatted partition of 2 MiB counts as a store")
    steps.refused(m, "format --yes", "E_TOOSMALL")
    steps.refused(m, "checkpoint", "E_NOSTORE")
    steps.to_native(m)
    m.power_cut()
    image = m.image("--options", "console=com2 settle=never store=none", *steps.STORE, name="none.img")
    m.start(image)
    steps.shell(m)
    check(steps.status(m)["store"]["state"] == "absent", "store=none has no effect")


@scenario(rigs=("qemu",), timeout=120)
def other_machine(m):
    """A checkpoint from a machine with another memory size is refused with the reason; the guest boots instead."""
    image = steps.boot(m)
    steps.checkpoint(m, "of 256 MiB")
    steps.again(m, image, "--options", "console=com2 settle=never restore=latest", mem_mib=320)
    steps.shell(m)
    check(any("E_LAYOUT" in line for line in m.sojourn.run("log")), "the log does not say why nothing was restored")
    m.guest.run("echo here >/tmp/mark")
    text = steps.refused(m, "restore latest", "E_LAYOUT")
    check(m.guest.run("cat /tmp/mark") == "here", f"refused ({text}), but the guest changed")
    steps.refused(m, "restore latest --force", "E_LAYOUT")
    steps.to_native(m)


@scenario(rigs=("qemu",), timeout=120)
def no_guest(m):
    """No module, a module that is no kernel: the reason, the console alive, reboot works, restore brings a guest."""
    image = m.image("--options", steps.OPTIONS, "--kernel", "none", *steps.STORE)
    for text in ("E_NOMODULE", "E_BADMODULE"):
        m.start(image)
        m.sojourn.expect(text, 30)
        m.sojourn.wake(20)
        check(steps.status(m)["guest"] == "none", "a guest without a module")
        for command in ("enter", "leave", "checkpoint"):
            steps.refused(m, command, "E_NOGUEST")
        steps.refused(m, "restore latest", "E_NOTFOUND")
        m.sojourn.drop()
        m.sojourn.send("reboot\r")
        m.sojourn.expect("boot: Sojourn ", 40)
        m.sojourn.expect(text, 30)
        m.power_cut()
        junk = m.path("junk")
        with open(junk, "wb") as f:
            f.write(random.Random(3).randbytes(70000))
        image = m.image("--options", steps.OPTIONS, "--guest", junk, *steps.STORE, name="junk.img")


@scenario(rigs=("qemu",), timeout=150)
def odd_options(m):
    """Unknown options and values: a warning each, defaults, the guest starts. start=native, console=none, settle=never."""
    image = steps.boot(m, options="console=com2 settle=soon frobnicate=7 start=virtuel on-crash= settle=never", store=())
    notes = "\n".join(steps.status(m)["notes"])
    for word in ("settle=soon", "frobnicate", "start=virtuel", "on-crash"):
        check(word in notes, f"no warning about {word}: {notes!r}")
    time.sleep(4)
    check(steps.status(m)["mode"] == "virtual", "settle=never, but the guest was left")
    m.guest.work_start("mib=8")
    m.guest.work_check()

    steps.again(m, image, "--options", "start=native")
    steps.shell(m)
    check(not m.virtualization_on(), "start=native, but virtualization is on")
    m.guest.work_start("mib=8")
    m.guest.work_check()
    check("uart:16550A" in m.guest.run("sed -n 3p /proc/tty/driver/serial"), "start=native, but COM2 is taken from the guest")

    steps.again(m, image, "--options", "console=none settle=1")
    steps.shell(m)
    time.sleep(2)
    check(m.virtualization_on(), "console=none: the guest was left, and there is no way back in")
    m.guest.work_start("mib=8")
    m.guest.work_check()
    check("uart:16550A" in m.guest.run("sed -n 3p /proc/tty/driver/serial"), "console=none, but COM2 is taken from the guest")

    steps.again(m, image, "--options", "backend=vmx")
    steps.shell(m)
    check(not m.virtualization_on(), "backend=vmx on a machine with SVM only must start natively")


@scenario(rigs=("qemu",), timeout=120)
def console_garbage(m):
    """Noise, endless lines and control bytes on the console: it answers the next clean line, and the guest lives."""
    steps.boot(m, store=())
    m.guest.work_start("mib=8")
    noise = random.Random(11)
    for mode in ("virtual", "native"):
        if mode == "native":
            steps.to_native(m)
        for length in (300, 3000, 20000):
            data = bytes(noise.choice(range(256)) for _ in range(length))
            # Random words are no commands; the two that would end the test are made harmless all the same.
            m.sojourn.send(data.replace(b"r", b"_").replace(b"f", b"_").decode("latin-1"))
            time.sleep(0.5)
            m.sojourn.send("\x15\r" * 2)
            time.sleep(0.5)
            m.sojourn.wake(20)
            check(steps.status(m)["guest"] == "running", "noise on the console stopped the guest")
        m.sojourn.send("x" * 5000 + "\r")
        time.sleep(0.5)
        m.sojourn.wake(20)
        # A prompt people can use: backspace, and the line before again.
        m.sojourn.drop()
        m.sojourn.send("versiom\x7fn\r")
        m.sojourn.expect(r"sojourn \S+\r\nok\r\n", 10)
        m.sojourn.send("\x1b[A\r")
        m.sojourn.expect(r"sojourn \S+\r\nok\r\n", 10)
        m.guest.work_check()
    steps.to_virtual(m)
    steps.to_native(m)


@scenario(rigs=("qemu",), timeout=60)
def little_memory(m):
    """64 MiB: whatever does not fit is said, and the guest that does fit runs unharmed."""
    image = m.image("--options", "console=com2 settle=never", "--guest",
                    os.path.join(machine.TOP, "build/tiny/tiny.elf") + ":tiny visible hidden=none conport=none")
    m.start(image, mem_mib=64)
    m.guest.expect("checks failed=0\r\n", 30, never="FAIL|EXCEPTION")
    m.guest.expect("count=4 ", 30, never="EXCEPTION")
    said = m.sojourn.seen()
    check("E_NOMEM" in said or m.virtualization_on(), f"neither virtual nor told why not: {said[-300:]!r}")
