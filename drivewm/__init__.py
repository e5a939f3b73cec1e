"""drivewm: an open world model for autonomous driving."""

from drivewm import _torchvision

__version__ = "0.1.0"

_torchvision.install()
