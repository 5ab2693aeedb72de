# SPDX-License-Identifier: GPL-2.0
"""A bare root as the disk of a guest, which boots with its own kernel, initramfs and systemd.

A Disk is an ext4 image of the root's files. A Guest boots it by tools/vm, with the initramfs that is
on the disk by then, and runs scripts there as BareRoot does in its chroot. A service that Disk adds
takes them on the guest's second serial port: the size of a script in a line, and the script; it answers
with the status and the size of the output in a line, and the output.
"""
import os
import select
import subprocess
import time

import bareroot

SIZE = "8G"
BOOT_SECONDS, RUN_SECONDS, END_SECONDS = 900, 1800, 300

SERVICE = """[Unit]
Description=Runs what comes on the second serial port
[Service]
ExecStart=/bin/sh /usr/local/lib/run-scripts
[Install]
WantedBy=multi-user.target
"""
RUN_SCRIPTS = """stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 3>/dev/ttyS1
echo ready >&3
while read -r size; do
    head -c "$size" >/run/script
    env -i HOME=/root USER=root LOGNAME=root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh /run/script >/run/output 2>&1 </dev/null 3>&-
    echo "$? $(stat -c %s /run/output)" >&3
    cat /run/output >&3
done
"""


class Silent(Exception):
    """The guest ended or said nothing for too long."""


class Disk:
    """The image lies beside the root, whose later changes it does not see."""
    def __init__(self, root):
        self.path = root.path + ".img"
        with open(root.inside("/etc/systemd/system/run-scripts.service"), "w", encoding="ascii") as file:
            file.write(SERVICE)
        with open(root.inside("/usr/local/lib/run-scripts"), "w", encoding="ascii") as file:
            file.write(RUN_SCRIPTS)
        wanted = root.inside("/etc/systemd/system/multi-user.target.wants")
        os.makedirs(wanted, exist_ok=True)
        os.symlink("../run-scripts.service", os.path.join(wanted, "run-scripts.service"))
        # What is thrown away needs no journal, and no block that is written before it is used.
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1",
                        "-d", root.path, self.path, SIZE], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def read(self, path, target):
        """Copies a file of the disk, which no guest may use meanwhile."""
        subprocess.run(["debugfs", "-R", f"dump {path} {target}", self.path], check=True,
                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Guest:
    def __init__(self, root, name, *arguments):
        """name: of its logs. arguments: for tools/vm, for each boot."""
        self.root, self.name, self.arguments = root, name, arguments
        self.vm = None

    def boot(self, disk, release, *arguments):
        """Boots the disk with its kernel of that release. arguments: further ones for this boot. Returns
        the seconds that it took."""
        begin = time.monotonic()
        initrd = self.root.path + ".initrd"
        disk.read(f"/boot/initrd.img-{release}", initrd)
        self.vm = subprocess.Popen(
            [os.path.join(bareroot.TOOLS, "vm"), "--initrd", initrd, "--kernel", self.root.path,
             "--name", self.name, "--timeout", "3600", "--append=root=/dev/vda rw",
             "--qemu", f"-drive file={disk.path},if=none,id=disk,format=raw,cache=unsafe "
                       "-device virtio-blk-pci,drive=disk,addr=2", *self.arguments, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._read_line(BOOT_SECONDS)
        return time.monotonic() - begin

    def run(self, script, env=None):
        """Returns (status, output)."""
        self._send("".join(f"export {name}='{value}'\n" for name, value in (env or {}).items()) + script)
        status, size = self._read_line(RUN_SECONDS).split()
        return int(status), self._read(int(size), RUN_SECONDS).decode(errors="replace")

    def shut_down(self, how="reboot"):
        """By systemd, which may end the service before it answers. Returns the status of tools/vm, which
        is not 0 if there was a splat."""
        self._send(f"systemctl --no-block {how}")
        return self.vm.wait(END_SECONDS)

    def end(self):
        if self.vm and self.vm.poll() is None:
            self.vm.terminate()
            self.vm.wait()

    def _send(self, script):
        data = script.encode() + b"\n"
        self.vm.stdin.write(b"%d\n" % len(data) + data)

    def _read(self, size, seconds):
        deadline, data = time.monotonic() + seconds, b""
        while len(data) < size:
            if not select.select([self.vm.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Silent(f"the guest has said nothing for {seconds} s")
            chunk = self.vm.stdout.read(size - len(data))
            if not chunk:
                raise Silent("the guest has ended")
            data += chunk
        return data

    def _read_line(self, seconds):
        line = b""
        while not line.endswith(b"\n"):
            line += self._read(1, seconds)
        return line.decode()
