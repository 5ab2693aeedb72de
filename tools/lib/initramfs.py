# SPDX-License-Identifier: GPL-2.0
"""The guest's root file system: a newc archive made in memory's order, no root needed.

Archive writes the format that the kernel unpacks (Documentation/driver-api/early-userspace of
the kernel describes it); build() decides what is in it. Modules are laid out as on a real
machine: the stock ones below kernel/, ours in updates/, indexed by the real depmod, and loaded
by the real modprobe (kmod), which the kernel's own request_module() calls as well.
"""
import glob
import os
import re
import shutil
import stat
import subprocess

# What every guest has: the modules below and beside ours that stock vfio-pci needs, and what that
# depends on.
STOCK_MODULES = ["vfio", "vfio_iommu_type1", "irqbypass", "vfio-pci-core", "vfio-pci"]

# Ours, by their place in the build tree.
OUR_MODULES = ["vfio_core/vfio.ko", "vfio_type1/vfio_iommu_type1.ko", "vfio_zpci/vfio_zpci.ko"]

# Where the kernel has mediated devices: Debian's for s390x has none.
MDEV, OUR_MDEV = "mdev", "vfio_mdev/mdev.ko"

PASSWD = """root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:unprivileged:/home/user:/bin/sh
"""
GROUP = "root:x:0:\nuser:x:1000:\n"

# The exit status of the script goes back over the port between two record separators; the token
# is new in each run, so that nothing which a script prints is taken for it.
INIT = r"""#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
hostname guest
stty -F @PORT@ @STTY@
cd /
setsid -c /bin/sh /.vm/script @ARGS@ <@PORT@ >@PORT@ 2>&1
printf '\036@TOKEN@ %d\036' $? >@PORT@
sync
poweroff -f
"""


class Error(Exception):
    """Something that the caller named is not there."""


