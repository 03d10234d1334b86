"""Shells that pages are typed into: one that stays, and processes apart from it."""

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time
import uuid


class Shell:
    """A bash that keeps folder, variables and functions between commands."""

    def __init__(self, folder, env):
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, env=env, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    def run(self, text, timeout):
        """Runs a text; gives exit code and output. A text that ends the shell gives the shell's code."""
        mark = f"done-{uuid.uuid4().hex}"
        with tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False) as script:
            script.write(text)
        try:
            # Standard input of the commands is empty: that of the shell is where they come from.
            line = f"source {script.name} </dev/null; printf '%s %s\\n' {mark} $?\n"
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
            return self.read(mark, timeout)
        except BrokenPipeError:
            raise ValueError("the shell has ended") from None
        finally:
            os.unlink(script.name)

    def read(self, mark, timeout):
        """Output up to the mark."""
        output, deadline = b"", time.monotonic() + timeout
        while mark.encode() not in output or not output.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            if not ready:
                raise ValueError(f"it did not end within {timeout:.0f} s\n{output.decode(errors='replace')}")
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return self.process.wait(), output.decode(errors="replace")
            output += piece
        text, _, code = output.decode(errors="replace").rpartition(mark)
        return int(code), text

    def state(self):
        """A script that makes another shell like this one."""
        code, text = self.run("declare -px; declare -f; printf 'cd %q\\n' \"$PWD\"", 10)
        assert code == 0, text
        return text

    def close(self):
        """Ends the shell and what was started in it."""
        end_group(self.process, signal.SIGKILL, 5)
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


class Job:
    """A process in a group of its own, as in a terminal of its own."""

    def __init__(self, script, env):
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name)
        (path / "script").write_text(script)
        self.log = path / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "--norc", "--noprofile", str(path / "script")], env=env, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        self.ended = False

    def printed(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, text, timeout):
        """What it has printed once that is in it, it has ended or the time is over."""
        deadline = time.monotonic() + timeout
        while text not in self.printed() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.05)
        return self.printed()

    def end(self, by):
        """Sends the signal, waits for the end; gives all that was printed."""
        if not self.ended:
            self.ended = True
            end_group(self.process, by, 20)
        return self.printed()

    def close(self):
        """Ends it, if it has not, and forgets what it printed."""
        self.end(signal.SIGTERM)
        self.folder.cleanup()


def group_lives(group):
    try:
        os.killpg(group, 0)
        return True
    except (ProcessLookupError, PermissionError):
        return False


def end_group(process, by, seconds):
    """Signals the group and waits for all of it; after so many seconds it is killed."""
    deadline = time.monotonic() + seconds
    for sign in (by, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        while time.monotonic() < deadline:
            process.poll()
            if not group_lives(process.pid):
                return
            time.sleep(0.05)
