"""Dashboards: well formed, every query one that Prometheus understands."""

import json
import re
import tempfile
import unittest

import yaml

from panels import DASHBOARDS, filled, queries
from support import DEPLOY, run, tool


class Dashboards(unittest.TestCase):
    def test_prometheus_understands_every_query(self):
        exprs = [filled(expr) for _, expr in queries()]
        rules = [{"record": f"panel:{at}", "expr": expr} for at, expr in enumerate(exprs)]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}, file)
            file.flush()
            done = run(tool("promtool"), "check", "rules", "--lint=none", file.name)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"{len(exprs)} rules found", done.stdout)

    def test_every_subject_has_a_panel(self):
        text = " ".join(expr for _, expr in queries())
        subjects = (
            "records_read event_to_result_latency processing_latency consumer_lag watermark_lag open_windows keys "
            "state_bytes commit_duration checkpoint errors events_late dead_letters resident_memory cpu_seconds"
        )
        for subject in subjects.split():
            self.assertIn(f"processor_{subject}" if subject not in ("resident_memory", "cpu_seconds") else subject, text)

    def test_panels_lie_side_by_side_and_have_numbers_of_their_own(self):
        for path in DASHBOARDS:
            panels = json.loads(path.read_text())["panels"]
            numbers = [panel["id"] for panel in panels]
            self.assertEqual(len(numbers), len({*numbers}), path)
            taken = set()
            for panel in panels:
                place = panel["gridPos"]
                cells = {
                    (x, y)
                    for x in range(place["x"], place["x"] + place["w"])
                    for y in range(place["y"], place["y"] + place["h"])
                }
                self.assertFalse(cells & taken, f"{path.name}: {panel['title']} lies on another panel")
                self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
                taken |= cells

    def test_every_panel_says_what_to_see_and_in_which_unit(self):
        for path in DASHBOARDS:
            for panel in json.loads(path.read_text())["panels"]:
                if panel["type"] == "row":
                    continue
                self.assertTrue(panel["description"].endswith("."), panel["title"])
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], panel["title"])
                self.assertTrue(all(target["legendFormat"] for target in panel["targets"]), panel["title"])

    def test_only_variables_that_are_defined_are_used(self):
        for path in DASHBOARDS:
            dashboard = json.loads(path.read_text())
            defined = {variable["name"] for variable in dashboard["templating"]["list"]}
            text = json.dumps(dashboard["panels"])
            used = {*re.findall(r"\$\{?(\w+)", text)} - {"__rate_interval"}
            self.assertLessEqual(used, defined, path.name)

    def test_links_lead_to_the_other_dashboard(self):
        dashboards = [json.loads(path.read_text()) for path in DASHBOARDS]
        uids = {f"/d/{dashboard['uid']}" for dashboard in dashboards}
        self.assertEqual({link["url"] for dashboard in dashboards for link in dashboard["links"]}, uids)

    def test_provisioning_finds_the_dashboards_and_the_data_source(self):
        compose = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())
        mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
        provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/processor.yaml").read_text())
        (path,) = [p["options"]["path"] for p in provider["providers"]]
        self.assertEqual(mounts["../grafana/dashboards"], path)
        home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        self.assertIn(home, {f"{path}/{dashboard.name}" for dashboard in DASHBOARDS})
        sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
        self.assertEqual([s["url"] for s in sources["datasources"]], ["http://prometheus:9090"])


if __name__ == "__main__":
    unittest.main()
