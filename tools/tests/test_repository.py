# SPDX-License-Identifier: GPL-2.0
"""What the tree says of itself in more than one place: its version, its licence and the kernels
that it supports. VERSION and tools/supported-kernels.txt are the places that count."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULES = ("vfio_core/vfio", "vfio_type1/vfio_iommu_type1", "vfio_mdev/mdev",
           "vfio_zpci/vfio_zpci")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def output(*command, cwd=ROOT, **env):
    return subprocess.run(command, check=True, cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, env={**os.environ, **env}).stdout


def version():
    return read("VERSION").rstrip("\n")


def series():
    """The kernel series that are supported, e.g. ["6.1"]."""
    rows = [line.split() for line in read("tools/supported-kernels.txt").splitlines()
            if not line.startswith("#")]
    return list(dict.fromkeys(row[1] for row in rows if row[1] != "-"))


class Version(unittest.TestCase):
    def test_it_is_one_number(self):
        self.assertRegex(read("VERSION"), r"\A\d+\.\d+(\.\d+)?\n\Z")

    def test_no_other_file_has_it(self):
        """A number of its own in one of these would be forgotten at the next release."""
        for path in ("dkms.conf", "README.md", "tools/check-install", "tools/dkms-hook",
                     *(f"{os.path.dirname(module)}/main.c" for module in MODULES)):
            self.assertNotRegex(read(path), r'vfio-cxx/\d|VERSION\("\d|VERSION="?\d|version=\d', path)

    def test_the_change_log_begins_with_it(self):
        headings = re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
        self.assertIn(version(), headings)
        self.assertLessEqual(headings.index(version()), 1)
        if headings[0] != version():
            self.assertEqual(headings[0], "Unreleased")

    def test_help_says_it(self):
        self.assertIn(f"vfio-cxx {version()}", output("make", "help"))


class Modinfo(unittest.TestCase):
    """Of the modules that the last `make` built, which the check has run before."""
    def field(self, name, module):
        return output("/sbin/modinfo", "-F", name, os.path.join(ROOT, f"{module}.ko")).strip()

    def test_version(self):
        for module in MODULES:
            self.assertEqual(self.field("version", module), version(), module)

    def test_supported_kernels(self):
        for module in MODULES:
            said = self.field("supported_kernels", module)
            self.assertEqual(re.findall(r"\d+\.\d+", said), series(), module)

    def test_licence(self):
        for module in MODULES:
            self.assertEqual(self.field("license", module), "GPL", module)


class Kernels(unittest.TestCase):
    def test_the_readme_has_a_column_for_each_and_for_no_other(self):
        header = re.search(r"^\| \| 6\.1 .*$", read("README.md"), re.MULTILINE)[0]
        self.assertEqual(re.findall(r"\| (\d+\.\d+) ", header), series())

    def test_help_says_them(self):
        said = re.search(r"^Kernels supported: (.*)$", output("make", "help"), re.MULTILINE)[1]
        self.assertEqual(re.findall(r"\d+\.\d+", said), series())


class Licence(unittest.TestCase):
    def test_copying_is_the_whole_of_it(self):
        text = read("COPYING")
        for part in ("GNU GENERAL PUBLIC LICENSE", "Version 2, June 1991", "NO WARRANTY",
                     "END OF TERMS AND CONDITIONS"):
            self.assertIn(part, text)


class Dkms(unittest.TestCase):
    """dkms.conf in folders as DKMS has them."""
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copy(f"{ROOT}/dkms.conf", self.folder)

    def sourced(self, name, cwd="/", **env):
        return output("bash", "-c", 'source "$1"; echo "$PACKAGE_NAME/$PACKAGE_VERSION"', "dkms",
                      name, cwd=cwd, **env)

    def test_the_version_is_that_of_the_same_folder(self):
        for content in ("9.8.7\n", "9.8.7", "9.8.7 \n"):
            with open(f"{self.folder}/VERSION", "w", encoding="ascii") as file:
                file.write(content)
            for name, cwd in ((f"{self.folder}/dkms.conf", "/"), ("./dkms.conf", self.folder),
                              ("dkms.conf", self.folder)):
                self.assertEqual(self.sourced(name, cwd, CDPATH=self.folder), "vfio-cxx/9.8.7\n")

    def test_a_folder_with_a_space(self):
        os.mkdir(f"{self.folder}/a b")
        shutil.copy(f"{ROOT}/dkms.conf", f"{self.folder}/a b")
        shutil.copy(f"{ROOT}/VERSION", f"{self.folder}/a b")
        self.assertEqual(self.sourced(f"{self.folder}/a b/dkms.conf"), f"vfio-cxx/{version()}\n")

    def test_an_archive_of_modules_alone(self):
        """DKMS packs dkms.conf and its own PACKAGE_VERSION, and unpacks dkms.conf alone, into a
        folder by the version."""
        with open(f"{self.folder}/PACKAGE_VERSION", "w", encoding="ascii") as file:
            file.write("9.8\n")
        self.assertEqual(self.sourced(f"{self.folder}/dkms.conf"), "vfio-cxx/9.8\n")
        source = f"{self.folder}/vfio-cxx/9.9/source"
        os.makedirs(source)
        shutil.copy(f"{ROOT}/dkms.conf", source)
        self.assertEqual(self.sourced(f"{source}/dkms.conf"), "vfio-cxx/9.9\n")
        # What is unpacked whole has its own.
        shutil.copy(f"{ROOT}/VERSION", source)
        self.assertEqual(self.sourced(f"{source}/dkms.conf"), f"vfio-cxx/{version()}\n")

    def test_the_empty_module_has_it_too(self):
        output(f"{ROOT}/tools/dkms-hook", "build", cwd=self.folder)
        said = output("/sbin/modinfo", "-F", "version", f"{self.folder}/vfio_cxx_unsupported.ko")
        self.assertEqual(said.strip(), version())


if __name__ == "__main__":
    unittest.main()
