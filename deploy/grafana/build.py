#!/usr/bin/env python3
"""Writes the dashboards: dashboards/processor-overview.json and dashboards/processor-internals.json.

What is on them is below, one line a query; Grafana's JSON is only how it is told. After a change:
deploy/check/generate
"""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
WIDTH = 24
I = 'instance=~"$instance"'
P = 'instance=~"$instance",pipeline=~"$pipeline"'


def rate(metric, labels=P, by="instance, pipeline"):
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantiles(metric):
    return [
        (
            f"histogram_quantile({q}, sum by (instance, le) (rate({metric}_bucket{{{I}}}[$__rate_interval])))",
            f"p{int(q * 100)} {{{{instance}}}}",
        )
        for q in (0.5, 0.95, 0.99)
    ]


LEFT_OUT = (
    f"1 - (sum by (instance, pipeline) (rate(processor_events_accepted_total{{{P}}}[$__rate_interval]))"
    f" + sum by (instance, pipeline) (rate(processor_events_filtered_total{{{P}}}[$__rate_interval])))"
    f" / sum by (instance, pipeline) (rate(processor_records_read_total{{{P}}}[$__rate_interval]))"
)
ERRORS = (
    f"sum by (instance) (rate(processor_errors_total{{{I}}}[$__rate_interval]))"
    f" / sum by (instance) (rate(processor_records_read_total{{{I}}}[$__rate_interval]))"
)
NAME = "{{instance}}"
PIPELINE = "{{instance}} {{pipeline}}"

# Panels: title, unit, what to see in it, queries; then "stat" where the newest value is enough, and the
# value from which it is red.
OVERVIEW = [
    ("Is it well", [
        ("Ready", "bool_yes_no", "What /readyz says.", [(f"processor_ready{{{I}}}", NAME)], "stat", None),
        ("Source reachable", "bool_yes_no", "Whether brokers or files answer.",
         [(f"processor_source_up{{{I}}}", NAME)], "stat", None),
        ("Records per second", "short", "Read, over the last ten seconds.",
         [(f"processor_events_per_second{{{I}}}", NAME)], "stat", None),
        ("Consumer lag", "short", "Records that are not read yet; alert above 10,000.",
         [(f"sum by (instance) (processor_consumer_lag_records{{{I}}})", NAME)], "stat", 10_000),
        ("Event to result, p99", "s", "Of the last minute; alert above 1 s.",
         [(f'processor_latency_quantile_seconds{{{I},stage="event_to_result",quantile="0.99"}}', NAME)], "stat", 1),
        ("Left out", "percentunit", "Late, not usable, skipped or shed; alert above 1 %.", [(LEFT_OUT, PIPELINE)], "stat", 0.01),
        ("Errors per record", "percentunit", "Alert above 1 %.", [(ERRORS, NAME)], "stat", 0.01),
        ("Memory", "percentunit", "Of the limit; alert above 80 %.",
         [(f"processor_process_resident_memory_bytes{{{I}}} / processor_memory_limit_bytes{{{I}}}", NAME)], "stat", 0.8),
    ]),
    ("Throughput", [
        ("Records", "cps", "Read, and what became of them.", [
            (rate("processor_records_read_total"), f"read {PIPELINE}"),
            (rate("processor_events_accepted_total"), f"accepted {PIPELINE}"),
            (rate("processor_events_filtered_total"), f"filtered {PIPELINE}"),
        ]),
        ("Results", "cps", "Results with all revisions, and windows that fired for the first time.", [
            (rate("processor_results_emitted_total"), f"results {PIPELINE}"),
            (rate("processor_windows_fired_total"), f"windows {PIPELINE}"),
        ]),
    ]),
    ("Latency", [
        ("Event to result", "s", "From the receipt of the event that closes a window to its readable result.",
         quantiles("processor_event_to_result_latency_seconds")),
        ("Processing", "s", "From the receipt of a batch until it is aggregated.",
         quantiles("processor_processing_latency_seconds")),
    ]),
    ("Lag and watermarks", [
        ("Consumer lag by partition", "short", "One partition that grows alone: a hot key or a stuck partition.",
         [(f"processor_consumer_lag_records{{{I}}}", "{{source}} {{partition}}")]),
        ("Watermark lag", "s", "How far behind the clock event time is; windows close with it.",
         [(f"processor_watermark_lag_seconds{{{P}}}", PIPELINE)]),
        ("Watermark lag by partition", "s", "The slowest partition that is not idle holds all windows open.",
         [(f"processor_partition_watermark_lag_seconds{{{P}}}", "{{pipeline}} {{source}} {{partition}}")]),
        ("Partitions", "short", "Assigned, idle (hold nothing back), paused (wait for slower ones).", [
            (f"processor_partitions_assigned{{{I}}}", f"assigned {NAME}"),
            (f"processor_partitions_idle{{{P}}}", f"idle {PIPELINE}"),
            (f"processor_partitions_paused{{{I}}}", f"paused {NAME}"),
        ]),
    ]),
]

