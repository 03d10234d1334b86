"""The checks of pages find what they are for."""

import contextlib
import io
import pathlib
import tempfile
import unittest

import blocks
import links
from outputs import agrees
from pages import ROOT


def followed(text):
    """Faults of a page with this text."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        page = ROOT / f".page-of-a-test-{pathlib.Path(folder).name}.md"
        page.write_text(text)
        (pathlib.Path(folder) / "place").mkdir()
        try:
            return blocks.follow(page, pathlib.Path(folder) / "place", 0)
        finally:
            page.unlink()


class Outputs(unittest.TestCase):
    def test_an_ellipsis_stands_for_what_varies(self):
        self.assertTrue(agrees("a … c\n…\nend", "a b c\n1\n2\nend\n"))
        self.assertTrue(agrees("INFO done  n=1", "2026-11-22T00:10:24.452846Z  INFO done n=1"))
        self.assertTrue(agrees("", "\n"))

    def test_anything_else_counts(self):
        self.assertFalse(agrees("a … c", "a b d"))
        self.assertFalse(agrees("a", "a\nb"))
        self.assertFalse(agrees("a\nb", "a"))
        self.assertFalse(agrees("", "a"))
        self.assertFalse(agrees("a.c", "abc"))


class Pages(unittest.TestCase):
    def test_a_page_that_is_right_has_no_fault(self):
        page = """```sh
word=hello
say() { echo "$word $1"; }
```
```console
$ say there
hello there
$ for one in 1 2; do
>   say $one; done
hello 1
…
```
<!-- check: output -->
```text
hello 1
hello 2
```
<!-- check: exits 3 -->
```sh
sh -c 'exit 3'
```
<!-- check: server until ready -->
```sh
echo ready; sleep 600
```
<!-- check: skip no reason is needed here; or is it? -->
```sh
false
```
"""
        self.assertEqual(followed(page), [])

    def test_each_fault_is_found(self):
        for fault, page in {
            "exit code 1": "```sh\nfalse\ntrue\n```",
            "something else": "```console\n$ echo a\nb\n```",
            "a console block begins with": "```console\necho a\n```",
            "is not run": "```shell\ntrue\n```",
            "skip wants a reason": "<!-- check: skip -->\n```sh\nfalse\n```",
            "unknown directive": "<!-- check: sleep 1 -->\n```sh\ntrue\n```",
            "did not print": "<!-- check: server until ready; timeout 1 -->\n```sh\necho no\n```",
            "did not end": "<!-- check: timeout 1 -->\n```sh\nsleep 60\n```",
            "not the content": "<!-- check: shows Makefile -->\n```\nall:\n```",
        }.items():
            with self.subTest(fault):
                (found,) = followed(page)
                self.assertIn(fault, found)


class Links(unittest.TestCase):
    def test_links_that_lead_nowhere_are_found(self):
        page = ROOT / "docs/.page-of-a-test.md"
        page.write_text("# A title, `code`\n[a](README.md) [b](#a-title-code) [c](https://x.y) [d](gone.md) [e](api.md#gone) [f](../../..)\n")
        try:
            found = list(links.faults(page))
        finally:
            page.unlink()
        self.assertEqual([fault.split(": ")[1] for fault in found], ["gone.md", "api.md#gone", "../../.."])


if __name__ == "__main__":
    unittest.main()
