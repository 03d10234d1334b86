"""The image: a sound Dockerfile that builds what is here, and a skeleton that has all dependencies."""

import json
import pathlib
import re
import tempfile
import tomllib
import unittest

from dockerfile import DOCKERFILE, final_stage
from support import DEPLOY, ROOT, binary, container, pod, run, tool

# What distroless/cc has besides the loader.
BASE_LIBRARIES = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}


class Image(unittest.TestCase):
    def test_hadolint_finds_nothing(self):
        done = run(tool("hadolint"), "--no-color", DOCKERFILE)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_the_compiler_is_that_of_the_project(self):
        pinned = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
        text = DOCKERFILE.read_text()
        self.assertIn(f"rust:{pinned}-slim", text)
        self.assertIn(f"RUSTUP_TOOLCHAIN={pinned} ", text)

    def test_the_user_is_a_number_that_is_not_root_and_that_of_the_pod(self):
        (user,) = [rest for word, rest in final_stage() if word == "USER"]
        for render in ("dev", "production", "helm"):
            context = pod(render)["securityContext"]
            self.assertEqual(user, f"{context['runAsUser']}:{context['runAsGroup']}")
            self.assertGreater(context["runAsUser"], 0)

    def test_its_health_check_is_a_verb_of_the_binary(self):
        (check,) = [rest for word, rest in final_stage() if word == "HEALTHCHECK"]
        command = json.loads(check[check.index("["):])
        self.assertEqual(command[0], "/usr/local/bin/processor")
        done = run(binary(), *command[1:], "--url", "http://127.0.0.1:1/livez")
        self.assertEqual(done.returncode, 69, done.stdout)

    def test_volumes_are_those_of_the_pod(self):
        (volumes,) = [json.loads(rest) for word, rest in final_stage() if word == "VOLUME"]
        mounts = {m["mountPath"] for m in container("production")["volumeMounts"] if not m.get("readOnly")}
        self.assertEqual({*volumes}, mounts)

    def test_the_context_has_what_is_compiled_and_no_more(self):
        lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
        self.assertEqual(lines[0], "*")
        allowed = [line[1:] for line in lines if line.startswith("!")]
        for path in allowed:
            self.assertTrue((ROOT / path).exists(), path)
        needed = [line.strip() for line in re.findall(r"config/\S+\.yaml|deploy/docker/\w+|LICENSE|NOTICE", DOCKERFILE.read_text())]
        included = re.compile(r'include_(?:str|bytes)!\("((?:\.\./)+[^"]+)"\)')
        for source in ROOT.glob("crates/*/src/**/*.rs"):
            for path in included.findall(source.read_text()):
                needed.append(str((source.parent / path).resolve().relative_to(ROOT)))
        self.assertIn("examples/data/azure-llm-conv-2023.csv", needed)
        for path in needed:
            if path != "deploy/docker/Dockerfile":
                self.assertTrue(any(path == a or path.startswith(f"{a}/") for a in allowed), f"{path} is not in the context")

    def test_the_skeleton_is_a_workspace_with_the_same_dependencies(self):
        tool("cargo")
        with tempfile.TemporaryDirectory() as folder:
            done = run(DEPLOY / "docker/skeleton", ROOT, folder)
            self.assertEqual(done.returncode, 0, done.stdout)
            graph = lambda place: json.loads(
                run("cargo", "metadata", "--locked", "--offline", "--format-version", "1", "--no-deps", cwd=place).stdout
            )["packages"]
            named = lambda packages: {
                p["name"]: sorted((d["name"], d["req"], d["kind"] or "", *sorted(d["features"])) for d in p["dependencies"])
                for p in packages
            }
            self.assertEqual(named(graph(folder)), named(graph(ROOT)))
            files = [path for path in pathlib.Path(folder).rglob("*.rs") if path.stat().st_size > len("fn main() {}\n")]
            self.assertEqual(files, [])

    def test_the_skeleton_does_not_change_with_the_sources(self):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            run("cp", "-r", ROOT / "crates", ROOT / "Cargo.toml", ROOT / "Cargo.lock", place)
            run(DEPLOY / "docker/skeleton", place, place / "one")
            with open(place / "crates/engine/src/lib.rs", "a") as source:
                source.write("// changed\n")
            (place / "crates/engine/src/new.rs").write_text("// new\n")
            run(DEPLOY / "docker/skeleton", place, place / "two")
            done = run("diff", "-r", place / "one", place / "two")
            self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_the_base_image_has_every_library_the_binary_needs(self):
        done = run(tool("ldd"), binary())
        needed = {pathlib.Path(line.split()[0]).name for line in done.stdout.splitlines()}
        needed -= {name for name in needed if name.startswith(("linux-vdso", "ld-linux"))}
        self.assertLessEqual(needed, BASE_LIBRARIES)
        self.assertIn("libc.so.6", needed)


if __name__ == "__main__":
    unittest.main()
