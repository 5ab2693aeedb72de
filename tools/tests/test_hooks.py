# SPDX-License-Identifier: GPL-2.0
"""tools/hooks/pre-commit, in a clone: it judges what is staged, and only that."""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class PreCommit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        top = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, top)
        cls.clone = os.path.join(top, "clone")
        # What the hook makes and does not take away.
        cls.left = os.path.join(top, "tmp")
        os.mkdir(cls.left)
        # The files as they are now, whatever of them is committed.
        files = subprocess.run([f"{ROOT}/tools/lint/files", "all"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines()
        for path in files:
            to = os.path.join(cls.clone, path)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, path), to, follow_symlinks=False)
        # Neither the variables of a hook that runs these tests, nor the user's configuration.
        cls.env = {name: value for name, value in os.environ.items()
                   if not name.startswith("GIT_")}
        cls.env.update(GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", TMPDIR=cls.left,
                       GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@localhost",
                       GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@localhost")
        for command in (("git", "init", "-q"), ("git", "add", "-A"),
                        ("git", "commit", "-qm", "all"), ("git", "tag", "begin"),
                        ("make", "-s", "hooks")):
            subprocess.run(command, check=True, cwd=cls.clone, env=cls.env)

    def setUp(self):
        self.git("reset", "-q", "--hard", "begin")
        self.git("clean", "-fdxq")

    def tearDown(self):
        self.assertEqual(os.listdir(self.left), [])

    def git(self, *arguments, cwd="."):
        done = subprocess.run(["git", *arguments], cwd=os.path.join(self.clone, cwd), check=False,
                              text=True, env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.said = done.stdout
        return done.returncode

    def append(self, path, text):
        with open(os.path.join(self.clone, path), "a", encoding="utf-8") as file:
            file.write(text)

    def test_what_is_clean_passes_from_any_folder_and_leaves_nothing(self):
        self.append("README.md", "\nMore.\n")
        self.assertEqual(self.git("commit", "-qam", "more", cwd="tools"), 0, self.said)
        self.assertEqual(self.said, "")
        self.git("status", "--porcelain")
        self.assertEqual(self.said, "")

    def test_each_lint_stops_a_commit(self):
        for path, text, says in (
                ("vfio_core/group.cpp", "int  badly_formatted ;\n", "lint format"),
                ("vfio_core/group.cpp", "#include <linux/mm.h>\n", "lint boundary"),
                ("include/shim/log.h", "void shim_undocumented(void);\n", "lint kernel-doc"),
                ("README.md", "[nowhere](none.md)\n", "lint docs"),
                ("tools/check-core", "cd $nowhere; [ $x = ]\n", "lint scripts")):
            with self.subTest(says=says):
                self.append(path, text)
                self.assertNotEqual(self.git("commit", "-qam", "bad"), 0)
                self.assertIn(says, self.said)
            self.git("reset", "-q", "--hard")

    def test_the_work_tree_neither_helps_nor_hinders(self):
        self.append("README.md", "\nMore.\n")
        self.git("add", "-A")
        self.append("vfio_core/group.cpp", "int  badly_formatted ;\n")
        self.append("new.sh", "no licence\n")
        self.assertEqual(self.git("commit", "-qm", "more"), 0, self.said)
        self.git("add", "-A")
        self.git("checkout", "-q", "HEAD^", "--", "README.md")
        os.unlink(os.path.join(self.clone, "new.sh"))
        self.assertNotEqual(self.git("commit", "-qm", "bad"), 0)
        self.assertIn("new.sh:1: begins without", self.said)
        self.assertIn("lint format", self.said)

    def test_some_files_by_name(self):
        """git commit FILE has an index of its own."""
        self.append("README.md", "[nowhere](none.md)\n")
        self.append("CHANGELOG.md", "\nMore.\n")
        self.assertEqual(self.git("commit", "-qm", "one", "CHANGELOG.md"), 0, self.said)
        self.assertNotEqual(self.git("commit", "-qm", "bad", "README.md"), 0)
        self.assertIn("no none.md", self.said)


if __name__ == "__main__":
    unittest.main()
