"""A pod without a container engine: the image's files on a read-only root, the manifest's command, variables, volumes
and user, in namespaces of its own. What kubelet and runtime do is done here by hand, by what the manifest says.

Needs root, inside `unshare --mount --net --pid --fork`; see run_as_pod.
"""

import ctypes
import fcntl
import json
import os
import pathlib
import re
import shlex
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request

from dockerfile import final_stage, instructions
from support import ROOT, binary, configuration, container, one, pod

LIBC = ctypes.CDLL(None, use_errno=True)
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096


def mount(source, target, kind=None, flags=0, options=None):
    encoded = [text and str(text).encode() for text in (source, target, kind, options)]
    if LIBC.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]) != 0:
        raise OSError(ctypes.get_errno(), f"mount {source} at {target}")


def loopback_up():
    """A new network namespace has a loopback device that is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        IFF_UP, SIOCSIFFLAGS = 1, 0x8914
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def image_files(root):
    """Runs the `install` commands of the Dockerfile, into `root`, and adds what the base image has."""
    (script,) = [rest for word, rest in instructions() if word == "RUN" and "/image/" in rest]
    owners = {}
    for word, rest in final_stage():
        if word == "COPY":
            flags = dict(f.lstrip("-").split("=") for f in rest.split() if f.startswith("--"))
            owners[[w for w in rest.split() if not w.startswith("--")][0]] = flags.get("chown", "0:0")
    for command in script.split("&&"):
        words = shlex.split(command)
        if words[0] != "install":
            continue
        (stage,) = {w.split("/")[1] for w in words if re.match("/(image|volumes)/", w)}
        uid, gid = owners[f"/{stage}"].split(":")
        words = [w.removeprefix(f"/{stage}") if w.startswith(f"/{stage}/") else w for w in words]
        targets = [w for w in words[1:] if w.startswith("/") and w != "/target/release/processor"]
        words = [str(binary()) if w == "/target/release/processor" else w for w in words]
        words = [f"{root}{w}" if w in targets else w for w in words]
        subprocess.run([*words, f"--owner={uid}", f"--group={gid}"], check=True, cwd=ROOT)
    loaded = subprocess.run(["ldd", str(binary())], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"(/\S+)", loaded):
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-L", path, place], check=True)
    for folder in ("proc", "dev", "etc", "tmp"):
        (root / folder).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")
    (root / "etc/nsswitch.conf").write_text("hosts: files\n")


def image_settings():
    """Variables and entry point of the image."""
    env = {}
    for word, rest in final_stage():
        if word == "ENV":
            env |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    (entry,) = [json.loads(rest) for word, rest in final_stage() if word == "ENTRYPOINT"]
    return env, entry


class Pod:
    """The first pod of the StatefulSet in a render; its volumes outlive `stop`.

    Whoever removes `folder` does so after these namespaces have ended: until then proc and devices are in it.
    """

    def __init__(self, render, folder, hosts=()):
        self.render, self.spec, self.container = render, pod(render), container(render)
        self.name = f"{one(render, 'StatefulSet')['metadata']['name']}-0"
        self.root = pathlib.Path(folder) / "root"
        self.volumes = pathlib.Path(folder) / "volumes"
        self.log = pathlib.Path(folder) / "log"
        self.root.mkdir()
        image_files(self.root)
        (self.root / "etc/hosts").write_text("".join(f"127.0.0.1 {h}\n" for h in ("localhost", self.name, *hosts)))
        self.mount_all()
        image_env, self.entry = image_settings()
        self.env = {"PATH": "/usr/local/bin", "HOSTNAME": self.name, **image_env, **self.manifest_env()}
        self.process = None

    def manifest_env(self):
        env = {}
        for entry in self.container["env"]:
            if "valueFrom" in entry:
                assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name", entry
                env[entry["name"]] = self.name
            else:
                env[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda m: env[m[1]], entry["value"])
        return env

    def mount_all(self):
        """Volumes as kubelet makes them: the group is fsGroup, the owner root."""
        group = self.spec["securityContext"]["fsGroup"]
        mount(self.root, self.root, flags=MS_BIND)
        for entry in self.container["volumeMounts"]:
            source = self.volumes / entry["name"]
            target = self.root / entry["mountPath"].lstrip("/")
            source.mkdir(parents=True)
            target.mkdir(parents=True, exist_ok=True)
            if entry["name"] == "config":
                (source / "processor.yaml").write_text(configuration(self.render))
            else:
                os.chown(source, 0, group)
                os.chmod(source, 0o2770)
            mount(source, target, flags=MS_BIND)
            if entry.get("readOnly"):
                mount(None, target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
        for device in ("null", "zero", "random", "urandom"):
            (self.root / "dev" / device).touch()
            mount(f"/dev/{device}", self.root / "dev" / device, flags=MS_BIND)
            mount(None, self.root / "dev" / device, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
        mount("proc", self.root / "proc", "proc")
        assert self.container["securityContext"]["readOnlyRootFilesystem"]
        mount(None, self.root, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)

    def become(self):
        """In the child: the root, the user, no capability, none to be had."""
        context = self.spec["securityContext"]
        os.chroot(self.root)
        os.chdir("/var/lib/optimizer")
        assert self.container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        for capability in range(64):
            LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([context["fsGroup"]])
        os.setresgid(*[context["runAsGroup"]] * 3)
        os.setresuid(*[context["runAsUser"]] * 3)
        assert not self.container["securityContext"]["allowPrivilegeEscalation"]
        LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def popen(self, *words, **more):
        return subprocess.Popen(words, preexec_fn=self.become, env=self.env, stdin=subprocess.DEVNULL, **more)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = self.popen(*self.entry, *self.container["args"], stdout=log, stderr=log)

    def exec(self, *words):
        """As `kubectl exec`; exit code and output."""
        child = self.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = child.communicate(timeout=30)
        return child.returncode, output.decode()

    def can_write(self, path):
        """Whether the user of the pod can make a file there."""
        child = os.fork()
        if child == 0:
            try:
                self.become()
                with open(f"{path}/probe", "w"):
                    pass
                os.unlink(f"{path}/probe")
                os._exit(0)
            except OSError:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def get(self, path):
        """Status and body at the port of the container; status 0 where nobody answers."""
        (port,) = self.container["ports"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port['containerPort']}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()
        except OSError as failure:
            return 0, str(failure)

    def probe(self, name):
        """Whether a probe of the manifest is content."""
        return 200 <= self.get(self.container[f"{name}Probe"]["httpGet"]["path"])[0] < 400

    def metric(self, name):
        """Sum of the series of a metric; None if there is none."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(map(float, found)) if found else None

    def wait_for(self, what, done, seconds=60):
        deadline = time.monotonic() + seconds
        while not done():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text().splitlines()[-30:])
                why = f"it ended with {ended}" if ended is not None else f"not within {seconds} s"
                raise AssertionError(f"{what}: {why}\n{self.get('/health')}\n{tail}")
            time.sleep(0.05)

    def stop(self):
        """SIGTERM; seconds it took. Kills after the grace period, as kubelet does."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(self.spec["terminationGracePeriodSeconds"])
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - begun
