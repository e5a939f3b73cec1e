"""Exchanges: how the streams of one frame learn of each other, at a cost that is linear in their tokens."""

from drivewm.world_model.exchange.geometric import GeometricExchange
from drivewm.world_model.exchange.latents import LatentExchange
from drivewm.world_model.exchange.places import Before, Cells, Links, Places, links_between, past_of
from drivewm.world_model.exchange.sightlines import Sightlines

EXCHANGES = {"geometric": GeometricExchange, "latents": LatentExchange}
"""By the word that a config chooses with."""

__all__ = [
    "EXCHANGES",
    "Before",
    "Cells",
    "GeometricExchange",
    "LatentExchange",
    "Links",
    "Places",
    "Sightlines",
    "links_between",
    "past_of",
]
