"""The example in docs/protocols.md runs and prints what it says."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "protocols.md"


def test_the_example_of_the_docs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (promised,) = re.findall(r"print\(.*?\)  # (.*)", code)
    exec(compile(code, str(DOCS), "exec"), {})  # noqa: S102
    assert capsys.readouterr().out.strip() == promised
