# SPDX-License-Identifier: GPL-2.0
"""tool/vfio-cxx on files that tests/tool/record has recorded in guests, and on a tree of modules that is
made here."""
import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tool/vfio-cxx")
OURS = "updates/dkms/vfio.ko"
STOCK = "kernel/drivers/vfio/vfio.ko"
OTHER = "6.1.0-1-cloud-amd64"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Recorded:
    """A root with the recorded files of a guest, to which tests add."""
    def __init__(self, name):
        self.root = tempfile.mkdtemp()
        for line in read(os.path.join(ROOT, f"tests/tool/recorded-{name}.txt")).splitlines():
            kind, path, *content = line.split(" ", 2)
            path = os.path.join(self.root, path.lstrip("/"))
            os.makedirs(path if kind == "folder" else os.path.dirname(path), exist_ok=True)
            if kind == "link":
                os.symlink(content[0], path)
            elif kind == "file":
                with open(path, "wb") as file:
                    file.write(base64.b64decode("".join(content)))
        self.release = read(os.path.join(self.root, "proc/sys/kernel/osrelease")).strip()

    def put(self, path, text):
        path = os.path.join(self.root, path.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def module(self, release, file, ours, build_id=None):
        """Assembles a module that has only what modinfo says of it, and a build ID."""
        path = self.put(f"/lib/modules/{release}/{file}", "")
        fields = ["license=GPL", "version=1.0" if ours else "version=0.3", "name=vfio"]
        fields += ["supported_kernels=6.1"] if ours else []
        note = ".section .note.gnu.build-id, \"a\", %note\n.long 4, 20, 3\n.asciz \"GNU\"\n"
        note += "".join(f".byte {byte}\n" for byte in build_id or bytes(20))
        text = '.section .modinfo, "a"\n' + "".join(f'.asciz "{field}"\n' for field in fields) + note
        subprocess.run(["as", "-o", path, "-"], input=text, text=True, check=True)

    def depmod(self, release):
        self.put(f"/lib/modules/{release}/modules.order", "")
        subprocess.run(["/sbin/depmod", "-b", self.root, release], check=True, stderr=subprocess.DEVNULL)

    def initramfs(self, release, *files):
        """One that holds these files: what lsinitramfs prints stands in its place."""
        self.put(f"/boot/initrd.img-{release}",
                 "\n".join(f"usr/lib/modules/{release}/{file}" for file in files))

    def run(self, *arguments):
        # lsinitramfs, for initramfs() above.
        folder = os.path.join(self.root, "bin")
        os.makedirs(folder, exist_ok=True)
        path = self.put("/bin/lsinitramfs", '#!/bin/sh\ncat "$1"\n')
        os.chmod(path, 0o755)
        env = {**os.environ, "PATH": folder + ":" + os.environ["PATH"]}
        done = subprocess.run(["/usr/bin/python3", TOOL, "--root", self.root, *arguments], env=env, text=True,
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode:
            raise AssertionError(f"status {done.returncode}: {done.stdout}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json"))

    def loaded_build_id(self, module):
        with open(os.path.join(self.root, f"sys/module/{module}/notes/.note.gnu.build-id"), "rb") as file:
            return file.read()[16:36]


class Status(unittest.TestCase):
    def recorded(self, name):
        machine = Recorded(name)
        self.addCleanup(shutil.rmtree, machine.root)
        return machine

    def module(self, found, name):
        return next(one for one in found["modules"] if one["name"] == name)

    def test_our_modules_are_told_from_the_kernels(self):
        found = self.recorded("ours").json("status")
        for name in "vfio", "vfio_iommu_type1":
            loaded = self.module(found, name)["loaded"]
            self.assertEqual(loaded["origin"], "vfio-cxx")
            self.assertRegex(loaded["version"], r"^\d+\.\d+")
        self.assertEqual(self.module(found, "vfio_pci")["loaded"]["origin"], "kernel")
        self.assertIn("vfio_pci_core", self.module(found, "vfio")["loaded"]["used_by"])
        found = self.recorded("stock").json("status")
        self.assertEqual(self.module(found, "vfio")["loaded"]["origin"], "kernel")
        self.assertEqual(found["problems"], [])

    def test_what_modprobe_takes_next(self):
        machine = self.recorded("ours")
        machine.module(machine.release, STOCK, ours=False)
        machine.depmod(machine.release)
        one = self.module(machine.json("status"), "vfio")
        self.assertEqual(one["next"]["origin"], "kernel")
        self.assertEqual(one["next"]["file"], f"/lib/modules/{machine.release}/{STOCK}")
        self.assertIs(one["loaded_is_next"], False)
        machine.module(machine.release, OURS, ours=True, build_id=machine.loaded_build_id("vfio"))
        machine.depmod(machine.release)
        found = machine.json("status")
        one = self.module(found, "vfio")
        self.assertEqual((one["next"]["origin"], one["next"]["version"], one["next"]["by"]),
                         ("vfio-cxx", "1.0", "dkms"))
        self.assertIs(one["loaded_is_next"], True)
        self.assertEqual(found["problems"], [])

    def test_another_build_is_said(self):
        machine = self.recorded("ours")
        machine.module(machine.release, "updates/vfio_core/vfio.ko", ours=True)
        machine.depmod(machine.release)
        found = machine.json("status")
        self.assertEqual(self.module(found, "vfio")["next"]["by"], "make install")
        self.assertRegex(found["problems"][0], "^vfio is loaded from another build than /lib/modules/")

    def test_each_kernel_and_its_initramfs(self):
        machine = self.recorded("stock")
        machine.module(machine.release, OURS, ours=True)
        machine.module(OTHER, STOCK, ours=False)
        machine.depmod(machine.release)
        machine.depmod(OTHER)
        machine.initramfs(machine.release, STOCK)
        machine.initramfs(OTHER, "kernel/drivers/net/veth.ko")
        found = machine.json("status")
        kernels = {one["release"]: one for one in found["kernels"]}
        running, other = kernels[machine.release], kernels[OTHER]
        self.assertEqual((running["running"], running["disk"]["origin"], running["initramfs"]),
                         (True, "vfio-cxx", "kernel"))
        self.assertEqual((other["running"], other["disk"]["origin"], other["initramfs"]),
                         (False, "kernel", "none"))
        self.assertTrue(found["problems"][-1].endswith(f"update-initramfs -u -k {machine.release}"))
        machine.initramfs(machine.release, OURS, "updates/dkms/vfio_iommu_type1.ko")
        self.assertNotIn("initramfs", "".join(machine.json("status")["problems"]))

    def test_a_mix_is_said(self):
        machine = self.recorded("ours")
        machine.put("/sys/module/vfio/taint", "")
        self.assertIn("mix", machine.json("status")["problems"][0])

    def test_groups_their_devices_and_users(self):
        found = self.recorded("ours").json("status")
        devices = {one["name"]: (group, one) for group in found["groups"] for one in group["devices"]}
        group, device = devices["0000:00:04.0"]
        self.assertEqual((device["driver"], device["ids"], device["bus"]), ("vfio-pci", "1234:11e8", "pci"))
        self.assertRegex(device["vfio"][0], r"^vfio\d+$")
        self.assertEqual([user["name"] for user in group["users"]], ["sleep"])
        self.assertEqual(group["file"], f"/dev/vfio/{group['group']}")
        self.assertEqual(devices["0000:00:05.0"][0]["users"], [])
        # The other function of one group is there, too, though nothing is bound to it.
        self.assertIs(devices["0000:00:07.0"][0], devices["0000:00:07.1"][0])
        self.assertIsNone(devices["0000:00:07.1"][1]["driver"])
        self.assertNotIn("0000:00:06.0", devices)

    def test_all_groups(self):
        found = self.recorded("ours").json("status", "--all")
        self.assertIn("0000:00:06.0", [one["name"] for group in found["groups"] for one in group["devices"]])

    def test_text(self):
        text = self.recorded("ours").run("status")
        self.assertRegex(text, r"(?m)^vfio +vfio-cxx [\d.]+ +\d+ +none$")
        self.assertRegex(text, r"(?m)^\d+ +0000:00:04\.0 +1234:11e8 +vfio-pci +sleep \(\d+\)$")

    def test_an_empty_machine(self):
        machine = self.recorded("ours")
        shutil.rmtree(os.path.join(machine.root, "sys"))
        self.assertIn("No device is bound to a driver of VFIO.", machine.run("status"))


class Surroundings(unittest.TestCase):
    """What stands beside the program: its manual and the shell's completion."""
    def commands(self):
        said = subprocess.run(["/usr/bin/python3", TOOL, "--help"], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        return re.findall(r"^    (\w+)  ", said, re.MULTILINE)

    def complete(self, *words):
        script = ('. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vfio_cxx; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", script, os.path.join(ROOT, "tool/completions/vfio-cxx"),
                               "vfio-cxx", *words], check=True, text=True, stdout=subprocess.PIPE).stdout.split()

    def test_each_command_is_in_the_manual_and_completed(self):
        manual = read(os.path.join(ROOT, "tool/vfio-cxx.8"))
        for command in self.commands():
            self.assertRegex(manual, rf"(?m)^\.SS {command}$")
            self.assertIn(command, self.complete(""))
            said = subprocess.run(["/usr/bin/python3", TOOL, command, "--help"], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout
            options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", said, re.MULTILINE)
            for option in filter(lambda one: one != "--help", options):
                self.assertIn(option.replace("-", "\\-"), manual)
                self.assertIn(option, self.complete(command, "--"))

    def test_completion_takes_what_was_typed(self):
        self.assertEqual(self.complete("sta"), ["status"])

    def test_the_manual_has_no_warnings(self):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-z", "-ww", os.path.join(ROOT, "tool/vfio-cxx.8")],
                              check=True, text=True, stderr=subprocess.PIPE)
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
