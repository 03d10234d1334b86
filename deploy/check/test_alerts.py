"""Alert rules: sound, explained, tested, and about metrics that exist."""

import re
import tempfile
import unittest

import yaml

from support import DEPLOY, ROOT, run, tool

RULES = DEPLOY / "prometheus/alerts.yaml"
TESTS = sorted((DEPLOY / "prometheus/tests").glob("*.yaml"))
RUNBOOKS = ROOT / "docs/runbooks"
REPOSITORY = "https://github.com/llm-auto-optimizer/stream-processor/blob/main/"
SECTIONS = ("## What it means", "## See why", "## What to do", "## It is over when")
METRIC = re.compile(r"\bprocessor_[a-z0-9_]+")


def rules():
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def catalogue():
    """Names of metrics, with the series of histograms, from the generated reference."""
    kinds = re.findall(r"^\| `(processor_\w+)` \| (\w+)", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    names = set()
    for name, kind in kinds:
        names |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


class Alerts(unittest.TestCase):
    def test_promtool_accepts_them(self):
        done = run(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_every_rule_fires_and_clears_in_its_test(self):
        done = run(tool("promtool"), "test", "rules", *TESTS)
        self.assertEqual(done.returncode, 0, done.stdout)
        fires, clears = set(), set()
        for path in TESTS:
            for case in yaml.safe_load(path.read_text())["tests"]:
                fired = set()
                # In the order of time: what is empty after it fired has cleared.
                for check in case["alert_rule_test"]:
                    name = check["alertname"]
                    if check["exp_alerts"]:
                        fired.add(name)
                    elif name in fired:
                        clears.add(name)
                fires |= fired
        names = {rule["alert"] for rule in rules()}
        self.assertEqual((names - fires, names - clears), (set(), set()))

    def test_every_rule_says_how_bad_it_is_and_what_it_means(self):
        for rule in rules():
            with self.subTest(rule["alert"]):
                self.assertIn("for", rule)
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                self.assertEqual({*rule["annotations"]}, {"summary", "description", "runbook_url"})

    def test_every_rule_has_a_runbook_with_all_sections(self):
        named = set()
        for rule in rules():
            url = rule["annotations"]["runbook_url"]
            self.assertTrue(url.startswith(REPOSITORY), url)
            path = ROOT / url.removeprefix(REPOSITORY)
            named.add(path.name)
            text = path.read_text()
            self.assertIn(f"`{rule['alert']}`", text.splitlines()[2], path)
            places = [text.find(section) for section in SECTIONS]
            self.assertEqual(places, sorted(places), path)
            self.assertNotIn(-1, places, path)
        self.assertEqual({path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"}, named)

    def test_runbooks_name_commands_and_keys_that_exist(self):
        schema = (ROOT / "config/processor.schema.json").read_text()
        arguments = (ROOT / "crates/processor/src/cli/args.rs").read_text().lower()
        for path in RUNBOOKS.glob("*.md"):
            text = path.read_text()
            for verb in re.findall(r"`processor ([a-z-]+)", text) + re.findall(r"^ *(?:kubectl .*-- )?processor ([a-z-]+)", text, re.MULTILINE):
                self.assertRegex(arguments, rf"\b{verb.replace('-', '')}\(", f"{path}: processor {verb}")
            for key in re.findall(r"`((?:limits|state|watermark|windows|kafka|metrics|http|error_handling)\.[a-z_.]+)`", text):
                self.assertIn(f'"{key.split(".")[-1]}"', schema, f"{path}: {key}")

    def test_rules_tests_dashboards_and_runbooks_name_metrics_that_exist(self):
        known = catalogue()
        files = [RULES, *TESTS, *RUNBOOKS.glob("*.md"), ROOT / "docs/deployment.md"]
        files += (DEPLOY / "grafana/dashboards").glob("*.json")
        for path in files:
            # Prose may name a histogram itself, which no query can.
            named = {f"{name}_bucket" if path.suffix == ".md" and f"{name}_bucket" in known else name
                     for name in METRIC.findall(path.read_text())}
            unknown = named - known
            self.assertEqual(unknown, set(), path)

    def test_prometheus_of_compose_is_sound(self):
        text = (DEPLOY / "compose/prometheus.yml").read_text()
        self.assertIn("job_name: llm-optimizer-processor", text)
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(text.replace("/etc/prometheus/alerts.yaml", str(RULES)))
            file.flush()
            done = run(tool("promtool"), "check", "config", file.name)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
