"""Tokenizers: frames to discrete tokens and back. One protocol, one file per modality."""

from drivewm.tokenizers.camera import CameraTokenizer
from drivewm.tokenizers.lidar import LidarTokenizer
from drivewm.tokenizers.occupancy import OccupancyTokenizer
from drivewm.tokenizers.occworld_vae import OccWorldVAE
from drivewm.tokenizers.protocol import DecoderContext, Tokenizer
from drivewm.tokenizers.quantizer import VectorQuantizer

__all__ = [
    "CameraTokenizer",
    "DecoderContext",
    "LidarTokenizer",
    "OccWorldVAE",
    "OccupancyTokenizer",
    "Tokenizer",
    "VectorQuantizer",
]
