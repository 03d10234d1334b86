"""What the checks share: files of deploy/, objects of rendered manifests, tools."""

import functools
import os
import pathlib
import shutil
import subprocess
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
RENDERS = ("dev", "production", "helm")


@functools.cache
def objects(render):
    """All objects of deploy/rendered/<render>.yaml."""
    text = (DEPLOY / "rendered" / f"{render}.yaml").read_text()
    return [one for one in yaml.safe_load_all(text) if one]


def one(render, kind, name=None):
    """The object of that kind; with a name where there are several."""
    found = [o for o in objects(render) if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects {kind} {name or ''} in {render}"
    return found[0]


def pod(render):
    """The pod's specification."""
    return one(render, "StatefulSet")["spec"]["template"]["spec"]


def container(render):
    """The one container."""
    (only,) = pod(render)["containers"]
    return only


def configuration(render):
    """The processor's configuration in the ConfigMap that the pod mounts, as text."""
    (volume,) = [v for v in pod(render)["volumes"] if v["name"] == "config"]
    return one(render, "ConfigMap", volume["configMap"]["name"])["data"]["processor.yaml"]


def tool(name):
    """Path of a tool; a test that needs one that is missing fails in CI, and says so elsewhere."""
    path = shutil.which(name)
    if path:
        return path
    if os.environ.get("CI") == "true":
        raise AssertionError(f"{name} is missing, and CI=true")
    raise unittest.SkipTest(f"{name} IS MISSING: THIS WAS NOT CHECKED")


def run(*command, **more):
    """Runs a command to its end; its output is in `.stdout`, standard error with it."""
    return subprocess.run(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120, check=False, **more,
    )


def binary():
    """The built processor: $PROCESSOR_BIN, else the newest of the target folder."""
    named = os.environ.get("PROCESSOR_BIN")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = [named] if named else [target / profile / "processor" for profile in ("debug", "release")]
    there = [pathlib.Path(path) for path in found if pathlib.Path(path).exists()]
    if there:
        return max(there, key=lambda path: path.stat().st_mtime)
    if os.environ.get("CI") == "true":
        raise AssertionError("no processor is built, and CI=true")
    raise unittest.SkipTest("NO PROCESSOR IS BUILT (cargo build): THIS WAS NOT CHECKED")
