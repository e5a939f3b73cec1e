"""Runs the tools of this folder as a user would, in this process: importing torch anew for each would take longer."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

TOOLS = Path(__file__).resolve().parent.parent
ROOT = TOOLS.parent


def run_tool(name: str, *arguments: object) -> None:
    """Say and run `python tools/NAME.py ARGUMENTS`."""
    words = [str(argument) for argument in arguments]
    print(f"$ python tools/{name}.py {shlex.join(words)}", flush=True)
    module = load_tool(name)
    with _arguments([f"tools/{name}.py", *words]):
        module.main()


def load_tool(name: str) -> ModuleType:
    """The tool's module, under its own name so that worker processes find it (this folder is on their path too)."""
    loaded = sys.modules.get(name)
    path = TOOLS / f"{name}.py"
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() == path:
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _arguments(words: list[str]):
    before, sys.argv = sys.argv, words
    try:
        yield
    finally:
        sys.argv = before
