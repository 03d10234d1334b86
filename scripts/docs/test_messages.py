"""The messages that docs/troubleshooting.md and docs/checkpoints.md quote are still those of the program."""

import functools
import re
import unittest

from pages import DOCS, ROOT, tokens

PAGES = (DOCS / "troubleshooting.md", DOCS / "checkpoints.md")
PART = re.compile(
    r"""//[^\n]*|r#+"(?P<raw>.*?)"#+|"(?P<text>(?:[^"\\]|\\.)*)"|'(?:\\.[^']*|[^'\\])'""", re.DOTALL)
TESTS = re.compile(r"/(tests|target|benches|examples)/|/tests?\.rs$")


def literals(source):
    """Texts in a Rust source, as the program has them; placeholders and arguments become `…`."""
    for found in PART.finditer(source):
        text = found["raw"] if found["raw"] is not None else found["text"]
        if text is not None:
            text = re.sub(r"\\\n\s*", "", text).replace('\\"', '"').replace("\\n", " ").replace("{{", "{").replace("}}", "}")
            # Backticks: a page quotes in backticks, so it leaves out those in the text.
            yield re.sub(r"\s+", " ", re.sub(r"\{[^}]*\}", "…", text)).replace("`", "")


@functools.cache
def program():
    """Every text of the crates, without their tests; one a line."""
    files = [file for file in (ROOT / "crates").rglob("*.rs") if not TESTS.search(file.as_posix())]
    return "\n".join(text for file in sorted(files) for text in literals(file.read_text().split("#[cfg(test)]\nmod ")[0]))


def quoted(page):
    """What stands in the first column of the tables under "it says", as code."""
    in_table, wanted, column = False, False, 0
    for token in tokens(page):
        if token.type == "thead_open":
            in_table, wanted = True, False
        elif token.type == "tr_open":
            column = 0
        elif token.type == "inline" and in_table:
            if token.content.strip() == "it says" and column == 0:
                wanted = True
            elif wanted and column == 0:
                yield from (child.content for child in token.children if child.type == "code_inline")
            column += 1
        elif token.type == "table_close":
            in_table = False


def is_said(message):
    """Whether one text of the program has all parts of the message, in order."""
    parts = [re.escape(part) for part in re.split(r"\s*…\s*", re.sub(r"\s+", " ", message)) if part]
    return re.search("[^\n]*?".join(parts), program()) is not None


class Messages(unittest.TestCase):
    def test_every_quoted_message_is_in_the_source(self):
        for page in PAGES:
            messages = list(quoted(page))
            self.assertGreater(len(messages), 3, f"no table with a first column `it says` in {page.name}")
            gone = [message for message in messages if not is_said(message)]
            self.assertEqual(gone, [], f"{page.name} quotes what the program does not say")

    def test_a_message_that_is_not_in_the_source_is_found_out(self):
        self.assertTrue(is_said("… is in use by another process"))
        self.assertFalse(is_said("… is in use by another elephant"))


if __name__ == "__main__":
    unittest.main()
