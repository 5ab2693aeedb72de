# SPDX-License-Identifier: GPL-2.0
"""A bare Debian in a folder, for the checks that want a machine on which nothing was installed.

A BareRoot is unpacked from a tarball in the cache (mmdebstrap makes it: minbase with git, make and
ca-certificates), is used by run(), and is removed at its end. Each run has mount and process
namespaces of its own, so that no mount and no process outlives it, whatever happens. Packages that
it downloads are kept in the cache.
"""
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(TOOLS)
CLONE = "/srv/vfio-cxx"
# The machine's own, whose sources of apt are taken for all suites.
SUITE = "bookworm"
# What a check may put beside a root, named as the root with one of these.
IMAGES = (".img", ".initrd", ".nvme")
PACKAGES = "git,make,ca-certificates"

# In the new mount namespace; all of it goes with the command.
ENTER = r"""
set -e
root=$1
shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir -p "$root/dev/pts" "$root/dev/shm"
chmod 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
for node in null zero full random urandom tty; do
	touch "$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
cp /etc/resolv.conf /etc/hosts "$root/etc/"
exec chroot "$root" "$@"
"""


def cache():
    return subprocess.run([os.path.join(TOOLS, "kernel-env"), "cache"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def processors():
    """How many this process may use: tools/check says so to nproc."""
    return int(subprocess.run(["nproc"], check=True, text=True, stdout=subprocess.PIPE).stdout)


def machine_apt():
    """The options of this machine's apt that the bare root's needs, too, to reach the archive."""
    dump = subprocess.run(["apt-config", "dump", "--no-empty"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.splitlines()
    return [line for line in dump
            if line.startswith(("Acquire::http", "Acquire::Check-", "Acquire::ForceIPv"))]


def sources(suite):
    """The files of the machine's sources of apt that are Debian's, as {name: text}, for that suite."""
    own = re.compile(rf"(?<!\S){SUITE}(?!\w)")
    found = {}
    for folder, _, names in sorted(os.walk("/etc/apt")):
        for name in sorted(names):
            if name.endswith((".list", ".sources")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                if own.search(text):
                    found[name] = own.sub(suite, text)
    return found


def without_makes_own(text):
    """The lines of an error, less the one in which make says that its target failed."""
    return [line for line in text.splitlines() if not re.match(r"make(\[\d+\])?: \*\*\* \[", line)]


def need_root(tool):
    if os.geteuid():
        sys.exit(f"{tool}: makes a chroot, so it must run as root: sudo make {tool}")
    if not shutil.which("mmdebstrap"):
        sys.exit(f"{tool}: mmdebstrap is not installed; run tools/setup roots")


def say_what_is_tried():
    git = ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT]
    head = subprocess.run([*git, "log", "-1", "--format=%h %s"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()
    print(f"# a clone of {head}", flush=True)
    if subprocess.run([*git, "status", "--porcelain"], check=True, stdout=subprocess.PIPE).stdout:
        print("# without the changes in this checkout that are not committed", flush=True)


def tarball(suite):
    """The bare root's, made once for each set-up of apt."""
    options, files = machine_apt(), sources(suite)
    key = hashlib.sha256("\n".join([PACKAGES, *options, *files.values()]).encode())
    path = os.path.join(cache(), f"bare-{suite}-{key.hexdigest()[:12]}.tar")
    if not os.path.exists(path):
        part = f"{path}.{os.getpid()}"
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(text)
            command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar",
                       f"--include={PACKAGES}", *(f"--aptopt={option.rstrip(';')}" for option in options),
                       suite, part, *(os.path.join(folder, name) for name in files)]
            try:
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
                os.rename(part, path)
            finally:
                if os.path.exists(part):
                    os.unlink(part)
    return path


def remove(path):
    subprocess.run(["rm", "-rf", "--one-file-system", path], check=True)


def link_debs(source, target):
    for name in os.listdir(source):
        if name.endswith(".deb"):
            with contextlib.suppress(FileExistsError):
                os.link(os.path.join(source, name), os.path.join(target, name))


class BareRoot:
    def __init__(self, suite=SUITE):
        # Roots of runs that were killed are still there.
        for left in os.listdir(cache()):
            if (found := re.fullmatch(r"root-(\d+)-.*", left)) and not os.path.exists(f"/proc/{found[1]}"):
                remove(os.path.join(cache(), left))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.path = tempfile.mkdtemp(prefix=f"root-{os.getpid()}-", dir=cache())
        os.chmod(self.path, 0o755)
        subprocess.run(["tar", "-C", self.path, "--xattrs", "--numeric-owner", "--exclude=./dev/*",
                        "-xf", tarball(suite)], check=True)
        # What is thrown away needs no syncing.
        with open(self.inside("/etc/dpkg/dpkg.cfg.d/unsafe-io"), "w", encoding="ascii") as file:
            file.write("force-unsafe-io\n")
        # Links, not the folder itself, which apt locks: two roots may be at work.
        self.debs = os.path.join(cache(), "debs")
        self.archives = self.inside("/var/cache/apt/archives")
        os.makedirs(self.debs, exist_ok=True)
        link_debs(self.debs, self.archives)

    def __enter__(self):
        return self

    def keep_packages(self):
        """In the cache. It is done at the end, too, but not all roots have them still."""
        link_debs(self.archives, self.debs)

    def __exit__(self, *_):
        self.keep_packages()
        # A link renews the time, so these are packages that no root has used for long.
        for entry in os.scandir(self.debs):
            if time.time() - entry.stat().st_ctime > 30 * 24 * 3600:
                os.unlink(entry.path)
        remove(self.path)
        for suffix in IMAGES:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path + suffix)

    def inside(self, path):
        return os.path.join(self.path, path.lstrip("/"))

    def run(self, script, env=None, user="root", network=True):
        """Runs a shell script in it, as a login would. Returns (status, output)."""
        home = "/root" if user == "root" else f"/srv/{user}"
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                     "HOME": home, "USER": user, "LOGNAME": user,
                     # nproc prints this number.
                     "OMP_NUM_THREADS": str(processors()), **(env or {})}
        words = [f"{name}={value}" for name, value in variables.items() if value is not None]
        change = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}",
                                            "--init-groups", "--"]
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"]),
             "sh", "-c", ENTER, "enter", self.path, *change, "env", "-i", *words,
             "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", check=False)
        return done.returncode, done.stdout

    def clone(self, where=CLONE, user="root"):
        """A clone of this checkout's HEAD, as README's reader makes one."""
        target = self.inside(where)
        subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-c", f"safe.directory={ROOT}/.git",
                        "-c", "advice.detachedHead=false",
                        "clone", "--quiet", "--no-local", ROOT, target], check=True)
        if user != "root":
            self.run(f"chown -R {user}: {where}")
