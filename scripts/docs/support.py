"""The built processor, for tests of the documentation."""

import os
import subprocess

from blocks import binary


def processor(*arguments, folder=None, stdin=None, env=None):
    """Runs it to its end; `.stdout`, `.stderr`, `.returncode`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROCESSOR_")}
    return subprocess.run(
        [binary(), *map(str, arguments)], cwd=folder, input=stdin, env=clean | (env or {}),
        capture_output=True, text=True, timeout=120, check=False,
    )
