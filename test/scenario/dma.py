# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that write to memory past the tables while a checkpoint is written."""
import mmap
import socket
import struct
import threading

import guest_tools
import steps
from machine import wait_until
from saving_tools import sojstore
from scenario import check, scenario

READ_BYTE = b"\x5a"  # as test/guest/dma.c expects it
DISK_MIB = 16
RATE = "rate=60"  # MiB/s: four seconds, in which a device writes to all it was given
ADDRESS, HOST = "10.0.2.15", "10.0.2.2"  # of QEMU's user network


def disk(m, name):
    path = m.path(name)
    with open(path, "wb") as f:
        f.write(READ_BYTE * (DISK_MIB << 20))
    return path


def boot(m, *extra, options=f"{steps.OPTIONS} {RATE} unknown-dma=refuse", **more):
    kernel = guest_tools.debian("amd64", "amd64-devices-initrd.img", *guest_tools.DEVICES)
    image = steps.boot(m, *kernel, options=options, extra=extra, wait=False, **more)
    m.guest.wait_boot(90)
    return image


def rounds(m):
    return int(m.guest.run("[ -s /tmp/dma-rounds ] && od -An -tu8 -N8 /tmp/dma-rounds || echo 0").split()[0])


def going(m, least=100):
    """It has found nothing wrong, and goes on."""
    before = rounds(m)

    def more():
        said = m.guest.run("cat /tmp/dma.log")
        check(not said, f"in the guest: {said}")
        return rounds(m) >= before + least

    wait_until(f"{least} rounds more", 60, more, every=0.5)


def live(m):
    """A checkpoint of a guest that went on meanwhile, although devices wrote to memory."""
    row = steps.checkpoint(m)
    log = m.sojourn.run("log")
    check(not any("stands still" in line for line in log), f"the guest was stopped for its memory: {log[-8:]}")
    return row


def reads_saved_and_restored(m, name):
    m.guest.run(f"(dma reads /dev/{name} >/tmp/dma.log 2>&1 &)")
    going(m)
    before = rounds(m)
    check(live(m)["disk"] == "memory-only", "the list does not say that the guest has a disk")
    check(rounds(m) > before + 50, "it did not go on while it was saved")
    going(m)
    steps.restore(m)
    going(m)
    m.guest.work_check()
    bad = m.guest.sh("dmesg | grep -iE 'ata[0-9].*(error|fail|reset|frozen|exception)|I/O error'")[1]
    check(not bad, f"the guest's disk driver complains: {bad}")


@scenario(rigs=("qemu",), timeout=240)
def dma_ahci(m):
    """A guest reads its AHCI disk all the time, is saved meanwhile, and restored: no read from after the cut is in its memory."""
    path = disk(m, "own.img")
    boot(m, "-device", "ahci,id=ahci1", "-drive", f"if=none,id=own,file={path},format=raw", "-device", "ide-hd,drive=own,bus=ahci1.0")
    m.guest.work_start("mib=16")
    reads_saved_and_restored(m, "sda")


@scenario(rigs=("qemu",), timeout=240, long=True)
def dma_ide(m):
    """The same with a disk on a PIIX3, whose bus master is started by a port."""
    path = disk(m, "own.img")
    boot(m, "-device", "piix3-ide,id=ide9", "-drive", f"if=none,id=own,file={path},format=raw", "-device", "ide-hd,drive=own,bus=ide9.0")
    m.guest.work_start("mib=16")
    reads_saved_and_restored(m, "sda")


