# SPDX-License-Identifier: GPL-2.0
"""What counts as a splat in a kernel log, and what does not."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

import kernlog  # noqa: E402

SPLATS = """\
WARNING: CPU: 0 PID: 12 at mm/gup.c:130 try_grab_folio+0x1a4/0x1c0
WARNING: possible circular locking dependency detected
WARNING: suspicious RCU usage
BUG: kernel NULL pointer dereference, address: 0000000000000008
BUG: unable to handle page fault for address: ffffc90000000000
BUG: scheduling while atomic: sh/1/0x00000002
BUG: sleeping function called from invalid context at mm/slab.h:1
BUG: Bad page state in process sh  pfn:12345
BUG: memory leak
BUG: KASAN: use-after-free in foo+0x1/0x2
kernel BUG at mm/slub.c:419!
Oops: 0000 [#1] PREEMPT SMP NOPTI
general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]
invalid opcode: 0000 [#1] SMP
UBSAN: shift-out-of-bounds in x.c:1:2
refcount_t: underflow; use-after-free.
rcu: INFO: rcu_preempt self-detected stall on CPU
INFO: task modprobe:97 blocked for more than 120 seconds.
watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:1]
list_del corruption. prev->next should be ffff, but was 0000
Kernel panic - not syncing: Fatal exception
vfio: disagrees about version of symbol module_layout
vfio_pci_core: Unknown symbol vfio_init_group_dev (err -2)
BUG: Bad rss-counter state mm:00000000 type:MM_ANONPAGES val:1
usercopy: Kernel memory exposure attempt detected from SLUB object 'x' (offset 0, size 1)!
sysfs: cannot create duplicate filename '/class/vfio'
cache_from_obj: Wrong slab cache; BUG: x
kobject: 'vfio' ((____ptrval____)): does not have a release() function, it is broken
""".splitlines()

# From boots of the stock kernel, and what our modules and the tests cause on purpose.
CLEAN = """\
PCI: Using host bridge windows from ACPI; if necessary, use "pci=nocrs" and report a bug
AMD-Vi: AMD IOMMUv2 functionality not available on this system - This is not a bug.
RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed attacks, data leaks!
DMAR: [DMA Write NO_PASID] Request device [00:04.0] fault addr 0x100000 [fault reason 0x05] x
DMAR: DRHD: handling fault status reg 2
vfio: loading out-of-tree module taints kernel.
vfio: module verification failed: signature and/or required key missing - tainting kernel
x86/mm: Checked W+X mappings: passed, no W+X pages found.
rcu: Hierarchical RCU implementation.
rcu: RCU restricting CPUs from NR_CPUS=8192 to nr_cpu_ids=1.
SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=1, Nodes=1
vfio-pci 0000:00:04.0: Relaying device request to user (#0)
DEBUG: nothing
""".splitlines()


class Scan(unittest.TestCase):
    def test_splats(self):
        for line in SPLATS:
            with self.subTest(line=line):
                self.assertEqual(kernlog.scan([f"[    1.000000] {line}"])[0],
                                 [(1, f"[    1.000000] {line}")])

    def test_clean(self):
        for line in CLEAN:
            with self.subTest(line=line):
                self.assertEqual(kernlog.scan([f"[    1.000000] {line}"]), ([], []))

    def test_expected_line_is_no_splat_and_must_occur(self):
        self.assertEqual(kernlog.scan(["BUG: one"], [r"BUG: one"]), ([], []))
        self.assertEqual(kernlog.scan(["quiet"], [r"BUG: one"]), ([], [r"BUG: one"]))

    def test_expected_warning_covers_its_block_only(self):
        block = ["---[ cut here ]---", "WARNING: CPU: 0 at foo", "Oops like text in the trace",
                 "---[ end trace 0000 ]---"]
        self.assertEqual(kernlog.scan(block, ["at foo"]), ([], []))
        splats, missing = kernlog.scan(block + ["BUG: after"], ["at foo"])
        self.assertEqual((splats, missing), ([(5, "BUG: after")], []))
        self.assertEqual(len(kernlog.scan(block)[0]), 2)


if __name__ == "__main__":
    unittest.main()
