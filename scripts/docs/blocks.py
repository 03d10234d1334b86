#!/usr/bin/env python3
"""Runs the commands of documentation pages, in order, as a reader would.

    scripts/docs/blocks.py README.md docs/quickstart.md

Each page begins in an empty folder with a shell of its own, which keeps folder, variables and functions from block to block.

| block | what is done |
| --- | --- |
| `sh`, `bash` | run; every command must succeed |
| `console` | each line after `$ ` (continued after `> `) is run; what it prints must be what follows |

In what is shown `…` stands for anything in a line, a line of its own for any lines; runs of blanks are one, and log lines stand without
their time. A comment before a block, `<!-- check: DIRECTIVE; … -->`, changes that:

| directive | meaning |
| --- | --- |
| `skip REASON` | not run |
| `server until TEXT` | started, awaited until it prints TEXT, and ended (SIGTERM) after the page |
| `interrupt after TEXT` | run until it prints TEXT, then Ctrl-C |
| `exits CODE` | the commands fail with this code |
| `retry SECS` | run again for as long, until it prints what is shown |
| `timeout SECS` | instead of 60 |
| `shows FILE` | any other block: it is the content of the file |
| `output` | any other block: it is what the block before has printed |

Nothing is built: `processor` is $PROCESSOR_BIN or the newest in the target folder, and `cargo build --release` puts that one, the debug
binary of the tests as a rule, where a release build would be. `git clone` clones this checkout with what is not committed yet. Kafka is real:
`scripts/kafka` starts a broker of its own for each page. Ports 8080 and 4318 become free ones, in the commands and in config/.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from outputs import Fault, expect, session
from pages import ROOT, blocks
from shell import Job, Shell

CLONE_URL = "https://github.com/llm-auto-optimizer/stream-processor"
COMMANDS = ("sh", "bash", "console")
# What a block is that nobody runs; anything else is a mistake, such as commands in a language that is not run.
OTHERS = ("", "text", "json", "yaml", "rust", "sql", "toml", "promql", "html", "python")
KNOWN = {"skip", "server", "interrupt", "exits", "retry", "timeout", "shows", "output"}
PORT = re.compile(r"\b(127\.0\.0\.1|localhost):(8080|4318)\b")
CARGO = """#!/bin/sh
case " $* " in
*" build "*) mkdir -p "${CARGO_TARGET_DIR:-target}/release" && ln -sfn "%s" "${CARGO_TARGET_DIR:-target}/release/processor" ;;
*) echo "cargo: only builds are stood in for, not: $*" >&2 && exit 70 ;;
esac
"""


def binary():
    """The processor that is run."""
    named = os.environ.get("PROCESSOR_BIN")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = [pathlib.Path(named)] if named else [target / profile / "processor" for profile in ("debug", "release")]
    there = [path.resolve() for path in found if path.exists()]
    if not there:
        sys.exit("no processor is built; run: cargo build -p llm-optimizer-processor --bin processor")
    return max(there, key=lambda path: path.stat().st_mtime)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclasses.dataclass
class Page:
    """One page being followed."""

    path: pathlib.Path
    place: pathlib.Path
    ports: dict
    shell: Shell
    env: dict
    servers: list = dataclasses.field(default_factory=list)
    printed: str = ""

    def port(self, text):
        return PORT.sub(lambda found: f"{found[1]}:{self.ports[found[2]]}", text)

    def step(self, block):
        """Runs or checks one block; gives what became of it, or None for a block that is no business of ours."""
        said = block.directives
        unknown = set(said) - KNOWN
        if unknown:
            raise Fault(f"unknown directive {', '.join(sorted(unknown))}")
        if "skip" in said:
            if not said["skip"]:
                raise Fault("skip wants a reason")
            return f"not run: {said['skip']}"
        if "shows" in said:
            file = ROOT / said["shows"]
            if not file.exists() or file.read_text().strip() != block.text.strip():
                raise Fault(f"it is not the content of {said['shows']}")
            return "is the file"
        if "output" in said:
            expect("output", self.port(block.text), self.printed)
            return "was printed"
        if block.language in OTHERS:
            return None
        if block.language not in COMMANDS:
            raise Fault(f"a block of `{block.language}` is not run; commands are {', '.join(COMMANDS)}")
        started = time.monotonic()
        self.run(block, said)
        return f"{time.monotonic() - started:.1f} s"

    def run(self, block, said):
        timeout = float(said.get("timeout", 60))
        if "server" in said or "interrupt" in said:
            self.apart(block, said, timeout)
        elif block.language == "console":
            deadline = time.monotonic() + float(said.get("retry", 0))
            while True:
                try:
                    self.console(block, said, timeout)
                    return
                except Fault:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
        else:
            # Where a failure is meant it must not end the shell.
            strict = "exits" not in said
            self.command(f"set -e\n{block.text}\nset +e" if strict else block.text, said, timeout)

    def console(self, block, said, timeout):
        for command, shown in session(self.port(block.text)):
            self.command(command, said, timeout)
            expect(command, shown, self.printed)

    def command(self, text, said, timeout):
        code, self.printed = self.shell.run(self.port(text), timeout)
        if code != int(said.get("exits", 0)):
            raise Fault(f"exit code {code}\n{text}\n{self.printed}")

    def apart(self, block, said, timeout):
        """Starts a process of its own, and waits for what it is to print."""
        stays = "server" in said
        word = "until" if stays else "after"
        how, _, awaited = said["server" if stays else "interrupt"].partition(" ")
        if how != word or not awaited:
            raise Fault(f"what is awaited? `{word} TEXT`")
        text = "\n".join(command for command, _ in session(block.text)) if block.language == "console" else block.text
        job = Job(self.shell.state() + "\n" + self.port(text), self.env)
        self.servers.append(job)
        self.printed = job.wait_for(self.port(awaited), timeout)
        if awaited and self.port(awaited) not in self.printed:
            raise Fault(f"it did not print “{awaited}” within {timeout} s\n{self.printed}")
        if not stays:
            self.printed = job.end(signal.SIGINT)

    def close(self):
        for job in reversed(self.servers):
            job.close()
        self.shell.close()


def origin(place, ports, env):
    """A repository with this checkout as it is now; `git clone` of the project's address clones it."""
    repository = place / "origin"
    ignored = shutil.ignore_patterns("target", ".git", "__pycache__", "processor-state", ".cache")
    shutil.copytree(ROOT, repository, ignore=ignored, symlinks=True)
    for file in [*(repository / "config").rglob("*.yaml"), *(repository / "examples").rglob("*.yaml")]:
        file.write_text(PORT.sub(lambda found: f"{found[1]}:{ports[found[2]]}", file.read_text()))
    git = ["git", "-c", "user.name=docs", "-c", "user.email=docs@localhost", "-c", "commit.gpgsign=false", "-C", str(repository)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "the checkout"]):
        subprocess.run(git + command, check=True, env=env)
    return repository


