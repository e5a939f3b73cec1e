"""The examples of the docs run and print what they say."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", ["protocols.md", "extending.md"])
def test_the_example_of_the_docs(name, capsys):
    blocks = re.findall(r"^```python\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (code,) = [block for block in blocks if "print(" in block]
    (promised,) = re.findall(r"print\(.*?\)  # (.*)", code)
    exec(compile(code, str(DOCS / name), "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.strip() == promised
