"""Pages of the documentation: their blocks, headings and links."""

import dataclasses
import functools
import pathlib
import re

from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
SUMMARY = DOCS / "SUMMARY.md"
DIRECTIVE = re.compile(r"<!--\s*check:(.*?)-->", re.DOTALL)


@dataclasses.dataclass
class Block:
    """A fenced block, and what a comment `<!-- check: … -->` right before it says about it."""

    page: pathlib.Path
    line: int
    language: str
    text: str
    directives: dict

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@functools.cache
def tokens(page):
    """The page as markdown-it sees it."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())


def directives(comment):
    """`server until text; timeout 9` as {"server": "until text", "timeout": "9"}."""
    comment = comment.strip()
    # A reason is a sentence, which may have semicolons.
    parts = [comment] if comment.startswith("skip ") else comment.split(";")
    words = [one.strip().partition(" ") for one in parts]
    return {name: value.strip() for name, _, value in words if name}


def blocks(page):
    """All fenced blocks of a page, in order."""
    before, found = None, []
    for token in tokens(page):
        if token.type == "fence":
            match = DIRECTIVE.fullmatch(before.content.strip()) if before and before.type == "html_block" else None
            language = token.info.split()[0].split(",")[0] if token.info.strip() else ""
            found.append(Block(page, token.map[0] + 1, language, token.content, directives(match[1]) if match else {}))
        before = token
    return found


def plain(inline):
    """Text of a heading, without markup."""
    return "".join(child.content for child in inline.children if child.type in ("text", "code_inline"))


@functools.cache
def anchors(page):
    """Anchors of the headings, as GitHub and mdBook make them."""
    found, seen = set(), {}
    every = tokens(page)
    for opening, inline in zip(every, every[1:]):
        if opening.type == "heading_open":
            slug = re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain(inline).strip().lower()))
            number = seen[slug] = seen.get(slug, -1) + 1
            found.add(slug if number == 0 else f"{slug}-{number}")
    return found


def links(page):
    """(line, target) of every link and image."""
    for token in tokens(page):
        for child in token.children or []:
            target = child.attrs.get("href") or child.attrs.get("src")
            if target:
                yield token.map[0] + 1, target
