"""Files are whole or absent."""

import pytest

from drivewm.host import replacing, write_bytes, write_json


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    with replacing(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists() and temporary.suffix == ".mp4"
    assert path.read_bytes() == b"half" and list(path.parent.iterdir()) == [path]


def test_what_was_there_stays_when_the_block_fails(tmp_path):
    path = write_bytes(tmp_path / "a.bin", b"before")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_json_without_numbers_that_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", [float("nan")])
    assert not list(tmp_path.iterdir())
    assert write_json(tmp_path / "a.json", {"b": [1]}).read_text() == '{"b": [1]}\n'
