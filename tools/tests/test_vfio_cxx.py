# SPDX-License-Identifier: GPL-2.0
"""tool/vfio-cxx on files that tests/tool/record has recorded in guests, and on a tree of modules that is
made here."""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tool/vfio-cxx")
sys.path.insert(0, os.path.join(ROOT, "tool"))

from vfio_cxx import rates  # noqa: E402

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
        release = os.path.join(self.root, "proc/sys/kernel/osrelease")
        self.release = read(release).strip() if os.path.exists(release) else None

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


class Containers(unittest.TestCase):
    def setUp(self):
        self.machine = Recorded("containers")
        self.addCleanup(shutil.rmtree, self.machine.root)
        self.folders = sorted(os.listdir(os.path.join(self.machine.root, "sys/kernel/debug/vfio/containers")),
                              key=int)

    def put(self, file, text, container=0):
        self.machine.put(f"/sys/kernel/debug/vfio/containers/{self.folders[container]}/{file}", text)

    def test_what_a_container_holds(self):
        hardware, emulated = self.machine.json("containers")["containers"]
        self.assertEqual(hardware["container"], int(self.folders[0]))
        self.assertEqual(hardware["owner"], hardware["process"])
        self.assertEqual(hardware["owner"]["name"], "stack_test")
        self.assertEqual((hardware["iommu"], hardware["interface"]), ("vfio-iommu-type1", "v2"))
        self.assertEqual([(group["type"], [device["opens"] for device in group["devices"]])
                          for group in hardware["groups"]], [("iommu", [0]), ("iommu", [1])])
        self.assertEqual(sorted(hardware["domains"][0]["groups"]),
                         sorted(group["group"] for group in hardware["groups"]))
        self.assertEqual((hardware["mappings"], hardware["bytes"], hardware["pinned_pages"]), (3, 67 * 4096 - 4096, 66))
        self.assertEqual(hardware["statistics"]["failed"], {"map": {"EEXIST": 1, "EFAULT": 1}})
        self.assertEqual(hardware["statistics"]["mapped"], 4)
        self.assertEqual((emulated["pinned_pages"], emulated["external_pages"]), (0, 16))
        self.assertEqual(emulated["statistics"]["failed"], {"pin": {"EINVAL": 1}})

    def test_the_text_says_it(self):
        text = self.machine.run("containers")
        self.assertRegex(text, r"(?m)^Container \d+ of stack_test \(\d+\)$")
        self.assertRegex(text, r"(?m)^  group \d+: \S+ \(vfio-pci, open\)$")
        self.assertRegex(text, r"(?m)^  mappings     3, 264K \(65532 more possible\)$")
        self.assertRegex(text, r"(?m)^  failed       map: EFAULT 1, EEXIST 1$")

    def test_a_merged_set_a_gate_and_a_guest(self):
        self.put("groups", "group 4 type iommu merged 1\ndevice 0000:00:04.0 driver vfio-pci opens 1 gate blocked\n")
        self.put("domains", "domain 0 nested_pages 12 bytes 300 coherent 1 groups 4\n")
        self.put("statistics", "mapped 1 bytes 4096\nunmapped 0 bytes 0\nfunction 0x7 group 4 state 2 refreshes 5 "
                 "errors 0 mapped 12 unmapped 0 pages 12\n")
        one = self.machine.json("containers")["containers"][0]
        self.assertTrue(one["groups"][0]["merged"])
        self.assertEqual(one["groups"][0]["devices"][0]["gate"], "blocked")
        self.assertEqual(one["domains"][0], {"groups": [4], "coherent": True, "nested_pages": 12, "bytes": 300})
        self.assertEqual(one["statistics"]["refreshes"], 5)
        self.assertIn("group 4 (merged): 0000:00:04.0 (vfio-pci, open, blocked)", self.machine.run("containers"))

    def test_what_the_kernels_type1_does_not_show(self):
        for file in "domains", "mappings":
            self.put(file, "")
        self.put("summary", "iommu vfio-iommu-type1\n")
        self.put("statistics", "failed map ENOMEM 3\n")
        one = self.machine.json("containers")["containers"][0]
        self.assertIsNone(one["mappings"])
        self.assertIsNone(one["process"])
        self.assertEqual(one["statistics"], {"failed": {"map": {"ENOMEM": 3}}, "longest_ms": {}})
        self.machine.run("containers")
        self.machine.run("top", "-n", "1", "-d", "0.01")

    def test_without_our_module(self):
        shutil.rmtree(os.path.join(self.machine.root, "sys/kernel/debug/vfio"))
        with self.assertRaisesRegex(AssertionError, "status 1: vfio-cxx: .*containers cannot be read"):
            self.machine.run("containers")

    def test_rates(self):
        before = [{"container": 1, "statistics": {"failed": {"map": {"EEXIST": 1}}, "mapped": 10, "mapped_bytes": 0}}]
        after = [{"container": 1, "owner": {}, "mappings": 3, "bytes": 0,
                  "statistics": {"failed": {"map": {"EEXIST": 3}}, "mapped": 30, "mapped_bytes": 8192}},
                 {"container": 2, "owner": {}, "mappings": 1, "bytes": 0,
                  "statistics": {"failed": {}, "mapped": 50, "mapped_bytes": 4096}}]
        busiest, other = rates.rates(before, after, 2.0)
        self.assertEqual((busiest["container"], busiest["rates"]["mapped"]), (2, 25))
        self.assertEqual((other["rates"]["mapped"], other["rates"]["mapped_bytes"], other["rates"]["failed"]),
                         (10, 4096, 1))
        self.assertIsNone(other["rates"]["refreshes"])

    def test_top_counts_its_readings(self):
        lines = self.machine.run("top", "-n", "2", "-d", "0.01", "--json").splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual({one["rates"]["mapped"] for one in json.loads(lines[1])["containers"]}, {0})


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
