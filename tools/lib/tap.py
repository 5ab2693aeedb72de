# SPDX-License-Identifier: GPL-2.0
"""Reads what test programs print: TAP, GoogleTest's own format, Python's unittest -v.

tools/vm runs a guest that fell silent once more, and prints "# again:" before; what the first run
printed, from its "TAP version" on, does not count.

parse() gives a Report; problems() says what is wrong with it beyond failed tests: a plan that
does not fit, a test that began and did not end, a skip without a reason, nothing run at all.
"""
import re

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
BADNESS = {PASSED: 0, SKIPPED: 1, FAILED: 2}


class Report:
    def __init__(self):
        self.tests = []         # (name, outcome, reason of a skip), in order
        self.planned = None     # of TAP: how many tests were announced
        self.bailed = None      # of TAP: the text of "Bail out!"
        self.running = None     # of GoogleTest: begun and not ended
        self.observed = {}      # "# observe: KEY=VALUE" -> list of values
        self.before = None      # of TAP: all that, as it was when the last program began

    def program_begins(self):
        self.before = (len(self.tests), self.planned, self.bailed,
                       {key: list(values) for key, values in self.observed.items()})

    def program_again(self):
        if self.before:
            count, self.planned, self.bailed, self.observed = self.before
            del self.tests[count:]

    def count(self, outcome):
        return sum(1 for test in self.tests if test[1] == outcome)

    def outcomes(self):
        """By name. Of a test that ran more than once, in several machines, the worst."""
        worst = {}
        for name, outcome, reason in self.tests:
            if name not in worst or BADNESS[outcome] > BADNESS[worst[name][0]]:
                worst[name] = (outcome, reason)
        return worst

    def problems(self):
        found = []
        if not self.tests:
            found.append("no test ran")
        if self.bailed is not None:
            found.append(f"bailed out: {self.bailed}")
        if self.planned is not None and self.planned != len(self.tests):
            found.append(f"{len(self.tests)} of {self.planned} planned tests ran")
        if self.running:
            found.append(f"{self.running} began and did not end")
        found += [f"{name} was skipped without a reason"
                  for name, outcome, reason in self.tests if outcome == SKIPPED and not reason]
        return found


TAP_TEST = re.compile(r"(not )?ok\b(?: (\d+))?(?: -)?(?: (.*?))?"
                      r"(?: # (SKIP|TODO)\S*(?: (.*))?)?$", re.IGNORECASE)
TAP_PLAN = re.compile(r"1\.\.(\d+)(?: |$)")
OBSERVE = re.compile(r"# observe: ([^=]+)=(.*)$")


def read_tap(report, line):
    if line.startswith("TAP version "):
        report.program_begins()
    elif line.startswith("# again: "):
        report.program_again()
    elif found := OBSERVE.match(line):
        report.observed.setdefault(found[1], []).append(found[2])
    elif found := TAP_PLAN.match(line):
        # Several programs in one stream: their plans add up.
        report.planned = (report.planned or 0) + int(found[1])
    elif line.startswith("Bail out!"):
        report.bailed = line[len("Bail out!"):].strip()
    elif found := TAP_TEST.match(line):
        outcome = FAILED if found[1] else PASSED
        if not found[1] and (found[4] or "").upper() == "SKIP":
            outcome = SKIPPED
        report.tests.append((found[3] or f"test {found[2]}", outcome, (found[5] or "").strip()))


GTEST = re.compile(r"\[ ([A-Z ]{8}) \] (\S+?)(?:, where .*?)?( \(\d+ ms\))?$")


def read_gtest(report, line):
    # A skip's reason stands on the line below "file:line: Skipped".
    if report.running and re.search(r": Skipped$", line):
        report.reason = None
        return
    if report.running and getattr(report, "reason", "") is None:
        report.reason = line.strip()
    found = GTEST.match(line)
    if not found:
        return
    word, name, timed = found[1].strip(), found[2], found[3]
    if word == "RUN":
        report.running, report.reason = name, ""
    elif timed and name == report.running:
        # Without a time it is the list at the end, which repeats.
        outcome = {"OK": PASSED, "FAILED": FAILED, "SKIPPED": SKIPPED}.get(word)
        if outcome:
            reason = report.reason if outcome == SKIPPED else ""
            report.tests.append((name, outcome, reason or ""))
            report.running = None


UNITTEST = re.compile(r"(\w+) \(([\w.]+)\).*? \.\.\. (ok|FAIL|ERROR|skipped)(?: '(.*)')?$")


def read_unittest(report, line):
    if found := UNITTEST.match(line):
        outcome = {"ok": PASSED, "skipped": SKIPPED}.get(found[3], FAILED)
        report.tests.append((f"{found[2]}.{found[1]}", outcome, found[4] or ""))


READERS = {"tap": read_tap, "gtest": read_gtest, "unittest": read_unittest}


def parse(text, kind="tap"):
    report = Report()
    for line in text.splitlines():
        READERS[kind](report, line)
    return report


def parse_files(paths, kind="tap"):
    """Of files one after the other, as if they were one."""
    texts = []
    for path in paths:
        with open(path, encoding="utf-8", errors="replace", newline="") as src:
            texts.append(src.read())
    return parse("\n".join(texts), kind)
