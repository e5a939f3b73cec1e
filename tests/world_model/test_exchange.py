"""Exchanges against plain loops, and which places of another stream a position looks at."""

import pytest
import torch

from drivewm.geometry import VoxelGrid
from drivewm.world_model.exchange import EXCHANGES, Cells, GeometricExchange, LatentExchange, links_between

NEAR = Cells(VoxelGrid((-4.0, -4.0, -1.0, 4.0, 4.0, 1.0), 1.0), (4, 4))
"""Cells of 2 m."""
FAR = Cells(VoxelGrid((-9.0, -6.0, -1.0, 9.0, 6.0, 1.0), 1.0), (6, 4))
"""Cells of 3 m."""
CPU = torch.device("cpu")


def features(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {"near": torch.randn(2, 16, 8, generator=generator), "far": torch.randn(2, 24, 8, generator=generator)}


def make(kind):
    """With random weights, also where it starts at zero."""
    torch.manual_seed(0)
    exchange = EXCHANGES[kind](dict(near=True, far=True), 8, 2)
    for parameter in exchange.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape))
    return exchange


def test_a_cell_looks_at_the_cells_in_which_its_neighbours_centres_lie():
    """Cell by cell, by hand: the near grid's reach from -4 m in steps of 2 m, the far one's from -9 and -6 m in 3 m."""
    index, there = links_between({"near": NEAR, "far": FAR}, CPU)["near", "far"]
    assert index.shape == there.shape == (1, 16, 9)
    for x in range(4):
        for y in range(4):
            found = []
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    at_x, at_y = -4 + 2 * (x + dx + 0.5), -4 + 2 * (y + dy + 0.5)
                    found.append(int((at_x + 9) // 3) * 4 + int((at_y + 6) // 3))
            assert index[0, 4 * x + y].tolist() == found and there[0, 4 * x + y].all()


def test_what_lies_outside_of_the_other_view_is_not_there():
    index, there = links_between({"near": NEAR, "far": FAR}, CPU)["far", "near"]
    own = there[0, :, 4].view(6, 4)
    centres_x, centres_y = -9 + 3 * (torch.arange(6) + 0.5), -6 + 3 * (torch.arange(4) + 0.5)
    assert torch.equal(own, (centres_x.abs() < 4)[:, None] & (centres_y.abs() < 4))
    assert index.min() >= 0 and index.max() < 16


def test_the_same_view_looks_at_itself():
    index, there = links_between({"a": NEAR, "b": NEAR}, CPU)["a", "b"]
    assert torch.equal(index[0, :, 4], torch.arange(16)) and there[0, 5].all() and not there[0, 0].all()


def attend(attention, query, keys, values):
    """One query `(C,)` to entries `(M, C)`, head by head."""
    q = attention.q(query)
    heads = [(keys[:, h] @ q[h] / 2).softmax(0) @ values[:, h] for h in (slice(0, 4), slice(4, 8))]
    return attention.out(torch.cat(heads))


def test_the_geometric_exchange_equals_a_loop_over_positions():
    exchange, x = make("geometric"), features()
    links = links_between({"near": NEAR, "far": FAR}, CPU)
    out = exchange(x, links)
    for reader, source in (("near", "far"), ("far", "near")):
        index, there = links[reader, source]
        for j in range(2):
            for p in range(x[reader].shape[1]):
                hear = exchange.hear[f"{reader}_of_{source}"]
                heard = hear.bias.clone()
                for k, weight in enumerate(hear.weight.chunk(9, dim=1)):
                    if there[0, p, k]:
                        said = exchange.say[source](exchange.norm(x[source][j, index[0, p, k]]))
                        heard += weight @ torch.cat([said, torch.ones(1)])
                assert torch.allclose(out[reader][j, p], x[reader][j, p] + heard, atol=1e-4)


def test_what_is_recalled_is_heard_as_another_source():
    """By views, which attend; at any links, position by position."""
    torch.manual_seed(0)
    exchange = GeometricExchange(dict(cells=True, views=False), 8, 2)
    for parameter in exchange.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape))
    x = {"cells": torch.randn(2, 5, 8), "views": torch.randn(2, 7, 8)}
    recalled = {"past_views": torch.randn(2, 7, 8)}
    rows = dict(cells=5, views=7, past_views=7)
    links = {
        (reader, source): (torch.randint(rows[source], shape), torch.rand(shape) < 0.5)
        for reader, shape in dict(cells=(2, 5, 4), views=(2, 7, 8)).items()
        for source in set(rows) - {reader} - ({"past_views"} if reader == "cells" else set())
    }
    out = exchange(x, links, recalled)
    for j in range(2):
        for p, own in enumerate(x["views"][j]):
            keys, values = [exchange.null["views"][0]], [exchange.null["views"][1]]
            for source in ("cells", "past_views"):
                index, there = links["views", source]
                for k in there[j, p].nonzero()[:, 0]:
                    feature = (x | recalled)[source][j, index[j, p, k]]
                    key, value = exchange.tell[source](exchange.norm(feature)).chunk(2)
                    keys.append(key + exchange.place[f"views_of_{source}"][k])
                    values.append(value)
            heard = attend(exchange.listen["views"], exchange.norm(own), torch.stack(keys), torch.stack(values))
            assert torch.allclose(out["views"][j, p], own + heard, atol=1e-5)