INTERNALS = [
    ("Windows, keys, state", [
        ("Open windows", "short", "And the limit: max_windows_per_key times keys.", [
            (f"processor_open_windows{{{P}}}", f"open {PIPELINE}"),
            (f"processor_max_windows_per_key{{{P}}} * processor_keys{{{P}}}", f"limit {PIPELINE}"),
        ]),
        ("Keys", "short", "With state. Overflowed: counted under __overflow__ because of limits.max_keys.", [
            (f"processor_keys{{{P}}}", f"keys {PIPELINE}"),
            (rate("processor_keys_overflowed_total"), f"overflowed per second {PIPELINE}"),
        ]),
        ("State", "bytes", "Of windows in memory, and of the store on disk; alert above 10 GB.", [
            (f"processor_state_bytes{{{P}}}", f"memory {PIPELINE}"),
            (f"processor_store_bytes{{{I}}}", f"store {NAME}"),
        ]),
        ("Windows begun and fired", "cps", "Begun far above fired: windows pile up.", [
            (rate("processor_windows_created_total"), f"begun {PIPELINE}"),
            (rate("processor_windows_fired_total"), f"fired {PIPELINE}"),
        ]),
    ]),
    ("Commits, checkpoints, recovery", [
        ("Commit duration", "s", "From the cut to the acknowledgement.", quantiles("processor_commit_duration_seconds")),
        ("Commits", "cps", "Acknowledged, and tried again.", [
            (rate("processor_commits_total", I, "instance"), f"commits {NAME}"),
            (rate("processor_commit_retries_total", I, "instance"), f"retries {NAME}"),
        ]),
        ("Age of the newest commit", "s", "Grows while nothing can be committed, or nothing comes.",
         [(f"time() - (processor_last_commit_timestamp_seconds{{{I}}} > 0)", NAME)]),
        ("Age of the newest checkpoint", "s", "Of this run.",
         [(f"time() - (processor_last_checkpoint_timestamp_seconds{{{I}}} > 0)", NAME)]),
        ("Checkpoints per hour", "short", "Kept, and failed.", [
            (f"sum by (instance) (increase(processor_checkpoints_total{{{I}}}[1h]))", f"kept {NAME}"),
            (f"sum by (instance) (increase(processor_checkpoint_failures_total{{{I}}}[1h]))", f"failed {NAME}"),
        ]),
        ("Checkpoint duration", "s", "Since the start.",
         [(f'processor_latency_quantile_seconds{{{I},stage="checkpoint"}}', "{{quantile}} {{instance}}")]),
        ("Checkpoint size", "bytes", "Of the newest one.", [(f"processor_checkpoint_bytes{{{I}}}", NAME)]),
        ("Recovery", "short", "Since the start: how often state was read back, how long the newest took, rebalances.", [
            (f"processor_recoveries_total{{{I}}}", f"recoveries {NAME}"),
            (f"processor_recovery_seconds{{{I}}}", f"seconds {NAME}"),
            (f"processor_rebalances_total{{{I}}}", f"rebalances {NAME}"),
        ]),
    ]),
    ("Sinks", [
        ("Outbox", "bytes", "Committed output that not every sink has; at the limit input waits.", [
            (f"processor_outbox_bytes{{{I}}}", f"waiting {NAME}"),
            (f"processor_outbox_max_bytes{{{I}}}", f"limit {NAME}"),
        ]),
        ("Sink retries", "cps", "Deliveries that failed and were tried again.",
         [(rate("processor_sink_retries_total", I, "instance, sink"), "{{sink}} {{instance}}")]),
    ]),
    ("Errors, late events, dead letters", [
        ("Errors by stage", "cps", "All of them; alert above 1 % of the records.",
         [(rate("processor_errors_total", I, "instance, stage"), "{{stage}} {{instance}}")]),
        ("Late events", "cps", "Too late for every window.", [(rate("processor_events_late_total"), PIPELINE)]),
        ("Dead letters by reason", "cps", "Records that cannot be used.",
         [(rate("processor_dead_letters_total", P, "pipeline, reason"), "{{pipeline}} {{reason}}")]),
        ("Left out", "percentunit", "Late, not usable, skipped or shed, of the records read.", [(LEFT_OUT, PIPELINE)]),
        ("Skipped and shed", "cps", "By a policy of the program's own, or under pressure.", [
            (rate("processor_events_skipped_total"), f"skipped {PIPELINE}"),
            (rate("processor_events_shed_total"), f"shed {PIPELINE}"),
        ]),
    ]),
    ("Resources", [
        ("Memory", "bytes", "Resident, and the limit.", [
            (f"processor_process_resident_memory_bytes{{{I}}}", f"resident {NAME}"),
            (f"processor_memory_limit_bytes{{{I}}}", f"limit {NAME}"),
        ]),
        ("Processor time", "short", "Cores in use.",
         [(rate("processor_process_cpu_seconds_total", I, "instance"), NAME)]),
        ("HTTP requests", "cps", "By class of status.",
         [(rate("processor_http_requests_total", I, "instance, status"), "{{status}} {{instance}}")]),
        ("Live listeners", "short", "And results they were told they missed, per second.", [
            (f"processor_live_listeners{{{I}}}", f"listeners {NAME}"),
            (rate("processor_live_results_missed_total", I, "instance"), f"missed {NAME}"),
        ]),
        ("Up since", "s", "A drop to zero is a restart.",
         [(f"time() - processor_process_start_timestamp_seconds{{{I}}}", NAME)]),
        ("Version", "short", "Of the program.", [(f"processor_build_info{{{I}}}", "{{version}} {{instance}}")]),
    ]),
]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def panel(number, spec, place):
    title, unit, description, queries, *more = spec
    kind, limit = more if more else ("timeseries", None)
    defaults = {"unit": unit, "min": 0}
    made = {
        "id": number,
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for at, (expr, legend) in enumerate(queries)
        ],
    }
    if kind == "stat":
        steps = [{"color": "green", "value": None}]
        if limit is not None:
            steps.append({"color": "red", "value": limit})
        if unit == "bool_yes_no":
            steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        made["options"] = {
            "colorMode": "background",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    else:
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never"}
        made["options"] = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    made["fieldConfig"] = {"defaults": defaults, "overrides": []}
    return made


def panels(rows):
    made, y, number = [], 0, 1
    for title, specs in rows:
        made.append({"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
                     "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}})
        number, y = number + 1, y + 1
        small = specs[0][-2:-1] == ("stat",)
        width, height = (WIDTH // len(specs), 4) if small else (WIDTH // 2, 8)
        for at, spec in enumerate(specs):
            across = WIDTH // width
            place = {"h": height, "w": width, "x": at % across * width, "y": y + at // across * height}
            made.append(panel(number, spec, place))
            number += 1
        y += -(-len(specs) // (WIDTH // width)) * height
    return made


def variable(name, label):
    query = f"label_values(processor_records_read_total, {name})"
    return {
        "name": name, "label": label, "type": "query", "datasource": DATASOURCE, "definition": query,
        "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def dashboard(uid, title, other, rows):
    return {
        "uid": uid,
        "title": title,
        "tags": ["llm-optimizer"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "schemaVersion": 41,
        "version": 1,
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "links": [{"type": "link", "title": other[1], "url": f"/d/{other[0]}", "keepTime": True, "includeVars": True}],
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
             "current": {}, "hide": 0},
            variable("instance", "Instance"),
            variable("pipeline", "Pipeline"),
        ]},
        "panels": panels(rows),
    }


OVERVIEW_NAME = ("llm-processor-overview", "LLM processor: overview")
INTERNALS_NAME = ("llm-processor-internals", "LLM processor: internals")


def all_dashboards():
    """File name to text."""
    made = {
        "processor-overview.json": dashboard(*OVERVIEW_NAME, INTERNALS_NAME, OVERVIEW),
        "processor-internals.json": dashboard(*INTERNALS_NAME, OVERVIEW_NAME, INTERNALS),
    }
    return {name: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    for name, text in all_dashboards().items():
        (HERE / "dashboards" / name).write_text(text)
