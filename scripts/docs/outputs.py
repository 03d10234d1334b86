"""What a page shows, compared with what was printed."""

import difflib
import re


class Fault(Exception):
    """A block that does not do what the page says."""


def collapse(line):
    """A line without what does not count: the time of a log line, the number of blanks."""
    line = re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]+Z +(?=(TRACE|DEBUG|INFO|WARN|ERROR) )", "", line)
    return re.sub(r"\s+", " ", line).strip()


def agrees(shown, printed):
    """Whether a program printed what a page shows."""
    pattern = ""
    for line in shown.strip("\n").splitlines():
        line = collapse(line)
        pattern += "(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
    lines = [collapse(line) for line in printed.strip("\n").splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines) if printed.strip() else "") is not None


def expect(what, shown, printed):
    """Fails with a comparison unless it was printed as shown."""
    if not agrees(shown, printed):
        before, after = shown.strip("\n").splitlines(), printed.strip("\n").splitlines()
        lines = difflib.unified_diff(before, after, "shown", "printed", lineterm="")
        raise Fault(f"{what}: it prints something else\n" + "\n".join(lines))


def session(text):
    """(command, what is shown after it) of a console block."""
    steps = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append([line[2:], []])
        elif not steps:
            raise Fault("a console block begins with `$ `")
        elif line.startswith("> ") and not steps[-1][1]:
            steps[-1][0] += "\n" + line[2:]
        else:
            steps[-1][1].append(line)
    return [(command, "\n".join(shown)) for command, shown in steps]
