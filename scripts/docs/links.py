#!/usr/bin/env python3
"""Checks that links of the documentation lead somewhere, and that every page can be found.

Every link inside the checkout names a file or folder that is there; an anchor names a heading of that page. Every page of docs/
is reached from docs/README.md by following links, and is in docs/SUMMARY.md, the order of the book. Links to other sites are not followed.
"""

import pathlib
import re
import sys

from pages import DOCS, ROOT, SUMMARY, anchors, links

OUTSIDE = re.compile(r"^[a-z][a-z0-9+.-]*:|^//")


def internal(page):
    """(line, target as written, file, anchor) of each link inside the checkout."""
    for line, target in links(page):
        if not OUTSIDE.match(target):
            path, _, anchor = target.partition("#")
            yield line, target, (page.parent / path).resolve() if path else page, anchor


def faults(page):
    """What is wrong with the links of one page."""
    for line, target, file, anchor in internal(page):
        where = f"{page.relative_to(ROOT)}:{line}: {target}"
        if not file.is_relative_to(ROOT) or not file.exists():
            yield f"{where}: there is no {file}"
        elif anchor and (file.suffix != ".md" or anchor not in anchors(file)):
            yield f"{where}: there is no heading #{anchor}"


def reached(start):
    """Pages of docs/ that links lead to from there."""
    found, next_ones = {start}, [start]
    while next_ones:
        for _, _, file, _ in internal(next_ones.pop()):
            file = file / "README.md" if file.is_dir() else file
            if file.suffix == ".md" and file.is_relative_to(DOCS) and file.exists() and file not in found:
                found.add(file)
                next_ones.append(file)
    return found


def check(root=ROOT):
    """All faults of the documentation."""
    top = [page for page in root.glob("*.md")]
    below = [page for folder in ("docs", "deploy", "examples", "fuzz") for page in (root / folder).rglob("*.md")]
    found = [fault for page in sorted(top + below) for fault in faults(page)]
    pages = set(DOCS.rglob("*.md")) - {SUMMARY}
    listed = {file for _, _, file, _ in internal(SUMMARY)}
    found += [f"{page.relative_to(ROOT)}: no way leads here from docs/README.md"
              for page in sorted(pages - reached(DOCS / "README.md"))]
    found += [f"{page.relative_to(ROOT)}: is not in docs/SUMMARY.md" for page in sorted(pages - listed)]
    return found, len(pages)


if __name__ == "__main__":
    faults_found, count = check()
    print(*faults_found, sep="\n", end="\n" if faults_found else "")
    print(f"links: {count} pages, {len(faults_found)} faults")
    sys.exit(bool(faults_found))
