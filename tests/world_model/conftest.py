"""Fixtures of a tiny model and a clip; see `tiny`."""

import pytest

from tests.world_model.tiny import make_clip, make_model


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def clip():
    return make_clip()