def serve():
    """Counted words to whoever connects, as test/guest/dma.c wants them; the port."""
    body = struct.pack("<%dQ" % (96 * 2048), *range(96 * 2048))
    listener = socket.create_server(("127.0.0.1", 0))

    def send(connection):
        with connection:
            try:
                connection.sendall(body)
            except OSError:
                pass  # the guest was restored

    def accept():
        while True:
            threading.Thread(target=send, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def network_up(m):
    m.guest.run(f"ip link set eth0 up; ip addr add {ADDRESS}/24 dev eth0")


def fetching(m):
    """It fetches words all the time."""
    network_up(m)
    m.guest.work_start("mib=16")
    m.guest.run(f"(dma net {HOST} {serve()} >/tmp/dma.log 2>&1 &)")
    going(m, 10)


def fetches_meanwhile(m):
    before = rounds(m)
    live(m)
    check(rounds(m) > before, "nothing was received while it was saved")
    going(m, 10)


def network(m, card, cpus=1):
    extra = ("-netdev", "user,id=n", "-device", f"{card},netdev=n")
    image = boot(m, *extra, cpus=cpus)
    fetching(m)
    fetches_meanwhile(m)
    steps.restore(m)
    m.guest.work_check()
    going(m, 10)
    bad = m.guest.sh("dmesg | grep -E 'Hang|timed out|[Rr]eset adapter'")[1]
    check(not bad, f"the guest's network driver complains: {bad}")
    return image, extra


@scenario(rigs=("qemu",), timeout=300)
def dma_e1000(m):
    """A guest that receives all the time from an 82540EM is saved and restored, in place and after a power cut; its network goes on."""
    image, extra = network(m, "e1000")
    steps.checkpoint(m, "cold")
    steps.again(m, image, "--options", f"{steps.OPTIONS} {RATE} restore=latest", extra=extra)
    m.sojourn.expect(r"\* restored checkpoint", 60)
    m.guest.drop()
    going(m, 10)
    m.guest.work_check()


@scenario(rigs=("qemu",), timeout=300, long=True)
def dma_e1000e(m):
    """The same with an 82574L and two CPUs."""
    network(m, "e1000e", cpus=2)


FRAME_WORD, SEEN_WORD = b"nEMSfreN", b"nEMSseeN"  # test/guest/dma.c
FRAME_HEAD = b"\xff" * 6 + b"\x02sojrn" + b"\x88\xb5" + FRAME_WORD
FRAMES_PER_S = 200
UNREAD = 100  # frames that may lie in a ring at the cut, of a guest that had no CPU for half a second; from after it come ten times as many


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Frames:
    """Numbered frames for the card at the other end of QEMU's datagram socket, until the with statement ends."""

    def __init__(self):
        self.port, self.peer, self.sent, self.end = free_port(), free_port(), 0, threading.Event()
        self.thread = threading.Thread(target=self.send, daemon=True)

    def netdev(self):
        inet = ",".join(f"{end}.type=inet,{end}.host=127.0.0.1,{end}.port={port}"
                        for end, port in (("local", self.port), ("remote", self.peer)))
        return "-netdev", f"dgram,id=n,{inet}"

    def send(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            while not self.end.wait(1 / FRAMES_PER_S):
                self.sent += 1
                s.sendto(FRAME_HEAD + struct.pack("<Q", self.sent) * 120, ("127.0.0.1", self.port))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def numbers(core, mark):
    """All numbers behind the mark in the core file."""
    with open(core, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        at = memory.find(mark)
        while at >= 0:
            yield struct.unpack_from("<Q", memory, at + len(mark))[0]
            at = memory.find(mark, at + 1)


def nothing_from_after_the_cut(m, card, cpus=1):
    """A card receives frames all the time: the checkpoint has none that came after the last one that its guest had seen."""
    with Frames() as frames:
        image = boot(m, *frames.netdev(), "-device", f"{card},netdev=n", cpus=cpus)
        m.guest.run("ip link set eth0 up; (dma frames eth0 >/tmp/dma.log 2>&1 &)")
        going(m)
        before = frames.sent
        live(m)
        arrived = frames.sent - before
        going(m)
        m.sojourn.run("verify", 60)
        m.power_cut()
    core = m.path("core")
    done = sojstore("extract", image, "latest", core)
    check(done.returncode == 0, f"sojstore extract: {done.stdout}")
    seen, newest = max(numbers(core, SEEN_WORD)), max(numbers(core, FRAME_HEAD))
    print(f"frames: seen by the guest {seen}, newest in its memory {newest}, sent while it was saved {arrived}", flush=True)
    check(arrived > 5 * UNREAD, f"only {arrived} frames were sent while it was saved")
    check(before - 2 * FRAMES_PER_S < seen <= newest, f"the guest had seen frame {seen} of {before}")
    check(newest <= seen + UNREAD, f"frame {newest} is in the checkpoint, and the guest had seen {seen}")


@scenario(rigs=("qemu",), timeout=240)
def dma_cut_e1000(m):
    """What an 82540EM receives after the cut is not in the checkpoint."""
    nothing_from_after_the_cut(m, "e1000")


@scenario(rigs=("qemu",), timeout=240, long=True)
def dma_cut_e1000e(m):
    """The same with an 82574L and two CPUs."""
    nothing_from_after_the_cut(m, "e1000e", cpus=2)


@scenario(rigs=("qemu",), timeout=240)
def dma_cut_virtio(m):
    """The same with a virtio card, whose driver hands it buffers in memory alone."""
    nothing_from_after_the_cut(m, "virtio-net-pci", cpus=2)


@scenario(rigs=("qemu",), timeout=300)
def dma_virtio(m):
    """A guest that fetches words by a virtio card all the time is saved, and goes on; after a restore its driver has to be bound anew."""
    boot(m, "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n", cpus=2)
    fetching(m)
    for to in (steps.to_virtual, steps.to_native):
        to(m)
        fetches_meanwhile(m)
    steps.restore(m)
    m.guest.work_check()
    m.guest.run("cd /sys/bus/pci/drivers/virtio-pci && echo 0000:00:02.0 >unbind && echo 0000:00:02.0 >bind", 30)
    network_up(m)
    going(m, 10)


def listed(m):
    """The devices that status says cannot be followed."""
    notes = [note for note in steps.status(m)["notes"] if "may write memory" in note]
    check(all(note.startswith("00:02.0 (class 020000) ") for note in notes) and len(notes) < 2, f"status has {notes}")
    return notes


@scenario(rigs=("qemu",), timeout=240)
def dma_legacy(m):
    """A virtio card whose driver uses the registers of before 1.0 cannot be followed: the guest stands still."""
    boot(m, "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,disable-modern=on", options=steps.OPTIONS)
    network_up(m)
    m.guest.run(f"ping -c 1 -W 10 {HOST}", 30)
    steps.checkpoint(m)
    check("the guest stands still" in listed(m)[0], "the card is not listed")
    check(any("stands still" in line for line in m.sojourn.run("log")), "the guest went on")
    m.guest.run(f"ping -c 1 -W 10 {HOST}", 30)


@scenario(rigs=("qemu",), timeout=240)
def dma_packed(m):
    """One with packed rings, which shows at the cut only: no checkpoint if that was wanted, and the guest goes on."""
    card = ("-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,packed=on")
    image = boot(m, *card, cpus=2)
    network_up(m)
    for to in (steps.to_virtual, steps.to_native):
        to(m)
        steps.refused(m, "checkpoint", "E_DMA")
        m.guest.run(f"ping -c 1 -W 10 {HOST}", 30)
    steps.again(m, image, "--options", steps.OPTIONS, extra=card)
    m.guest.wait_boot(90)
    network_up(m)
    m.guest.run(f"ping -c 1 -W 10 {HOST}", 30)
    steps.checkpoint(m)
    check(any("virtio-net 0010 cannot be followed" in line for line in m.sojourn.run("log")), "the guest went on")
    m.guest.run(f"ping -c 1 -W 10 {HOST}", 30)


@scenario(rigs=("qemu",), timeout=240)
def dma_unknown(m):
    """A network card nobody knows: the guest stands still, and if the card writes after the cut there is no checkpoint."""
    port = free_port()
    extra = ("-netdev", f"user,id=n,hostfwd=udp:127.0.0.1:{port}-{ADDRESS}:9", "-device", "rtl8139,netdev=n")
    image = boot(m, *extra, options=steps.OPTIONS, cpus=2)
    m.guest.work_start("mib=16")
    network_up(m)
    m.guest.run(f"ping -c 1 -W 10 {HOST}", 30)
    for to in (steps.to_virtual, steps.to_native):
        to(m)
        check("the guest stands still" in listed(m)[0], "the card is not listed")
    steps.checkpoint(m)
    check(any("00:02.0 may write memory" in line for line in m.sojourn.run("log")), "the card is not named")
    m.guest.run("ip link set eth0 down; echo 0000:00:02.0 >/sys/bus/pci/drivers/8139cp/unbind", 30)
    check(listed(m), "nobody has looked since")
    steps.checkpoint(m)
    check(not listed(m), "the card is listed still")
    m.guest.run("echo 0000:00:02.0 >/sys/bus/pci/drivers/8139cp/bind", 30)
    network_up(m)
    for _ in range(2):
        m.sojourn.run(f"delete {steps.checkpoints(m)[-1]['id']}", 60)
    steps.checkpoint(m)
    stop = threading.Event()

    def packets():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            while not stop.wait(0.02):
                s.sendto(b"packet", ("127.0.0.1", port))

    sender = threading.Thread(target=packets, daemon=True)
    sender.start()
    refusal = steps.refused(m, "checkpoint", "E_DMA", 60)
    check("wrote to memory" in refusal, refusal)
    stop.set()
    sender.join()
    check(len(steps.checkpoints(m)) == 1, "what was given up is listed")
    m.guest.run(f"ping -c 1 -W 10 {HOST}", 30)
    steps.checkpoint(m)
    m.sojourn.run("verify", 60)
    m.guest.work_check()
    steps.restore(m)
    m.guest.work_check()
    steps.again(m, image, "--options", f"{steps.OPTIONS} unknown-dma=refuse", extra=extra)
    m.guest.wait_boot(90)
    network_up(m)
    check("no checkpoints" in listed(m)[0], "the card is not listed")
    steps.refused(m, "checkpoint", "E_DMA")


@scenario(rigs=("qemu",), timeout=240)
def pci_pairs(m):
    """CF8 and CFC are a pair: what the host does with them never comes between a guest's CPU and its function."""
    boot(m, options=steps.OPTIONS, cpus=2)
    steps.checkpoint(m)
    m.guest.run("(dma pci >/tmp/dma.log 2>&1 &)")
    for to in (steps.to_native, steps.to_virtual):
        to(m)
        going(m)
        for _ in range(200):
            m.sojourn.run("pin 1", 20)
        steps.checkpoint(m)
        going(m)


@scenario(rigs=("qemu",), timeout=240)
def dma_screen(m):
    """Two CPUs, one of which writes to the text screen all the time: what a checkpoint has of it is of the cut, although it is read
    piece by piece while the guest runs. A process that uses the CPU in unusual ways notices nothing of all this."""
    boot(m, options=steps.OPTIONS, cpus=2)
    m.guest.work_start("mib=16")
    m.guest.run("(dma screen >/tmp/dma.log 2>&1 &)")
    guest_tools.user_starts(m)
    going(m, 5)
    for to in (steps.to_virtual, steps.to_native):
        to(m)
        live(m)
        going(m, 5)
        steps.restore(m)
        going(m, 5)
        m.guest.work_check()
        guest_tools.user_goes_on(m)
