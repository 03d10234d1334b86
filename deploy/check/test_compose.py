"""compose.yaml: files it mounts exist, services wait for what they need, and nobody else can connect."""

import unittest

import yaml

from support import DEPLOY, ROOT, container, pod, run, tool

COMPOSE = DEPLOY / "compose/compose.yaml"


def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


class Compose(unittest.TestCase):
    def test_yaml_has_no_doubled_keys_and_the_like(self):
        files = [path for path in DEPLOY.rglob("*.y*ml") if "helm" not in path.parts and "rendered" not in path.parts]
        rules = "{extends: relaxed, rules: {line-length: disable, truthy: {allowed-values: ['true', 'false', 'on']}}}"
        done = run(tool("yamllint"), "--strict", "-d", rules, *files)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_it_is_what_the_compose_specification_allows(self):
        from compose_spec import PyCompose

        text = COMPOSE.read_text()
        PyCompose.from_yaml(text).validate()
        with self.assertRaises(ValueError):
            PyCompose.from_yaml(text.replace("read_only:", "read_onlyy:"))

    def test_services_wait_for_services_that_exist(self):
        for name, service in services().items():
            self.assertLessEqual({*service.get("depends_on", [])}, {*services()}, name)

    def test_what_is_mounted_from_here_exists(self):
        volumes = {*yaml.safe_load(COMPOSE.read_text())["volumes"]}
        for name, service in services().items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue((COMPOSE.parent / source).exists(), f"{name}: {source}")
                    self.assertTrue(volume.endswith(":ro"), f"{name}: {volume}")
                else:
                    self.assertIn(source, volumes, name)

    def test_the_image_is_built_from_the_dockerfile(self):
        build = services()["processor"]["build"]
        context = (COMPOSE.parent / build["context"]).resolve()
        self.assertEqual(context, ROOT)
        self.assertTrue((context / build["dockerfile"]).exists())

    def test_the_processor_runs_as_in_its_pod(self):
        service, context = services()["processor"], pod("production")["securityContext"]
        self.assertEqual(service["user"], f"{context['runAsUser']}:{context['runAsGroup']}")
        self.assertTrue(service["read_only"])
        self.assertEqual(service["cap_drop"], ["ALL"])
        self.assertEqual(service["mem_limit"], "4g")
        self.assertEqual(service["stop_grace_period"], f"{pod('production')['terminationGracePeriodSeconds']}s")
        writable = {v.split(":")[1] for v in service["volumes"] if not v.endswith(":ro")}
        self.assertEqual(writable, {m["mountPath"] for m in container("production")["volumeMounts"] if not m.get("readOnly")})

    def test_ports_are_open_on_this_machine_only(self):
        for name, service in services().items():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), f"{name}: {port}")

    def test_every_topic_of_the_configuration_is_made(self):
        made = services()["topics"]["command"][0]
        config = yaml.safe_load((COMPOSE.parent / "processor.yaml").read_text())["processor"]
        topics = [*config["kafka"]["consumer"]["topics"], config["kafka"]["producer"]["result_topic"]]
        topics += [side["topic"] for side in config["side_outputs"].values()]
        for topic in topics:
            self.assertIn(f" {topic}", made)
        waits = services()["processor"]["depends_on"]
        self.assertEqual(waits, {"topics": {"condition": "service_completed_successfully"}})

    def test_prometheus_scrapes_the_processor_at_its_port(self):
        config = yaml.safe_load((COMPOSE.parent / "prometheus.yml").read_text())
        (target,) = [t for job in config["scrape_configs"] for s in job["static_configs"] for t in s["targets"]]
        host, port = target.split(":")
        self.assertIn(host, services())
        (published,) = services()[host]["ports"]
        self.assertEqual(published.split(":")[-1], port)

    def test_a_shell_understands_its_scripts(self):
        for name, service in services().items():
            if service.get("entrypoint", [""])[0] == "/bin/bash":
                script = service["command"][0].replace("$$", "$")
                done = run("bash", "-n", input=script)
                self.assertEqual(done.returncode, 0, f"{name}: {done.stdout}")


if __name__ == "__main__":
    unittest.main()
