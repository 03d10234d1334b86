"""The Dockerfile, instruction by instruction."""

import re

from support import DEPLOY

DOCKERFILE = DEPLOY / "docker/Dockerfile"


def instructions():
    """(word, rest) of the Dockerfile, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def final_stage():
    words = instructions()
    last = max(at for at, (word, _) in enumerate(words) if word == "FROM")
    return words[last:]
