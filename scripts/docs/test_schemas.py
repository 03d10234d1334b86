"""The JSON schemas in docs/schemas are those of the program, and what it writes is as they say.

`UPDATE=1 scripts/check-docs` writes them anew.
"""

import json
import os
import pathlib
import tempfile
import unittest

import jsonschema

from pages import DOCS
from support import processor

HEAD = """processor:
  source: { type: stdin }
  sinks: [ { type: file, path: results.ndjson } ]
  side_outputs: { late: { type: file, path: late.ndjson }, dead_letter: { type: file, path: dead.ndjson } }
  event: { profile: custom, timestamp: at, key: [model, shard, live], values: { ms: ms } }
  watermark: { max_out_of_orderness_secs: 0 }
"""
SESSIONS = "  windows: { default_type: session, session: { gap_secs: 30, allowed_lateness_secs: 300 } }\n"
EARLY = "  windows: { default_type: tumbling, tumbling: { size_secs: 60 }, trigger: { count: 2 } }\n"
STATISTICS = """  aggregation:
    statistics:
      - { name: models, function: distinct, of: model }
      - { name: frequent, function: top_k, of: note }
      - { name: share, function: ratio, numerator: models, denominator: count }
"""


def event(secs, value, note="x", shard=7):
    return json.dumps({"at": f"2026-03-01T08:{secs // 60:02}:{secs % 60:02}Z", "model": "a::b", "shard": shard, "live": True, "ms": value, "note": note})


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def written(configuration, records):
    """(results, late events and dead letters) of a run over these records."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "c.yaml").write_text(configuration)
        run = processor("run", "--config", "c.yaml", folder=folder, stdin="\n".join(records) + "\n")
        assert run.returncode == 0, run.stderr
        return lines(place / "results.ndjson"), lines(place / "late.ndjson") + lines(place / "dead.ndjson")


class Schemas(unittest.TestCase):
    def setUp(self):
        self.result = json.loads(processor("schema", "result").stdout)
        self.side = json.loads(processor("schema", "side-output").stdout)

    def agree(self, schema, records, at_least):
        self.assertGreaterEqual(len(records), at_least)
        validator = jsonschema.Draft202012Validator(schema)
        for record in records:
            faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(record)]
            self.assertEqual(faults, [], record)
            self.assertLessEqual(set(record), set(schema["properties"]), "the schema names every field")

    def test_the_files_are_what_the_program_prints(self):
        for name in ("result", "side-output"):
            file, said = DOCS / f"schemas/{name}.schema.json", processor("schema", name).stdout
            if os.environ.get("UPDATE"):
                file.parent.mkdir(exist_ok=True)
                file.write_text(said)
            self.assertEqual(file.read_text(), said, "UPDATE=1 scripts/check-docs writes it anew")

    def test_results_of_every_kind_are_as_the_schema_says(self):
        plain, sides = written(HEAD + EARLY + STATISTICS, [
            event(1, 1.5), event(2, 2, note=500), event(3, 1e308, note=True), event(4, 1e308), event(500, 4), event(5, 1),
        ])
        timings = {result["pane"]["timing"] for result in plain}
        self.assertEqual(timings, {"early", "on_time"})
        self.assertTrue(any("errors" in result for result in plain), "1e308 + 1e308 has no sum")
        self.assertTrue(any(result["results"].get("frequent") for result in plain))
        sketched, _ = written(HEAD, [event(1, number) for number in range(300)])
        self.assertEqual({*sketched[0]["quality"].values()}, {"sketch"})
        merged, _ = written(HEAD + SESSIONS, [event(1, 1), event(50, 1), event(400, 1)] + [event(30, 1)] * 9_000)
        self.agree(self.result, plain + sketched + merged, 8)
        self.agree(self.side, sides, 1)

    def test_late_events_and_dead_letters_are_as_the_schema_says(self):
        _, sides = written(HEAD, [
            event(500, 1), event(1, 1), "{", '"\\udc00"', '{"at": 5}', event(1, "x"), event(1, 1, shard=1.5), "[1]",
            '{"at": "yesterday"}', '{"at":"2026-03-01T08:00:00Z","model":"m","shard":1,"live":true,"ms":null}',
        ])
        self.assertEqual({side["kind"] for side in sides}, {"late", "dead_letter"})
        self.assertGreaterEqual(len({side["reason"] for side in sides}), 5)
        self.agree(self.side, sides, 8)

    def test_a_record_that_is_not_so_is_found_out(self):
        validator = jsonschema.Draft202012Validator(self.result)
        (good, *_), _ = written(HEAD, [event(1, 1)])
        for path, value in ((("results",), {"count": "3"}), (("window_id",), "x"), (("pane", "timing"), "soon"), (("timestamp",), "now")):
            bad = json.loads(json.dumps(good))
            inner = bad
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value
            self.assertFalse(validator.is_valid(bad), path)
            del inner[path[-1]]
            self.assertFalse(validator.is_valid(bad), path)


if __name__ == "__main__":
    unittest.main()
