"""A handmade data set to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data import handmade


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return handmade.write(tmp_path_factory.mktemp("pristine") / "set")


@pytest.fixture
def root(pristine, tmp_path) -> Path:
    """A data set of one's own to damage."""
    return Path(shutil.copytree(pristine, tmp_path / "set"))
