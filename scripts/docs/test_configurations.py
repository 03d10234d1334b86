"""Every configuration that a page shows, and every file of config/ and examples/, passes `processor check`."""

import pathlib
import tempfile
import textwrap
import unittest

from pages import DOCS, ROOT, blocks
from support import processor


def shown():
    """(where, text) of each yaml block; a block that is a part of a configuration is put below `processor:`."""
    for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        for block in blocks(page):
            if block.language == "yaml" and "skip" not in block.directives:
                lines = [line for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
                whole = lines[0].startswith("processor:")
                # A title alone, as an example for editors.
                text = block.text + ("  {}\n" if lines == ["processor:"] else "")
                yield str(block), text if whole else "processor:\n" + textwrap.indent(text, "  ")


class Configurations(unittest.TestCase):
    def test_every_configuration_that_a_page_shows_is_accepted(self):
        count = 0
        with tempfile.TemporaryDirectory() as folder:
            for where, text in shown():
                (pathlib.Path(folder) / "c.yaml").write_text(text)
                checked = processor("check", "c.yaml", folder=folder)
                with self.subTest(where):
                    self.assertEqual(checked.returncode, 0, f"{where}\n{checked.stderr}")
                count += 1
        self.assertGreater(count, 8)

    def test_every_file_is_accepted_without_a_warning(self):
        for file in [*(ROOT / "config").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")]:
            if file.name in ("processor-test.yaml", "processor-production.yaml"):
                continue  # they show every key of the specification, also those with a warning
            if ".test." in file.name:
                continue  # fixtures, which `processor test` runs
            checked = processor("check", file)
            with self.subTest(file.name):
                self.assertEqual((checked.returncode, checked.stderr), (0, ""), checked.stdout)


if __name__ == "__main__":
    unittest.main()
