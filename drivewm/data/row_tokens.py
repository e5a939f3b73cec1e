"""Tokens of nuScenes' rows: digests of what they name, so that equal input gives equal rows."""

from __future__ import annotations

import hashlib


def token(key: str, scene: str, kind: str, index: int | str) -> str:
    """32 hex digits for the `index`-th thing of a `kind` in a scene; `key` tells data sets apart."""
    return hashlib.md5(f"{key}/{scene}/{kind}/{index}".encode(), usedforsecurity=False).hexdigest()


def sample_data_token(key: str, scene: str, channel: str, timestamp_us: int) -> str:
    """Token of the file that a sensor of a scene made at a time; also that of its ego pose and its point classes."""
    return token(key, scene, f"sample_data/{channel}", timestamp_us)