class Archive:
    """Collects entries and writes them as a newc archive, parents before children."""

    def __init__(self):
        self._entries = {}

    def _parents(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self._entries:
            self.directory(parent)

    def directory(self, path, mode=0o755, uid=0):
        path = path.strip("/")
        self._parents(path)
        self._entries[path] = (stat.S_IFDIR | mode, uid, b"")

    def data(self, path, content, mode=0o644):
        path = path.strip("/")
        self._parents(path)
        self._entries[path] = (stat.S_IFREG | mode, 0, content)

    def link(self, path, target):
        path = path.strip("/")
        if path in self._entries:
            return
        self._parents(path)
        self._entries[path] = (stat.S_IFLNK | 0o777, 0, target.encode())

    def file(self, host, path, mode=None):
        try:
            with open(host, "rb") as src:
                content = src.read()
                if mode is None:
                    mode = 0o755 if os.fstat(src.fileno()).st_mode & 0o111 else 0o644
        except OSError as err:
            raise Error(f"{host}: {err.strerror}") from err
        self.data(path, content, mode)

    def tree(self, host, path):
        if not os.path.isdir(host):
            raise Error(f"{host}: not a directory")
        for base, dirs, files in os.walk(host):
            rel = os.path.normpath(os.path.join(path, os.path.relpath(base, host)))
            for name in dirs:
                self.directory(os.path.join(rel, name))
            for name in files:
                self.file(os.path.join(base, name), os.path.join(rel, name))

    def program(self, host, path, userland=None):
        """A dynamically linked program and the libraries that it needs: those that ldd finds, or
        for another architecture's those in its userland, a directory."""
        self.file(host, path, 0o755)
        if userland:
            self._libraries(host, userland)
            return
        out = subprocess.run(["ldd", host], capture_output=True, text=True, check=False).stdout
        for lib in re.findall(r"(?:=> )?(/\S+) \(0x", out):
            self.file(os.path.realpath(lib), lib, 0o755)

    def _libraries(self, host, userland):
        out = subprocess.run(["readelf", "-W", "-l", "-d", host], capture_output=True, text=True,
                             check=True, env={**os.environ, "LC_ALL": "C"}).stdout
        interpreter = re.search(r"interpreter: (/[^]]+)\]", out)
        if interpreter:
            self.file(userland + interpreter[1], interpreter[1], 0o755)
        for name in re.findall(r"\(NEEDED\).*\[(.+)\]", out):
            found = glob.glob(f"{userland}/lib/*/{name}") + glob.glob(f"{userland}/usr/lib/*/{name}")
            if not found:
                raise Error(f"{host}: {userland} has no {name}")
            path = os.path.relpath(found[0], userland)
            if path not in self._entries:
                self.program(found[0], path, userland)

    def write(self, path):
        with open(path, "wb") as out:
            for ino, (name, entry) in enumerate(self._entries.items(), 1):
                self._write_entry(out, ino, name, *entry)
            self._write_entry(out, 0, "TRAILER!!!", 0, 0, b"")

    @staticmethod
    def _write_entry(out, ino, name, mode, uid, content):
        raw = name.encode() + b"\0"
        fields = (ino, mode, uid, uid, 2 if stat.S_ISDIR(mode) else 1, 0, len(content),
                  0, 0, 0, 0, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + raw
        out.write(head + b"\0" * (-len(head) % 4))
        out.write(content + b"\0" * (-len(content) % 4))


def find_program(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Error(f"{name} is not installed; run tools/setup")
    return found


def only_release(kernel):
    """The release of the one kernel in a directory."""
    try:
        releases = os.listdir(os.path.join(kernel, "lib/modules"))
    except OSError as err:
        raise Error(f"{kernel} holds no kernel: {err.filename}: {err.strerror}") from err
    if len(releases) != 1:
        raise Error(f"{kernel} holds {len(releases)} kernels, not one")
    return releases[0]


def has_mdev(kernel, release):
    with open(os.path.join(kernel, "lib/modules", release, "modules.dep"), encoding="ascii") as dep:
        return re.search(r"^\S*/mdev\.ko", dep.read(), re.M) is not None


def module_closure(moddir, names):
    """Paths (relative to moddir) of the named modules and all that they depend on."""
    deps, by_name = {}, {}
    with open(os.path.join(moddir, "modules.dep"), encoding="ascii") as dep:
        for line in dep:
            path, _, needs = line.partition(":")
            deps[path] = needs.split()
            by_name[os.path.basename(path).split(".ko")[0].replace("-", "_")] = path
    with open(os.path.join(moddir, "modules.builtin"), encoding="ascii") as builtin:
        built_in = {os.path.basename(l.strip())[:-3].replace("-", "_") for l in builtin}
    wanted = {}
    for name in names:
        key = name.replace("-", "_")
        if key in built_in:
            continue
        if key not in by_name:
            raise Error(f"the kernel has no module {name}")
        # modules.dep lists the transitive closure.
        for path in [by_name[key], *deps[by_name[key]]]:
            wanted[path] = None
    return list(wanted)


def add_modules(archive, tmp, kernel, release, ours, extra):
    """The module tree: stock ones in kernel/, `ours` (paths of .ko files) in updates/."""
    src = os.path.join(kernel, "lib/modules", release)
    rel = os.path.join("lib/modules", release)
    dst = os.path.join(tmp, rel)
    stock = STOCK_MODULES + ([MDEV] if has_mdev(kernel, release) else [])
    for path in module_closure(src, stock + extra):
        os.makedirs(os.path.dirname(os.path.join(dst, path)), exist_ok=True)
        shutil.copyfile(os.path.join(src, path), os.path.join(dst, path))
    os.makedirs(os.path.join(dst, "updates"), exist_ok=True)
    for path in ours:
        if not os.path.exists(path):
            raise Error(f"{path} is not built")
        shutil.copyfile(path, os.path.join(dst, "updates", os.path.basename(path)))
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copyfile(os.path.join(src, name), os.path.join(dst, name))
    # An empty configuration directory: the host's depmod.d must not decide what the guest loads.
    empty = os.path.join(tmp, "depmod.d")
    os.makedirs(empty)
    subprocess.run([find_program("depmod"), "-C", empty, "-b", tmp, release], check=True)
    archive.tree(dst, rel)


def build(archive, token, script, args, raw_tty, machine, userland=None):
    """Everything of the guest but the modules and what the caller adds. userland: the directory that
    has the guest's programs, if they are not this machine's."""
    for path in ("proc", "sys", "dev", "run", "root", "mnt", "etc/modprobe.d"):
        archive.directory(path)
    archive.directory("tmp", 0o1777)
    archive.directory("home/user", 0o755, 1000)
    archive.data("etc/passwd", PASSWD.encode())
    archive.data("etc/group", GROUP.encode())

    def find(name):
        return os.path.join(userland, "bin", name) if userland else find_program(name)
    busybox = find("busybox")
    archive.file(busybox, "bin/busybox", 0o755)
    # busybox's shell prefers its own applets to what lies in PATH, and its modprobe knows no
    # softdep; so the shell is dash and modprobe is kmod's, as on the machine itself.
    archive.program(find("dash"), "bin/sh", userland)
    archive.program(find("kmod"), "sbin/kmod", userland)
    for name in ("modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod"):
        archive.link(f"sbin/{name}", "kmod")
    emulator = [find_program(f"qemu-{machine.name}")] if userland else []
    applets = subprocess.run([*emulator, busybox, "--list-full"], capture_output=True, text=True,
                             check=True)
    for applet in applets.stdout.split():
        archive.link(applet, "/bin/busybox")

    archive.file(script, ".vm/script", 0o755)
    quoted = " ".join("'" + a.replace("'", "'\\''") + "'" for a in args)
    init = INIT.replace("@TOKEN@", token).replace("@ARGS@", quoted)
    init = init.replace("@STTY@", "raw -echo" if raw_tty else "sane").replace("@PORT@", machine.port)
    archive.data("init", init.encode(), 0o755)
