# SPDX-License-Identifier: GPL-2.0
"""tools/check with made-up layers: what runs at a time, what is shown, what counts."""
import contextlib
import importlib.machinery
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

CHECK = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "check")
loader = importlib.machinery.SourceFileLoader("check", CHECK)
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", loader))
loader.exec_module(check)

# Runs tools/check with other layers, and with logs in another folder.
DRIVER = """
import importlib.machinery, importlib.util, json, sys
loader = importlib.machinery.SourceFileLoader("check", sys.argv[1])
check = importlib.util.module_from_spec(importlib.util.spec_from_loader("check", loader))
loader.exec_module(check)
check.LOGS = sys.argv[2]
check.LAYERS = [check.Layer(**fields) for fields in json.loads(sys.argv[3])]
check.NEED_ROOT = ("root",)
sys.argv[1:] = sys.argv[4:]
sys.exit(check.main())
"""


def layer(name, command, needs=(), reads="tap", **more):
    return {"name": name, "command": command, "reads": reads, "needs": list(needs),
            "about": f"about {name}", **more}


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def begin(self, layers, *arguments, cores=2):
        words = [sys.executable, "-B", "-c", DRIVER, CHECK, self.folder, json.dumps(layers)]
        # A shell's background job, which this may be a part of, ignores SIGINT.
        return subprocess.Popen([*words, "--cores", str(cores), *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                                env={**os.environ, "FOLDER": self.folder})

    def run_check(self, layers, *arguments, cores=2):
        """Returns (exit status, output)."""
        process = self.begin(layers, *arguments, cores=cores)
        out = process.communicate(timeout=60)[0]
        return process.returncode, out

    def last_line(self, out):
        self.assertTrue(out.endswith("\n"))
        return out.splitlines()[-1]


def wait_for(name):
    """A command that ends when a file is there; it fails after some seconds."""
    return f'(for i in $(seq 300); do [ ! -e "$FOLDER/{name}" ] || exit 0; sleep 0.1; done; exit 1)'


MEET = 'touch "$FOLDER/{0}"; ' + wait_for("{1}") + ' && echo "ok 1 - {0} met {1}"'


class Concurrency(Case):
    def test_two_layers_run_at_a_time(self):
        """Each ends only when the other has begun."""
        status, out = self.run_check([layer("a", MEET.format("a", "b")), layer("b", MEET.format("b", "a"))])
        self.assertEqual((status, self.last_line(out)), (0, "2 passed, 0 failed, 0 skipped"))

    def test_no_more_run_than_asked_for(self):
        alone = '[ ! -e "$FOLDER/busy" ] && touch "$FOLDER/busy" && sleep 0.3 && rm "$FOLDER/busy" && echo "ok 1 - a"'
        status, out = self.run_check([layer(name, alone) for name in "abc"], cores=1)
        self.assertEqual((status, self.last_line(out)), (0, "3 passed, 0 failed, 0 skipped"))

    def test_two_layers_that_wait_share_a_processor(self):
        layers = [layer("a", MEET.format("a", "b"), cores=0.5), layer("b", MEET.format("b", "a"), cores=0.5),
                  layer("c", '[ -e "$FOLDER/a" ] && [ -e "$FOLDER/b" ] && echo "ok 1 - c came after both"')]
        status, out = self.run_check(layers, cores=1)
        self.assertEqual((status, self.last_line(out)), (0, "3 passed, 0 failed, 0 skipped"), out)

    def test_a_layer_that_wants_two_processors_has_them(self):
        alone = 'touch "$FOLDER/{0}"; sleep 0.5; rm "$FOLDER/{0}"; echo "ok 1 - {0}"'
        wide = '[ ! -e "$FOLDER/a" ] && [ ! -e "$FOLDER/b" ] && touch "$FOLDER/wide" && sleep 0.5 && ' \
               '[ ! -e "$FOLDER/b" ] && echo "ok 1 - nobody else, $(nproc)"'
        layers = [layer("a", alone.format("a")), layer("wide", wide, cores=2), layer("b", alone.format("b"))]
        status, out = self.run_check(layers)
        self.assertEqual((status, self.last_line(out)), (0, "3 passed, 0 failed, 0 skipped"), out)
        self.assertIn("nobody else, 2", out)
        self.assertEqual(self.run_check(layers, cores=1)[0], 0)

    def test_layers_of_one_word_do_not_meet(self):
        alone = '[ ! -e "$FOLDER/busy" ] && touch "$FOLDER/busy" && sleep 0.3 && rm "$FOLDER/busy" && echo "ok 1 - a"'
        status, out = self.run_check([layer(name, alone, apart="x") for name in "abc"], cores=3)
        self.assertEqual((status, self.last_line(out)), (0, "3 passed, 0 failed, 0 skipped"))

    def test_one_waits_for_what_it_needs_and_others_pass_it(self):
        layers = [layer("a", wait_for("c"), reads=None),
                  layer("b", 'cat "$FOLDER/a.out"; [ -e "$FOLDER/c" ] && echo "ok 1 - after both"', needs=["a"]),
                  layer("c", 'touch "$FOLDER/c"; echo "ok 1 - c"')]
        status, out = self.run_check(layers)
        self.assertEqual((status, self.last_line(out)), (0, "2 passed, 0 failed, 0 skipped"), out)

    def test_processors_are_shared(self):
        say = 'echo "ok 1 - {0} has $(nproc)"'
        out = self.run_check([layer(name, say.format(name)) for name in "ab"], cores=8)[1]
        self.assertIn("a has 4", out)
        self.assertIn("a has 8", self.run_check([layer("a", say.format("a"))], cores=8)[1])


class Output(Case):
    def test_each_layers_is_in_one_piece(self):
        slow = 'for i in 1 2 3; do echo "{0} $i"; sleep 0.2; done; echo "ok 1 - {0}"'
        out = self.run_check([layer(name, slow.format(name)) for name in "abc"], cores=3)[1]
        lines = [line for line in out.splitlines() if re.match(r"==== .: |[abc] \d$", line)]
        self.assertEqual(lines, [line for name in "abc" for line in
                                 (f"==== {name}: about {name}", *(f"{name} {i}" for i in (1, 2, 3)))])

    def test_the_first_is_shown_as_it_comes(self):
        process = self.begin([layer("a", 'echo early; ' + wait_for("go") + '; echo "ok 1 - a"'),
                              layer("b", "echo 'ok 1 - b'")])
        while process.stdout.readline() != "early\n":
            pass
        with open(os.path.join(self.folder, "go"), "w", encoding="ascii"):
            pass
        self.assertIn("2 passed", process.communicate(timeout=60)[0])

    def test_a_last_line_without_its_end_does_not_spoil_the_next(self):
        out = self.run_check([layer("a", "echo 'ok 1 - a'; printf half"), layer("b", "echo 'ok 1 - b'")])[1]
        self.assertIn("\nhalf\n==== b: about b\n", out)

    def test_what_another_layer_judges_is_not_shown_or_counted(self):
        layers = [layer("a", "echo 'not ok 1 - a'; exit 3", reads=None),
                  layer("b", 'grep -c "not ok" "$FOLDER/a.out"; echo "ok 1 - b"', needs=["a"])]
        status, out = self.run_check(layers)
        self.assertEqual((status, self.last_line(out)), (0, "1 passed, 0 failed, 0 skipped"))
        self.assertNotIn("not ok", out)

    def test_logs(self):
        self.run_check([layer("a", "echo 'ok 1 - a'; echo error >&2")])
        with open(os.path.join(self.folder, "a.out"), encoding="ascii") as file:
            self.assertEqual(file.read(), "ok 1 - a\nerror\n")


class Results(Case):
    def test_a_layer_that_dies_fails_and_the_others_go_on(self):
        for died, why in (("echo 'ok 1 - a'; exit 7", "ended with status 7 though no test failed"),
                          ("echo 'ok 1 - a'; kill -9 $$", "ended with status -9 though no test failed"),
                          ("echo 1..2; echo 'ok 1 - a'; kill -9 $$", "1 of 2 planned tests ran"),
                          ("true", "no test ran")):
            with self.subTest(died):
                status, out = self.run_check([layer("a", died), layer("b", "sleep 0.3; echo 'ok 1 - b'"),
                                              layer("c", "echo 'ok 1 - c'", needs=["a"])])
                self.assertEqual(status, 1)
                self.assertIn(f"failed  a: {why}", out)
                self.assertRegex(self.last_line(out), r"^[23] passed, 1 failed, 0 skipped$")

    def test_failed_and_skipped_are_listed(self):
        status, out = self.run_check([layer("a", "echo 'not ok 1 - x'; echo 'ok 2 - y # SKIP why'; exit 1")])
        self.assertEqual((status, self.last_line(out)), (1, "0 passed, 1 failed, 1 skipped"))
        self.assertIn("failed  a: x\n", out)
        self.assertIn("skipped a: y: why\n", out)

    def test_one_layer_takes_what_it_needs(self):
        layers = [layer("a", "echo 'ok 1 - a'"), layer("b", "echo 'ok 1 - b'"),
                  layer("c", "echo 'ok 1 - c'", needs=["a"]), layer("root", "echo 'ok 1 - r'")]
        for words, count in (((), 3), (("all",), 4), (("b",), 1), (("c",), 2)):
            with self.subTest(words):
                out = self.run_check(layers, *words)[1]
                self.assertEqual(self.last_line(out), f"{count} passed, 0 failed, 0 skipped")
        status, out = self.run_check(layers, "none")
        self.assertEqual(status, 1)
        self.assertIn("no layer none; there are a, b, c, root", out)


class Interrupted(Case):
    def test_nothing_is_left(self):
        for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number):
                work = 'echo $$ >"$FOLDER/{0}.pid"; sleep 60 & echo $! >"$FOLDER/{0}.child"; ' \
                       'echo "{0} has begun"; wait'
                process = self.begin([layer("a", work.format("a")), layer("b", work.format("b"))])
                pids = [self.read(name) for name in ("a.pid", "a.child", "b.pid", "b.child")]
                process.send_signal(number)
                out = process.communicate(timeout=60)[0]
                self.assertEqual(process.returncode, expected, out)
                self.assertNotIn("passed", out)
                for pid in pids:
                    self.assertFalse(runs(pid), pid)
                for name in os.listdir(self.folder):
                    os.unlink(os.path.join(self.folder, name))

    def read(self, name):
        path = os.path.join(self.folder, name)
        for _ in range(300):
            with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as file:
                if (text := file.read()).endswith("\n"):
                    return int(text)
            time.sleep(0.1)
        self.fail(f"{name} is not there")


def runs(pid):
    """Whether there is such a process that has not ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Layers(unittest.TestCase):
    """The real ones."""
    def test_what_a_layer_needs_begins_before_it(self):
        seen = set()
        for one in check.LAYERS:
            self.assertTrue(seen.issuperset(one.needs), one.name)
            seen.add(one.name)

    def test_what_is_not_counted_is_judged_by_another(self):
        for one in check.LAYERS:
            if one.reads is None:
                judges = [other for other in check.LAYERS if one.name in other.needs]
                self.assertTrue(any(f"{one.name}.out" in other.command for other in judges), one.name)


if __name__ == "__main__":
    unittest.main()
