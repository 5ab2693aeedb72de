# SPDX-License-Identifier: GPL-2.0
"""Which kernel tools/kernel-env chooses, and what dkms.conf has DKMS build, by made-up headers."""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNEL_ENV = os.path.join(ROOT, "tools/kernel-env")
ALL = ("VFIO", "VFIO_IOMMU_TYPE1", "VFIO_MDEV")


class Made(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.uname("6.18.1-strange")

    def file(self, path, text=""):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def uname(self, release):
        os.chmod(self.file("bin/uname", f"#!/bin/sh\necho {release}\n"), 0o755)

    def headers(self, release, config=ALL, where="usr/src/linux-headers-{}"):
        where = where.format(release)
        self.file(f"{where}/Module.symvers")
        self.file(f"{where}/include/generated/utsrelease.h", f'#define UTS_RELEASE "{release}"\n')
        self.file(f"{where}/include/config/auto.conf",
                  "".join(f"CONFIG_{name}=m\n" for name in config) + "CONFIG_PCI=y\n")
        return os.path.join(self.root, where)

    def ask(self, *command, **env):
        """Returns (status, standard output, standard error)."""
        base = {name: value for name, value in os.environ.items()
                if name not in ("KDIR", "KERNEL", "HOME", "XDG_CACHE_HOME")}
        done = subprocess.run(
            [KERNEL_ENV, *command], text=True, capture_output=True, check=False,
            env={**base, "PATH": f"{self.root}/bin:{os.environ['PATH']}",
                 "KERNEL_ENV_ROOT": self.root, **env})
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def refused(self, *command, says, **env):
        status, out, err = self.ask(*command, **env)
        self.assertNotEqual(status, 0)
        self.assertEqual(out, "")
        self.assertIn(says, err)
        self.assertEqual(len(err.splitlines()), 1, err)


class Named(Made):
    """By $KERNEL, a name in supported-kernels.txt."""
    def fetched(self, name, release="6.12.9+deb12-amd64", version="6.12.9-1~deb12u1", **kwargs):
        """Headers as tools/fetch-headers leaves them in the cache."""
        where = f"cache/vfio-cxx/headers-{release}_{version}/usr/src/linux-headers-{release}"
        made = self.headers(release, where=where, **kwargs)
        os.symlink(f"headers-{release}_{version}", f"{self.root}/cache/vfio-cxx/now-{name}")
        return made

    def named(self, *command, **env):
        return self.ask(*command, XDG_CACHE_HOME=f"{self.root}/cache", **env)

    def test_one_in_the_cache(self):
        made = self.fetched("6.12")
        self.assertEqual(self.named("kdir", KERNEL="6.12"), (0, made, ""))
        self.assertEqual(self.named("release", KERNEL="6.12"), (0, "6.12.9+deb12-amd64", ""))
        self.assertEqual(self.named("version", KERNEL="6.12"), (0, "6.12.9-1~deb12u1", ""))
        self.assertEqual(self.named("image", KERNEL="6.12")[1],
                         f"{self.root}/cache/vfio-cxx/kernel-6.12.9+deb12-amd64_6.12.9-1~deb12u1")

    def test_the_newest_of_the_first_name_is_of_its_series(self):
        made = self.headers("6.1.0-56-amd64")
        for name in ("", "6.1"):
            self.assertEqual(self.named("kdir", KERNEL=name), (0, made, ""))
            self.assertEqual(self.named("out", KERNEL=name), (0, ROOT, ""))

    def test_modules_of_others_are_built_beside(self):
        self.assertEqual(self.named("out", KERNEL="7.3"), (0, f"{ROOT}/build/kernel/7.3", ""))

    def test_unknown_and_not_fetched(self):
        self.refused("kdir", KERNEL="6.6", says="there is no KERNEL=6.6, but 6.1, 6.12, 7.3")
        self.refused("kdir", KERNEL="7.3", XDG_CACHE_HOME=f"{self.root}/cache",
                     says="run tools/fetch-headers 7.3")

    def test_iommufd(self):
        self.fetched("6.12", config=(*ALL, "IOMMUFD"))
        says = "6.12.9+deb12-amd64 is configured with IOMMUFD, with which vfio-cxx does not work yet"
        self.refused("kdir", KERNEL="6.12", XDG_CACHE_HOME=f"{self.root}/cache", says=says)


class Choice(Made):
    def test_none(self):
        self.refused("target", says="linux-headers-amd64")
        self.refused("kdir", says="tools/setup")

    def test_the_running_kernel_comes_first_whatever_its_flavour(self):
        self.headers("6.1.0-56-amd64")
        old = self.headers("6.1.0-40-cloud-amd64")
        self.file("lib/modules/6.1.0-40-cloud-amd64/modules.dep")
        os.symlink(old, f"{self.root}/lib/modules/6.1.0-40-cloud-amd64/build")
        self.uname("6.1.0-40-cloud-amd64")
        self.assertEqual(self.ask("target"), (0, old, ""))

    def test_one_that_runs_without_headers_is_said(self):
        newest = self.headers("6.1.0-56-amd64")
        self.headers("6.1.0-9-amd64")
        self.uname("6.1.0-40-amd64")
        status, out, err = self.ask("target")
        self.assertEqual((status, out), (0, newest))
        self.assertIn("6.1.0-40-amd64, has no headers installed: taking 6.1.0-56-amd64 instead", err)

    def test_one_that_runs_and_is_not_supported_is_said(self):
        newest = self.headers("6.1.0-56-amd64")
        self.headers("6.18.1-strange", where="lib/modules/6.18.1-strange/build")
        status, out, err = self.ask("target")
        self.assertEqual((status, out), (0, newest))
        self.assertIn("6.18.1-strange, is not supported (6.1, 6.12 and 7.3 are): taking 6.1.0-56-amd64 instead", err)

    def test_plain_before_other_flavours_and_those_if_there_is_nothing_else(self):
        self.headers("6.1.0-57-cloud-amd64")
        newest = self.headers("6.1.0-58-rt-amd64")
        self.assertEqual(self.ask("target")[:2], (0, newest))
        self.refused("kdir", says="tools/setup")
        plain = self.headers("6.1.0-9-amd64")
        self.assertEqual(self.ask("target")[:2], (0, plain))
        self.assertEqual(self.ask("kdir"), (0, plain, ""))

    def test_not_one_with_iommufd(self):
        with_it = self.headers("6.1.0-56-amd64", config=(*ALL, "IOMMUFD"))
        self.refused("target", says="no headers of a supported kernel")
        for command in ("kdir", "target"):
            self.refused(command, KDIR=with_it, says="6.1.0-56-amd64 is configured with IOMMUFD")

    def test_only_of_a_supported_series(self):
        for release in ("6.13.1+deb12-amd64", "6.10.0-1-amd64", "7.30.0-1-amd64", "5.10.0-1-amd64", "16.1.0-1-amd64"):
            self.headers(release)
        self.refused("target", says="no headers of a supported kernel")

    def test_a_named_one(self):
        self.headers("6.1.0-56-amd64")
        mine = self.headers("6.1.99", where="home/build")
        for command in ("target", "kdir"):
            self.assertEqual(self.ask(command, KDIR=mine), (0, mine, ""))
        self.assertEqual(self.ask("kdir", KDIR=os.path.relpath(mine)), (0, mine, ""))
        self.assertEqual(self.ask("release", KDIR=mine), (0, "6.1.99", ""))

    def test_a_named_one_that_cannot_be(self):
        for command in ("target", "kdir", "release", "modules"):
            self.refused(command, says="is not a directory", KDIR=f"{self.root}/none")
            self.refused(command, says="not a prepared", KDIR=self.root)
            self.refused(command, says="6.6.1-amd64 is not supported (6.1, 6.12 and 7.3 are)",
                         KDIR=self.headers("6.6.1-amd64"))
            for name in ("a b", "a:b"):
                self.refused(command, says="a space or a colon",
                             KDIR=self.headers("6.1.0-1-amd64", where=name))

    def test_what_the_kernel_has(self):
        mine = self.headers("6.1.0-1-cloud-amd64", config=ALL[:2])
        self.assertEqual(self.ask("modules", KDIR=mine)[1].splitlines(),
                         ["vfio vfio_core", "vfio_iommu_type1 vfio_type1", "without mdev",
                          "vfio_zpci vfio_zpci"])


class Cache(Made):
    def test_where_it_is(self):
        self.assertEqual(self.ask("cache", HOME=self.root)[1], f"{self.root}/.cache/vfio-cxx")
        for name in ("x", "with space"):
            self.assertEqual(self.ask("cache", XDG_CACHE_HOME=f"{self.root}/{name}", HOME="/x")[1],
                             f"{self.root}/{name}/vfio-cxx")

    def test_without_a_home(self):
        wanted = os.path.join(ROOT, ".cache/vfio-cxx")
        self.assertEqual(self.ask("cache"), (0, wanted, ""))
        self.assertEqual(self.ask("cache", HOME="/proc/1/none"), (0, wanted, ""))


class Dkms(Made):
    """dkms.conf as DKMS 3.0.10 reads it: by bash, with these variables."""
    def read(self, release, source="/none"):
        script = ('BUILT_MODULE_NAME=(); . "$1"; echo "$PACKAGE_NAME/$PACKAGE_VERSION $AUTOINSTALL"\n'
                  'for i in ${!BUILT_MODULE_NAME[@]}; do echo "${BUILT_MODULE_LOCATION[$i]}/'
                  '${BUILT_MODULE_NAME[$i]} ${DEST_MODULE_LOCATION[$i]}"; done\n'
                  'echo "${MAKE[0]}"\necho "$CLEAN"')
        env = {"dkms_tree": f"{self.root}/dkms", "kernelver": release, "arch": "x86_64",
               "kernel_source_dir": source, "PATH": os.environ["PATH"]}
        lines = subprocess.run(["bash", "-c", script, "dkms", f"{ROOT}/dkms.conf"], check=True,
                               text=True, env=env, stdout=subprocess.PIPE).stdout.splitlines()
        self.assertRegex(lines[0], r"^vfio-cxx/\d[^ ]* yes$")
        self.version = lines[0].removesuffix(" yes")
        return lines[1:-2], lines[-2:]

    def test_a_supported_kernel(self):
        source = self.headers("6.1.0-1-amd64")
        names, (make, clean) = self.read("6.1.0-1-amd64", source)
        self.assertEqual(names, ["vfio_core/vfio /updates", "vfio_type1/vfio_iommu_type1 /updates",
                                 "vfio_mdev/mdev /updates", "vfio_zpci/vfio_zpci /updates"])
        kbuild = f"make -C {source} M={self.root}/dkms/{self.version}/build"
        self.assertEqual(make, f"{kbuild} modules")
        self.assertEqual(clean, f"{kbuild} clean")

    def test_a_kernel_without_mdev(self):
        source = self.headers("6.1.0-1-cloud-amd64", config=ALL[:2])
        self.assertEqual(self.read("6.1.0-1-cloud-amd64", source)[0],
                         ["vfio_core/vfio /updates", "vfio_type1/vfio_iommu_type1 /updates",
                          "vfio_zpci/vfio_zpci /updates"])

    def test_what_must_not_fail_gets_an_empty_module(self):
        for source in (self.headers("6.6.1-amd64"),
                       self.headers("6.1.0-2-amd64", config=()), "/none"):
            names, (make, clean) = self.read("6.6.1-amd64", source)
            self.assertEqual(names, ["./vfio_cxx_unsupported /updates"])
            self.assertEqual((make, clean), ("tools/dkms-hook build", "true"))
        self.assertEqual(self.read("")[0], ["./vfio_cxx_unsupported /updates"])

    def test_what_was_built_is_what_is_removed_though_the_headers_are_gone(self):
        with open(f"{ROOT}/VERSION", encoding="utf-8") as file:
            version = file.read().strip()
        built = f"dkms/vfio-cxx/{version}/6.1.0-1-cloud-amd64/x86_64/module"
        self.file(f"{built}/vfio.ko")
        self.file(f"{built}/vfio_iommu_type1.ko.xz")
        self.assertEqual(self.read("6.1.0-1-cloud-amd64")[0],
                         ["./vfio /updates", "./vfio_iommu_type1 /updates"])

    def test_the_empty_module(self):
        subprocess.run([f"{ROOT}/tools/dkms-hook", "build"], check=True, cwd=self.root)
        told = subprocess.run(["/sbin/modinfo", f"{self.root}/vfio_cxx_unsupported.ko"], check=True,
                              text=True, stdout=subprocess.PIPE).stdout
        self.assertIn("does not support this kernel", told)


if __name__ == "__main__":
    unittest.main()
