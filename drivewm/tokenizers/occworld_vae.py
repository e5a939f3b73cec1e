"""OccWorldVAE: a tokenizer of OccWorld's shape, the yardstick for ours. It trains as ours does."""

from __future__ import annotations

from torch import nn

from drivewm.tokenizers.occupancy import OccupancyTokenizer
from drivewm.tokenizers.occworld_network import OccWorldDecoder, OccWorldEncoder


class OccWorldVAE(OccupancyTokenizer):
    """The VQ-VAE of OccWorld (Zheng et al., 2024, section 3.2), whose decoder sees nothing but the tokens.

    The architecture is the published one: with the default size at 200 x 200 x 16 voxels, 14.2 M parameters, and 76.5
    and 108.8 GFLOP to encode and to decode a frame (two for a multiplication with addition). Codebook, losses and
    training frames are those of `OccupancyTokenizer`, whose arguments it takes, so that what differs is the network.
    """

    def __init__(
        self,
        grid: dict,
        label_dim: int = 8,
        channels: tuple[int, ...] = (64, 128, 256),
        blocks: int = 2,
        code_dim: int = 128,
        vocab_size: int = 512,
        data_preprocessor: dict | None = None,
        **losses,
    ) -> None:
        super().__init__(
            grid, label_dim, channels, blocks, code_dim, vocab_size, data_preprocessor=data_preprocessor, **losses
        )

    @staticmethod
    def halvings(channels: tuple[int, ...]) -> int:
        """Between two widths each."""
        return len(channels) - 1

    @staticmethod
    def networks(num_classes: int, **size) -> tuple[nn.Module, nn.Module]:
        """OccWorld's; classes are decoded by their likeness to the encoder's class embeddings."""
        encoder = OccWorldEncoder(num_classes, **size)
        return encoder, OccWorldDecoder(encoder.embedding, **size)
