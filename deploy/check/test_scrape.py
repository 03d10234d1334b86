"""A real Prometheus scrapes a running processor: every metric of the reference arrives, as what the reference says it is."""

import contextlib
import json
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

import live
from support import ROOT, binary, tool

# Of a Kafka source, of sources that are sent records, of checkpoints, sinks and receivers that a short run does not have.
NOT_THERE = re.compile(r"processor_(consumer_lag|intake_|inbox_|otlp_|result|checkpoint|last_checkpoint|dead_letters|partition_watermark_lag)")


def reference():
    """Names and kinds in docs/metrics.md."""
    rows = re.findall(r"^\| `(processor_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    return {name: kind for name, kind in rows if not NOT_THERE.match(name)}


class Scrape(unittest.TestCase):
    def test_prometheus_takes_every_metric_for_what_the_reference_says(self):
        tool("prometheus")
        with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
            folder = pathlib.Path(name)
            ports = {name: live.free_port() for name in ("processor", "prometheus")}
            self.start_processor(folder, ports["processor"], stack)
            url = self.start_prometheus(folder, ports, stack)
            self.wait(url, folder)
            metadata = json.loads(live.get(f"{url}/api/v1/targets/metadata?limit=1000"))["data"]
            kinds = {one["metric"]: one["type"] for one in metadata}
            expected = reference()
            self.assertGreater(len(expected), 40)
            missing = {
                name: kind for name, kind in expected.items()
                if kinds.get(name, kinds.get(name.removesuffix("_total"))) != kind
            }
            self.assertEqual(missing, {})
            # Values are those that the processor says.
            ready = json.loads(live.get(f"{url}/api/v1/query?query=processor_ready"))["data"]["result"]
            self.assertEqual([one["value"][1] for one in ready], ["1"])

    def start_processor(self, folder, port, stack):
        config = {
            "http": {"bind": f"127.0.0.1:{port}"},
            "source": {"type": "generator", "generator": {"seed": 1, "events_per_sec": 200, "speed": 1}},
            "windows": {"default_type": "tumbling", "tumbling": {"size_secs": 1}},
            "watermark": {"max_out_of_orderness_secs": 0},
            "state": {"path": str(folder / "state")},
            "sinks": [{"type": "file", "path": str(folder / "results.ndjson")}],
        }
        (folder / "c.yaml").write_text(yaml.safe_dump({"processor": config}))
        processor = live.Process(folder, "processor", [binary(), "run", "--config", "c.yaml"])
        stack.callback(processor.stop)

    def start_prometheus(self, folder, ports, stack):
        config = {
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {"job_name": "processor", "static_configs": [{"targets": [f"127.0.0.1:{ports['processor']}"]}]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        listen = f"127.0.0.1:{ports['prometheus']}"
        prometheus = live.Process(
            folder, "prometheus",
            ["prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address={listen}"],
        )
        stack.callback(prometheus.stop)
        return f"http://{listen}"

    def wait(self, url, folder):
        def has_results():
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                found = json.loads(live.get(f"{url}/api/v1/query?query=processor_results_emitted_total"))
                return any(float(one["value"][1]) > 0 for one in found["data"]["result"])
            return False

        live.wait_for("results are scraped", has_results, 60, lambda: (folder / "processor.log").read_text()[-2000:])


if __name__ == "__main__":
    unittest.main()
