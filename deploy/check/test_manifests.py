"""The manifests that kustomize and Helm make: valid, within the limits that were asked for, and the same."""

import json
import unittest

import jsonschema
import yaml

from support import DEPLOY, RENDERS, binary, configuration, container, objects, one, pod, run, tool

# Fields of the operator's objects that are used here; what is not listed is a mistake.
SERVICE_MONITOR = {"selector": {"matchLabels"}, "endpoints": {"port", "path", "interval", "scrapeTimeout", "relabelings"}}


def quantity(text):
    """Bytes or cores of a Kubernetes quantity."""
    for suffix, factor in (("Ki", 2**10), ("Mi", 2**20), ("Gi", 2**30), ("m", 1e-3)):
        if str(text).endswith(suffix):
            return float(text[: -len(suffix)]) * factor
    return float(text)


class Manifests(unittest.TestCase):
    def each(self):
        for render in RENDERS:
            with self.subTest(render):
                yield render

    def test_every_object_is_valid_for_kubernetes(self):
        for version in ("1.30", "1.37"):
            files = [DEPLOY / "rendered" / f"{render}.yaml" for render in RENDERS]
            done = run(tool("kubernetes-validate"), "--strict", "--quiet", "-k", version, *files)
            unknown = [line for line in done.stdout.splitlines() if "monitoring.coreos.com" not in line]
            self.assertEqual((done.returncode, unknown), (0, []), done.stdout)

    def test_resources_are_those_of_the_specification(self):
        for render in ("production", "helm"):
            self.assertEqual(
                container(render)["resources"],
                {"requests": {"cpu": "1000m", "memory": "2Gi"}, "limits": {"cpu": "2000m", "memory": "4Gi"}},
                render,
            )

    def test_one_replica_while_keys_meet_inside_one_process(self):
        for render in self.each():
            exchange = yaml.safe_load(configuration(render))["processor"].get("exchange", "local")
            self.assertEqual((one(render, "StatefulSet")["spec"]["replicas"], exchange), (1, "local"))

    def test_state_and_checkpoints_have_claims_of_their_own(self):
        for render in ("production", "helm"):
            claims = {c["metadata"]["name"] for c in one(render, "StatefulSet")["spec"]["volumeClaimTemplates"]}
            self.assertEqual(claims, {"processor-state", "processor-checkpoints"}, render)

    def test_what_the_configuration_writes_to_is_mounted(self):
        for render in self.each():
            state = yaml.safe_load(configuration(render))["processor"]["state"]
            mounts = {m["mountPath"]: m for m in container(render)["volumeMounts"]}
            self.assertEqual(state["path"], "/var/lib/optimizer/state")
            for path in (state["path"], state["checkpoint_path"]):
                self.assertFalse(mounts[path].get("readOnly", False), path)
            self.assertTrue(mounts["/etc/optimizer"]["readOnly"])
            volumes = {v["name"] for v in pod(render)["volumes"]}
            volumes |= {c["metadata"]["name"] for c in one(render, "StatefulSet")["spec"].get("volumeClaimTemplates", [])}
            self.assertEqual({m["name"] for m in mounts.values()}, volumes)

    def test_the_pod_meets_the_restricted_profile(self):
        for render in self.each():
            whole, part = pod(render)["securityContext"], container(render)["securityContext"]
            self.assertTrue(whole["runAsNonRoot"] and whole["runAsUser"] > 0)
            self.assertEqual(whole["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertEqual(part["capabilities"], {"drop": ["ALL"]})
            self.assertTrue(part["readOnlyRootFilesystem"])
            self.assertFalse(part["allowPrivilegeEscalation"] or part["privileged"])

    def test_the_pod_has_no_token(self):
        for render in self.each():
            self.assertFalse(pod(render)["automountServiceAccountToken"])
            account = one(render, "ServiceAccount", pod(render)["serviceAccountName"])
            self.assertFalse(account["automountServiceAccountToken"])

    def test_probes_ask_the_right_question_at_the_port_that_is_open(self):
        for render in self.each():
            only = container(render)
            (port,) = only["ports"]
            paths = {"startupProbe": "/startupz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
            for probe, path in paths.items():
                self.assertEqual(only[probe]["httpGet"], {"path": path, "port": port["name"]})
            (bind,) = [e["value"] for e in only["env"] if e["name"] == "PROCESSOR_HTTP__BIND"]
            self.assertEqual(bind, f"0.0.0.0:{port['containerPort']}")

    def test_reading_state_back_may_take_fifteen_minutes(self):
        for render in self.each():
            probe = container(render)["startupProbe"]
            self.assertGreaterEqual(probe["periodSeconds"] * probe["failureThreshold"], 900)

    def test_the_grace_period_covers_the_drain(self):
        for render in self.each():
            drain = yaml.safe_load(configuration(render))["processor"]["shutdown_timeout_secs"]
            self.assertGreaterEqual(pod(render)["terminationGracePeriodSeconds"], drain + 10)

    def test_the_name_of_an_instance_outlives_its_pod(self):
        for render in self.each():
            env = {e["name"]: e for e in container(render)["env"]}
            self.assertEqual(env["PROCESSOR_INSTANCE_ID"]["value"], "$(POD_NAME)")
            self.assertEqual(env["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name")

    def test_a_drained_node_may_take_the_pod(self):
        for render in self.each():
            self.assertEqual(one(render, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1)

    def test_selectors_find_the_pod(self):
        for render in self.each():
            labels = one(render, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
            specs = {o["kind"]: o["spec"] for o in objects(render) if o["kind"] != "Service" and "spec" in o}
            selectors = [o["spec"]["selector"] for o in objects(render) if o["kind"] == "Service"]
            selectors += [specs["StatefulSet"]["selector"]["matchLabels"], specs["PodDisruptionBudget"]["selector"]["matchLabels"]]
            selectors += [specs["NetworkPolicy"]["podSelector"]["matchLabels"]]
            for selector in selectors:
                self.assertLessEqual(selector.items(), labels.items())
            self.assertIn(specs["StatefulSet"]["serviceName"], [o["metadata"]["name"] for o in objects(render)])

    def test_pods_that_are_not_ready_are_scraped(self):
        for render in ("production", "helm"):
            spec = one(render, "ServiceMonitor")["spec"]
            self.assertEqual({*spec}, {*SERVICE_MONITOR})
            (endpoint,) = spec["endpoints"]
            self.assertEqual({*endpoint}, SERVICE_MONITOR["endpoints"])
            wanted = spec["selector"]["matchLabels"].items()
            found = [o for o in objects(render) if o["kind"] == "Service" and wanted <= o["metadata"]["labels"].items()]
            self.assertEqual([service["spec"]["publishNotReadyAddresses"] for service in found], [True], render)
            self.assertEqual(endpoint["relabelings"], [{"targetLabel": "job", "replacement": "llm-optimizer-processor"}])

    def test_alert_rules_arrive_unchanged(self):
        rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())
        for render in ("production", "helm"):
            self.assertEqual(one(render, "PrometheusRule")["spec"], rules, render)

    def test_helm_and_kustomize_make_the_same_pod(self):
        ours, theirs = pod("production"), pod("helm")
        env = lambda spec: {e["name"]: e for c in spec["containers"] for e in c["env"] if "BOOTSTRAP" not in e["name"]}
        self.assertEqual(env(ours), env(theirs))
        strip = lambda spec: {
            **spec,
            "containers": [{k: v for k, v in c.items() if k != "env"} for c in spec["containers"]],
            "volumes": [v["name"] for v in spec["volumes"]],
        }
        self.assertEqual(strip(ours), strip(theirs))
        self.assertEqual(
            one("production", "NetworkPolicy")["spec"]["egress"], one("helm", "NetworkPolicy")["spec"]["egress"]
        )
        sizes = lambda render: {
            c["metadata"]["name"]: c["spec"] for c in one(render, "StatefulSet")["spec"]["volumeClaimTemplates"]
        }
        self.assertEqual(sizes("production"), sizes("helm"))

    def test_helm_and_kustomize_configure_the_same(self):
        ours, theirs = (yaml.safe_load(configuration(render)) for render in ("production", "helm"))
        self.assertEqual(ours, theirs)

    def test_the_schema_of_the_chart_accepts_its_values_and_knows_all_of_them(self):
        chart = DEPLOY / "helm/llm-optimizer-processor"
        schema = json.loads((chart / "values.schema.json").read_text())
        values = yaml.safe_load((chart / "values.yaml").read_text())
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.validate(values, schema)
        self.assertEqual({*schema["properties"]} - {"global"}, {*values})
        for part in ("image", "persistence", "networkPolicy"):
            with self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate({**values, part: {**values[part], "misspelt": 1}}, schema)

    def test_the_processor_accepts_every_configuration_with_its_variables(self):
        cases = {render: (configuration(render), container(render)["env"]) for render in RENDERS}
        cases["compose"] = ((DEPLOY / "compose/processor.yaml").read_text(), [])
        for name, (text, env) in cases.items():
            with self.subTest(name):
                values = {e["name"]: e["value"] for e in env if "value" in e}
                done = run(binary(), "check", "/dev/stdin", input=text, env={"PATH": "/usr/bin", **values})
                self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