def environment(place, number):
    """The variables of a page's shell."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("PROCESSOR_", "KAFKA_", "CARGO_", "GIT_", "MAKE")) or name == "PROCESSOR_CACHE_DIR"}
    tools = place / "bin"
    tools.mkdir(parents=True)
    (tools / "processor").symlink_to(binary())
    (tools / "cargo").write_text(CARGO % binary())
    (tools / "cargo").chmod(0o755)
    env |= {"PATH": f"{tools}:{env['PATH']}", "KAFKA_INSTANCE": f"docs-{os.getpid()}-{number}", "LC_ALL": "C.UTF-8"}
    env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{place / 'origin'}.insteadOf", "GIT_CONFIG_VALUE_0": CLONE_URL}
    return env


def follow(path, place, number):
    """Runs a page; gives its faults."""
    env = environment(place, number)
    ports = {"8080": free_port(), "4318": free_port()}
    text = path.read_text()
    if CLONE_URL in text:
        origin(place, ports, env)
    folder = place / "reader"
    folder.mkdir()
    page = Page(path, place, ports, Shell(folder, env), env)
    try:
        for block in blocks(path):
            outcome = page.step(block)
            if outcome:
                print(f"  {block}: {outcome}", flush=True)
    except (Fault, ValueError) as fault:
        return [f"{block}: {fault}"]
    finally:
        page.close()
        if "scripts/kafka" in text:
            subprocess.run([ROOT / "scripts/kafka", "clean"], env=env, check=False)
    return []


def main(paths):
    faults = []
    for number, path in enumerate(paths):
        print(path, flush=True)
        with tempfile.TemporaryDirectory(prefix="docs-") as place:
            faults += follow(pathlib.Path(path).resolve(), pathlib.Path(place), number)
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"commands: {len(paths)} pages, {len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