def test_the_latent_exchange_equals_a_loop_over_positions():
    exchange, x = make("latents"), features()
    out = exchange(x)
    for j in range(2):
        said = torch.cat([exchange.tell[name](exchange.norm(x[name][j])) for name in x])
        latents = [
            own + attend(exchange.gather, exchange.norm(own), said[:, :8], said[:, 8:]) for own in exchange.latents
        ]
        latents = torch.stack([own + exchange.think(own) for own in latents])
        told = exchange.told(exchange.norm(latents))
        for name in x:
            for p in (0, 7, 15):
                own = x[name][j, p]
                heard = attend(exchange.listen[name], exchange.norm(own), told[:, :8], told[:, 8:])
                assert torch.allclose(out[name][j, p], own + heard, atol=1e-5)


@pytest.mark.parametrize("kind", EXCHANGES)
def test_it_starts_as_the_identity(kind):
    torch.manual_seed(0)
    x = features()
    out = EXCHANGES[kind](dict(near=True, far=True), 8, 2)(x, links_between({"near": NEAR, "far": FAR}, CPU))
    assert all(torch.equal(out[name], x[name]) for name in x)


def test_geometry_tells_a_cell_of_its_own_place_alone():
    """A change of one far cell reaches the near cells that look at it, and through latents all of them."""
    links = links_between({"near": NEAR, "far": FAR}, CPU)
    index, there = links["near", "far"]
    x, other = features(), features()
    other["far"][:, 9, 0] += 1.0
    changed = {}
    for kind in ("geometric", "latents"):
        exchange = make(kind)
        changed[kind] = (exchange(x, links)["near"] != exchange(other, links)["near"]).any(-1)
    assert torch.equal(changed["geometric"][0], ((index == 9) & there)[0].any(-1))
    assert changed["latents"].all()


def test_streams_that_do_not_take_part_are_no_trouble():
    """Of three streams any two."""
    torch.manual_seed(0)
    places = {"near": NEAR, "far": FAR, "too": NEAR}
    x = features() | {"too": torch.randn(2, 16, 8)}
    for exchange in (GeometricExchange(dict.fromkeys(places, True), 8, 2), LatentExchange(places, 8, 2)):
        some = {name: x[name] for name in ("near", "too")}
        out = exchange(some, links_between({name: places[name] for name in some}, CPU))
        assert out.keys() == some.keys()
        assert exchange(x, links_between(places, CPU)).keys() == x.keys()
