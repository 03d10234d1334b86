"""The systemd unit: sound, hardened, and with the limits of the pod."""

import configparser
import re
import tempfile
import unittest

from support import DEPLOY, container, pod, run, tool

UNIT = DEPLOY / "systemd/processor.service"


def settings(section):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(UNIT)
    return parser[section]


class Unit(unittest.TestCase):
    def analyzed(self, *words):
        # The binary is not installed here; one that is takes its place.
        with tempfile.TemporaryDirectory() as folder:
            place = f"{folder}/processor.service"
            with open(place, "w") as file:
                file.write(UNIT.read_text().replace("/usr/local/bin/processor", "/bin/true"))
            return run(tool("systemd-analyze"), *words, place)

    def test_systemd_accepts_it(self):
        done = self.analyzed("verify")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_it_is_exposed_to_little(self):
        done = self.analyzed("security", "--offline=yes", "--threshold=15", "--no-pager")
        self.assertEqual(done.returncode, 0, done.stdout[-200:])

    def test_it_has_the_limits_and_the_folders_of_the_pod(self):
        service = settings("Service")
        memory = container("production")["resources"]["limits"]["memory"]
        self.assertEqual(service["MemoryMax"], memory.removesuffix("i"))
        self.assertEqual(service["TimeoutStopSec"], str(pod("production")["terminationGracePeriodSeconds"]))
        folders = {f"/var/lib/{folder}" for folder in service["StateDirectory"].split()}
        mounts = {m["mountPath"] for m in container("production")["volumeMounts"] if not m.get("readOnly")}
        self.assertLessEqual(mounts, folders)

    def test_failures_that_a_restart_does_not_cure_stay_down(self):
        codes = (DEPLOY.parent / "crates/processor/src/cli/exit.rs").read_text()
        by_name = dict(re.findall(r"(\w+) = (\d+),", codes))
        expected = {by_name[name] for name in ("Usage", "Data", "Config")}
        self.assertEqual({*settings("Service")["RestartPreventExitStatus"].split()}, expected)


if __name__ == "__main__":
    unittest.main()
