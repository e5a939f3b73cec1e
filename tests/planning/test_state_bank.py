"""The bank of states: each is made once, and comes back as it was."""

import torch

from drivewm.planning import state_bank
from drivewm.planning.state_bank import StateBank
from tests.planning.test_head import state


def test_states_are_made_once_and_come_back(monkeypatch):
    monkeypatch.setattr(state_bank, "_BLOCK", 3)
    source, bank, made = state(8), StateBank(), []

    def make(rows):
        made.extend(names[i] for i in rows)
        return source.select(torch.tensor([int(names[i]) for i in rows]))

    for names in (["0", "1", "0"], ["5", "1", "7", "2"], ["7", "0", "5"]):
        found = bank.states(names, make)
        expected = source.select(torch.tensor([int(name) for name in names]))
        for own, other in zip(found.tensors(), expected.tensors(), strict=True):
            torch.testing.assert_close(own, other, atol=0, rtol=2**-8)  # bfloat16
        assert found.times_s == source.times_s and found.maps.grid == source.maps.grid
    assert sorted(made) == ["0", "1", "2", "5", "7"]
