# SPDX-License-Identifier: GPL-2.0
"""The machine that is looked at: its files, and the programs that read them.

All paths begin with "/" and are taken below a root: the tests have a folder with recorded files.
What cannot be read, because it is gone by now or because of rights, reads as absent.
"""
import os
import re
import subprocess
import time

# Where the programs of kmod and initramfs-tools are, also for users whose PATH lacks it.
SBIN = "/usr/sbin:/sbin"


class Machine:
    def __init__(self, root="/"):
        self.root = root

    def path(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def bytes(self, path):
        try:
            with open(self.path(path), "rb") as file:
                return file.read()
        except OSError:
            return None

    def text(self, path):
        found = self.bytes(path)
        return None if found is None else found.decode(errors="replace").strip()

    def names(self, folder):
        """What is in a folder; numbers in them count as numbers in the order."""
        try:
            found = os.listdir(self.path(folder))
        except OSError:
            return []
        return sorted(found, key=lambda name: [(not word.isdigit(), int(word) if word.isdigit() else 0, word)
                                               for word in re.findall(r"\d+|\D+", name)])

    def exists(self, path):
        return os.path.exists(self.path(path))

    def link(self, path):
        """Where a symbolic link leads to, as it stands there."""
        try:
            return os.readlink(self.path(path))
        except OSError:
            return None

    def output(self, *command):
        """What a program prints, or None if it fails or is not there."""
        env = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":" + SBIN}
        try:
            done = subprocess.run(command, check=False, env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError:
            return None
        return None if done.returncode else done.stdout.decode(errors="replace")

    def release(self):
        return self.text("/proc/sys/kernel/osrelease")

    def seconds(self):
        """The time, for differences."""
        return time.monotonic()
