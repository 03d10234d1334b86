"""Alert rules and dashboards against running processors; see scripts/alerts-live."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import yaml

import panels
from support import DEPLOY, ROOT, binary

KAFKA = f"alerts-{os.getpid()}"
TOPICS = ("in", "out", "late", "dead")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def wait_for(what, done, seconds=90, instead=lambda: ""):
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"{what}: not within {seconds} s {instead()}")
        time.sleep(0.2)
    return time.monotonic() - begun


# 10 GB of state would take this machine an hour to fill.
STATE_LIMIT = "30e6"


def short_rules():
    """The rules as they are, but with ranges and waits of seconds; thresholds stay, but for that of state."""
    text = (DEPLOY / "prometheus/alerts.yaml").read_text()
    text = text.replace("[5m]", "[10s]").replace("[15m]", "[15s]")
    assert text.count("10e9") == 2, "the limit of state is another one"
    text = text.replace("10e9", STATE_LIMIT)
    return re.sub(r"\bfor: \d+m", "for: 2s", text)


class Process:
    """A program in a folder, with its log there."""

    def __init__(self, folder, name, command):
        self.log = folder / f"{name}.log"
        self.command, self.folder, self.process = command, folder, None
        self.start()

    def start(self, **more):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PROCESSOR_")} | more
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self, config=None, **more):
        """Ends it and starts it, with another configuration and variables."""
        self.stop()
        if config:
            self.command[-1] = config
        self.start(**more)


class Kafka:
    """The broker of scripts/kafka, by its own instance."""

    def __init__(self):
        self.environment = {**os.environ, "KAFKA_INSTANCE": KAFKA}
        self.address = self.script("start").strip().split("=")[1]
        cache = os.environ.get("PROCESSOR_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME", f"{pathlib.Path.home()}/.cache") + "/llm-optimizer-processor"
        self.folder = pathlib.Path(cache) / "kafka/instances" / KAFKA

    def script(self, *words):
        done = subprocess.run([ROOT / "scripts/kafka", *words], env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def signal(self, which):
        os.kill(int((self.folder / "pid").read_text()), which)

    def make_topics(self):
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.address})
        made = admin.create_topics([NewTopic(t, 2 if t == "in" else 1, 1) for t in TOPICS])
        for future in made.values():
            future.result(30)


class Traffic:
    """Records to both partitions, twenty times a second, until told otherwise."""

    def __init__(self, address):
        from confluent_kafka import Producer

        self.producer = Producer({"bootstrap.servers": address, "linger.ms": 0, "log_level": 0})
        self.ahead, self.bad, self.late, self.partitions = 0.0, 0, 0, (0, 1)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def event(self, seconds):
        return json.dumps({"ts": int((time.time() + self.ahead + seconds) * 1000), "model": "m", "v": 1.5})

    def send(self, partition, record):
        self.producer.produce("in", record, partition=partition)

    def run(self):
        while not self.stopped.wait(0.05):
            for partition in self.partitions:
                self.send(partition, self.event(0))
                for _ in range(self.bad):
                    self.send(partition, "{")
                for _ in range(self.late):
                    self.send(partition, self.event(-60))
            self.producer.poll(0)

    def backlog(self, count, seconds):
        """Records of the coming `seconds` to partition 0, which the other one does not keep up with."""
        self.partitions = ()
        time.sleep(0.2)
        for at in range(count):
            self.send(0, self.event(at * seconds / count))
            if at % 1000 == 0:
                self.producer.poll(0)
        self.producer.flush(30)

    def catch_up(self, seconds):
        self.ahead += seconds
        self.partitions = (0, 1)


def write_configurations(folder, address, ports):
    common = {
        "event": {"profile": "custom", "timestamp": "ts", "timestamp_unit": "ms", "key": ["model"], "values": {"v": "v"}},
        "windows": {"default_type": "tumbling", "tumbling": {"size_secs": 1}},
        "commit_interval_ms": 200,
    }
    kafka = {
        **common,
        "http": {"bind": f"127.0.0.1:{ports['kafka']}"},
        "buffer_size": 200,
        "watermark": {
            "max_out_of_orderness_secs": 0.5, "idle_timeout_secs": 0, "max_watermark_drift_secs": 30,
            "max_future_skew_secs": 100000,
        },
        "side_outputs": {"late": {"type": "kafka", "topic": "late"}, "dead_letter": {"type": "kafka", "topic": "dead"}},
        "state": {"path": str(folder / "kafka-state")},
        "kafka": {
            "consumer": {
                "bootstrap_servers": address, "group_id": "live", "topics": ["in"], "auto_offset_reset": "earliest",
                "max_poll_records": 100,
            },
            "producer": {"bootstrap_servers": address, "result_topic": "out"},
        },
    }
    local = {
        "http": {"bind": f"127.0.0.1:{ports['local']}"},
        "source": {"type": "generator", "generator": {"seed": 1, "events_per_sec": 200, "speed": 1}},
        "windows": {"default_type": "tumbling", "tumbling": {"size_secs": 1}},
        "watermark": {"max_out_of_orderness_secs": 5},
        "checkpoint_interval_secs": 1,
        "state": {"path": str(folder / "local-state"), "checkpoint_path": str(folder / "local-checkpoints")},
        "sinks": [{"type": "file", "path": str(folder / "results.ndjson")}],
    }
    def instead(name, generator, **more):
        """The local one with other traffic and settings, and a state of its own."""
        state = {"path": str(folder / f"{name}-state")}
        source = {"type": "generator", "generator": {"seed": 1, **generator}}
        return {**local, "source": source, "state": state, "sinks": [{"type": "file", "path": str(folder / f"{name}.ndjson")}], **more}

    custom = {"profile": "custom", "timestamp": "timestamp", "values": {"latency_ms": "latency_ms"}}
    # Each event has a key of its own, and windows stay open.
    large = instead(
        "large", {"events_per_sec": 3000, "speed": 1}, event={**custom, "key": ["id"]},
        windows={"default_type": "tumbling", "tumbling": {"size_secs": 3600}},
    )
    # Windows of 60 s every 50 s have slices of 10 s: fewer windows than slices, and slices are what is open.
    many = instead(
        "many", {"events_per_sec": 200, "speed": 5, "start": "2020-01-01T00:00:00Z"}, event={**custom, "key": ["model"]},
        windows={"default_type": "sliding", "sliding": {"size_secs": 60, "slide_secs": 50}},
        limits={"max_windows_per_key": 2},
    )
    # More is read than is processed, and waits in a deep queue.
    deep = instead("deep", {"events_per_sec": 200, "speed": 0, "start": "2020-01-01T00:00:00Z"}, buffer_size=1_000_000)
    others = (("large", large), ("many", many), ("deep", deep))
    for name, config in (("kafka", kafka), ("local", local), *others):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"processor": config}))


def write_prometheus(folder, ports):
    (folder / "rules.yaml").write_text(short_rules())
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{
            "job_name": "llm-optimizer-processor",
            "static_configs": [{"targets": [f"127.0.0.1:{ports[name]}" for name in ("kafka", "local")]}],
        }],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))


class World:
    """A broker, two processors, Prometheus, traffic."""

    def __init__(self, folder, stack):
        self.folder = folder
        self.kafka = Kafka()
        stack.callback(self.kafka.script, "clean")
        # A broker that stands still would not end.
        stack.callback(self.wake_kafka)
        self.kafka.make_topics()
        self.ports = {name: free_port() for name in ("kafka", "local", "prometheus")}
        write_configurations(folder, self.kafka.address, self.ports)
        write_prometheus(folder, self.ports)
        self.processors = {}
        for name in ("kafka", "local"):
            command = [binary(), "run", "--config", f"{name}.yaml"]
            self.processors[name] = Process(folder, name, command)
            stack.callback(self.processors[name].stop)
        self.prometheus_url = f"http://127.0.0.1:{self.ports['prometheus']}"
        listen = f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}"
        prometheus = Process(
            folder, "prometheus",
            ["prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", listen],
        )
        stack.callback(prometheus.stop)
        self.traffic = Traffic(self.kafka.address)
        stack.callback(self.traffic.stopped.set)

    def wake_kafka(self):
        with contextlib.suppress(OSError):
            self.kafka.signal(signal.SIGCONT)

    def value(self, expr):
        found = panels.values(self.prometheus_url, expr)
        return found[0] if found else None

    def alerts(self):
        """All alerts that are pending or fire."""
        return json.loads(get(f"{self.prometheus_url}/api/v1/alerts"))["data"]["alerts"]

    def firing(self):
        """Names of the alerts that fire."""
        alerts = self.alerts()
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def is_scraped(self):
        try:
            return self.value('sum(up{job="llm-optimizer-processor"})') == 2
        except OSError:
            return False

    def begin(self):
        wait_for("Prometheus scrapes both processors", self.is_scraped)
        wait_for("both are ready", lambda: self.value("sum(processor_ready)") == 2)
        results = "min(sum by (instance) (processor_results_emitted_total))"
        wait_for("both give results", lambda: (self.value(results) or 0) > 3)

    def fires_and_clears(self, names, cause, cure, fires_within=60, clears_within=60):
        active = lambda: {alert["labels"]["alertname"] for alert in self.alerts()}
        wait_for(f"{names} neither fire nor wait to", lambda: not names & active())
        cause()
        took = wait_for(f"{names} fire", lambda: names <= self.firing(), fires_within, self.alerts)
        cure()
        cleared = wait_for(f"{names} clear", lambda: not names & self.firing(), clears_within, self.alerts)
        print(f"ok: {', '.join(sorted(names))}: fired after {took:.0f} s, cleared after {cleared:.0f} s", flush=True)


def check_panels(world):
    world.traffic.bad = world.traffic.late = 1

    def empty():
        return panels.without_data(world.prometheus_url, "10s")

    try:
        wait_for("every query has data", lambda: not empty(), 60)
    except AssertionError:
        for panel, expr in empty():
            print(f"no data: {panel}: {panels.filled(expr, '10s')}")
        raise
    finally:
        world.traffic.bad = world.traffic.late = 0
    print(f"ok: each of the {len(panels.queries())} queries of all panels returns data", flush=True)


def errors(world):
    def cause():
        world.traffic.bad = 1

    def cure():
        world.traffic.bad = 0

    world.fires_and_clears({"ProcessorErrorRateHigh", "ProcessorDropRateHigh"}, cause, cure)


def latency(world):
    """The broker stands still for two seconds, again and again, until that meets commits of results."""
    over = threading.Event()

    def halts():
        while not over.wait(0.7):
            world.kafka.signal(signal.SIGSTOP)
            over.wait(2)
            world.kafka.signal(signal.SIGCONT)

    thread = threading.Thread(target=halts)

    def cure():
        over.set()
        thread.join()

    try:
        world.fires_and_clears({"ProcessorEventToResultLatencyHigh"}, thread.start, cure)
    finally:
        cure()


def checkpoint(world):
    folder, aside = world.folder / "local-checkpoints", world.folder / "aside"

    def cause():
        folder.rename(aside)
        folder.write_text("not a folder")

    def cure():
        folder.unlink()
        aside.rename(folder)

    world.fires_and_clears({"ProcessorCheckpointFailed"}, cause, cure)


def lag(world):
    world.fires_and_clears(
        {"ProcessorConsumerLagHigh"},
        lambda: world.traffic.backlog(30_000, 3_000),
        lambda: world.traffic.catch_up(3_000),
    )


def brokers(world):
    world.fires_and_clears(
        {"ProcessorNotReady"}, lambda: world.kafka.script("stop", "--now"), lambda: world.kafka.script("start"), 120, 120
    )


def down(world):
    processor = world.processors["local"]
    world.fires_and_clears({"ProcessorDown"}, processor.stop, processor.start)


def restarted(world, names, config=None, **more):
    """The local processor runs otherwise for a while."""
    processor = world.processors["local"]
    world.fires_and_clears(
        names, lambda: processor.restart(config, **more), lambda: processor.restart("local.yaml"), 90, 90
    )


def memory(world):
    restarted(world, {"ProcessorMemoryHigh"}, PROCESSOR_LIMITS__MEMORY_BYTES="30000000")


def state(world):
    restarted(world, {"ProcessorStateLarge"}, "large.yaml")


def windows(world):
    restarted(world, {"ProcessorOpenWindowsHigh"}, "many.yaml")


def processing(world):
    restarted(world, {"ProcessorProcessingLatencyHigh"}, "deep.yaml")


SCENES = {"panels": check_panels, "errors": errors, "latency": latency, "checkpoint": checkpoint, "lag": lag, "brokers": brokers, "down": down,
          "memory": memory, "state": state, "windows": windows, "processing": processing}


def main():
    chosen = sys.argv[1:] or [*SCENES]
    unknown = {*chosen} - {*SCENES}
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(SCENES)}")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        world = World(pathlib.Path(folder), stack)
        try:
            world.begin()
            for name in chosen:
                SCENES[name](world)
        except BaseException:
            for name, processor in world.processors.items():
                print(f"--- {name}\n" + "\n".join(processor.log.read_text().splitlines()[-25:]), file=sys.stderr)
            raise
    print(f"{len(chosen)} passed, 0 failed")


if __name__ == "__main__":
    main()
