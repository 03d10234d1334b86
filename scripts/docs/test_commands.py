"""Commands, variables, routes, scripts and files that any page names exist: also on pages whose commands want a cluster and are not run.

A command is judged by the help of its verb: that the verb is there, and every flag.
"""

import functools
import pathlib
import re
import shlex
import tempfile
import unittest

from pages import DOCS, ROOT, blocks, tokens
from support import processor

PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES += [page for page in sorted(DOCS.rglob("*.md")) if page.parent.name != "decisions"]
# `processor VERB …` where a command may begin: of a line or pipe, behind variables, `timeout 5` or `kubectl exec … --`.
COMMAND = re.compile(r"(?:^|[|;&(]\s*|--\s|\bexec processor\s|=\S*\s)processor([ \t]+[^|;&>()\n]+)", re.MULTILINE)
ROUTE = re.compile(r"(?<![\w.])/(?:api/v1(?:/[a-z{][\w{}.-]*)*|v1/[a-z]+|livez|readyz|startupz|health|metrics)(?![\w/-])")
SCRIPT = re.compile(r"(?<![\w/])(?:\.\./)*((?:scripts|deploy|config|examples|crates|fuzz)/[\w./-]*\w)(?![\w{*])")
TARGET = re.compile(r"^make ([a-z-]+)", re.MULTILINE)
# Endpoints of others, of a receiver of OTLP.
FOREIGN = {"/v1/metrics", "/v1/logs", "/v1/models"}


def texts(page):
    """(where, text) of each command block and each piece of inline code."""
    for block in blocks(page):
        if block.language in ("sh", "bash", "console", "ini"):
            shown = re.sub(r"\\\n\s*(?:> )?", " ", block.text)
            if block.language == "console":
                shown = "\n".join(line[2:] for line in shown.splitlines() if line.startswith(("$ ", "> ")))
            yield str(block), re.sub(r"\s#.*", "", shown)
    for token in tokens(page):
        for child in token.children or []:
            if child.type == "code_inline":
                yield f"{page.relative_to(ROOT)}:{token.map[0] + 1}", child.content


@functools.cache
def help_of(*verbs):
    """What the help of a verb says; nothing if there is no such verb."""
    done = processor(*verbs, "--help")
    return done.stdout if done.returncode == 0 else None


def faults_of(command):
    """What is wrong with the arguments of `processor`."""
    try:
        words = shlex.split(command.replace("…", "").replace("|", " "), comments=True)
    except ValueError:
        words = command.split()
    verbs = []
    for word in words:
        if not re.fullmatch(r"[a-z][a-z-]*", word) or help_of(*verbs, word) is None:
            break
        verbs.append(word)
        if verbs[0] != "checkpoint" or len(verbs) == 2:
            break
    if words and not verbs and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        return [f"there is no verb {words[0]}"]
    flags = {word.partition("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
    known = set(re.findall(r"--[a-z][a-z-]*", help_of(*verbs)))
    return [f"processor {' '.join(verbs)} has no {flag}" for flag in sorted(flags - known)]


@functools.cache
def routes():
    """Paths that the program serves, as its source registers them."""
    source = "\n".join(file.read_text() for file in (ROOT / "crates/processor/src").rglob("*.rs"))
    served = re.findall(r'path = "(/[^"]*)"', source) + re.findall(r'\.route\("(/[^"]*)"', source)
    return {re.sub(r"\{\w+\}", "{}", path) for path in served}


class Commands(unittest.TestCase):
    def test_every_verb_and_flag_is_there(self):
        count, faults = 0, []
        for page in PAGES:
            for where, text in texts(page):
                for command in COMMAND.findall(text):
                    count += 1
                    faults += [f"{where}: {fault}" for fault in faults_of(command)]
        self.assertEqual(faults, [])
        self.assertGreater(count, 80)

    def test_what_is_not_there_is_found_out(self):
        self.assertEqual(faults_of(" run --config c.yaml --until-end"), [])
        self.assertEqual(faults_of(" run --until-noon"), ["processor run has no --until-noon"])
        self.assertEqual(faults_of(" checkpoint restore latest --soon"), ["processor checkpoint restore has no --soon"])
        self.assertEqual(faults_of(" juggle --config c.yaml"), ["there is no verb juggle"])

    def test_every_variable_sets_a_key(self):
        named = set()
        # The change log names what is gone, too.
        for page in [page for page in PAGES if page.name != "CHANGELOG.md"]:
            named |= set(re.findall(r"\bPROCESSOR_[A-Z][A-Z0-9_]*[A-Z0-9]\b", page.read_text()))
        named = {name for name in named if "_PIPELINES__" not in name}
        self.assertGreater(len(named), 15)
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "c.yaml").write_text("processor: {}\n")
            # The values are faults; only names are looked at.
            values = {name: "?" for name in named - {"PROCESSOR_LOG", "PROCESSOR_LOG_FORMAT"}}
            told = processor("check", "c.yaml", folder=folder, env=values).stderr
        self.assertEqual([line for line in told.splitlines() if "names no key" in line], [])

    def test_every_route_is_served(self):
        faults = []
        for page in PAGES:
            for where, text in texts(page):
                for found in ROUTE.findall(text):
                    path = re.sub(r"\{\w+\}", "{}", found)
                    if path not in routes() | FOREIGN | {"/api/v1"}:
                        faults.append(f"{where}: {found}")
        self.assertEqual(faults, [])
        self.assertIn("/api/v1/pipelines/{}", routes())

    def test_every_file_and_every_target_of_make_is_there(self):
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        faults = []
        for page in PAGES:
            for where, text in texts(page):
                # ARCHITECTURE.md leaves `crates/` out.
                is_there = lambda file: any((folder / file).exists() for folder in (ROOT, ROOT / "crates"))  # noqa: E731
                faults += [f"{where}: {file}" for file in SCRIPT.findall(text) if not is_there(file)]
                faults += [f"{where}: make {target}" for target in TARGET.findall(text) if target not in targets]
        self.assertEqual(faults, [])


if __name__ == "__main__":
    unittest.main()
