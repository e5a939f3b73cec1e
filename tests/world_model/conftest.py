"""Fixtures of a tiny model and a clip; see `tiny`."""

import pytest

from tests.world_model.tiny import make_clip, make_model

VARIANTS = {
    "plain": {},
    "two scales": dict(tokenizer=dict(coarse_scales=((2, 2),))),
    "fsq": dict(tokenizer=dict(fsq_levels=(5, 4))),
    "patches": dict(patch=2),
}


@pytest.fixture(params=VARIANTS)
def model(request):
    return make_model(**VARIANTS[request.param])


@pytest.fixture
def clip():
    return make_clip()
