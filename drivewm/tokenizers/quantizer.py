"""Vector quantization with an exponential-moving-average codebook.

Van den Oord et al., 2017 (VQ-VAE, appendix A.1 for the moving averages); k-means start and restart of dead codes
as in Zeghidour et al., 2021 (SoundStream, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from mmengine.dist import get_dist_info
from torch import Tensor, distributed, nn
from torch.nn import functional as F


@dataclass
class Quantized:
    """What quantizing gives.

    Attributes:
        codes: `(..., D)` the chosen code of each vector; gradients pass straight through to the input.
        indices: `(...)` int64.
        commitment: scalar, mean squared distance that pulls the encoder to its codes.
    """

    codes: Tensor
    indices: Tensor
    commitment: Tensor


class VectorQuantizer(nn.Module):
    """Nearest-code lookup whose codebook follows the encoder's outputs.

    Distances and averages are computed in float32 whatever the autocast type. With several processes statistics are
    summed over all of them, and vectors are drawn from those of all: every copy of the codebook is the one that a
    single process would have with the whole batch, given generators in equal states.

    Args:
        vocab_size: number of codes.
        dim: length D of a code.
        decay: of the moving averages.
        restart_below: a code whose average use falls below this many vectors per batch is restarted at a random vector.
        kmeans_iterations: Lloyd steps on the first batch that is quantized.
        start_after: training batches that pass as they are before that. Codes that are found among the outputs of an
            untrained encoder lie along few directions, and what is off these reaches no decoder: nothing would teach
            the encoder to use them.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        decay: float = 0.97,
        restart_below: float = 0.2,
        kmeans_iterations: int = 10,
        start_after: int = 0,
    ) -> None:
        super().__init__()
        self.vocab_size, self.dim, self.decay, self.restart_below = vocab_size, dim, decay, restart_below
        self.kmeans_iterations, self.start_after = kmeans_iterations, start_after
        self.register_buffer("codebook", torch.zeros(vocab_size, dim))
        self.register_buffer("usage", torch.zeros(vocab_size))  # average number of vectors per batch
        self.register_buffer("total", torch.zeros(vocab_size, dim))  # average sum of these vectors
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("passed", torch.tensor(0))  # training batches so far that passed as they are

    def nearest(self, vectors: Tensor) -> Tensor:
        """Index `(...)` int64 of the code nearest to each vector `(..., D)`."""
        with torch.autocast(vectors.device.type, enabled=False):
            flat = vectors.float().flatten(0, -2)
            # |v - c|^2 without its constant |v|^2.
            distance = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T
        return distance.argmin(1).view(vectors.shape[:-1])

    def to_code_space(self, vectors: Tensor) -> Tensor:
        """Vectors where the codes are: they are there already."""
        return vectors.float()

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes `(..., D)` of indices `(...)`."""
        return F.embedding(indices, self.codebook)

    def forward(self, vectors: Tensor, generator: torch.Generator | None = None) -> Quantized:
        """Quantize `(B, ..., D)`; in training mode the codebook is updated, drawing restarts from `generator`.

        The first axis must be that of clips, equally many in all processes.
        """
        vectors = vectors.float()
        if self.training and not self.started:
            if self.passed < self.start_after:
                self.passed += 1
                return Quantized(vectors, self.nearest(vectors), vectors.new_zeros(()))
            self._start(vectors.detach(), generator)
        indices = self.nearest(vectors)
        codes = self.lookup(indices)
        if self.training:
            self._update(vectors.detach(), indices, generator)
        commitment = F.mse_loss(vectors, codes)
        return Quantized(vectors + (codes - vectors).detach(), indices, commitment)

    @torch.no_grad()
    def _start(self, vectors: Tensor, generator: torch.Generator | None) -> None:
        """k-means on the first batch (Lloyd, 1982)."""
        self.codebook.copy_(self._random_vectors(vectors, self.vocab_size, generator))
        for _ in range(self.kmeans_iterations):
            count, total = self._statistics(vectors, self.nearest(vectors))
            self.codebook.copy_(torch.where(count[:, None] > 0, total / count.clamp_min(1)[:, None], self.codebook))
        count, total = self._statistics(vectors, self.nearest(vectors))
        self.usage.copy_(count)
        self.total.copy_(total)
        self.started.fill_(True)

    @torch.no_grad()
    def _update(self, vectors: Tensor, indices: Tensor, generator: torch.Generator | None) -> None:
        count, total = self._statistics(vectors, indices)
        self.usage.lerp_(count, 1 - self.decay)
        self.total.lerp_(total, 1 - self.decay)
        dead = self.usage < self.restart_below
        fresh = self._random_vectors(vectors, self.vocab_size, generator)
        # A restarted code begins with enough use not to be restarted again at once.
        self.usage[dead] = 4 * self.restart_below
        self.total[dead] = 4 * self.restart_below * fresh[dead]
        self.codebook.copy_(self.total / self.usage[:, None])

    def _statistics(self, vectors: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Number `(V,)` and sum `(V, D)` of the vectors of each code, over all processes."""
        count = torch.bincount(indices.flatten(), minlength=self.vocab_size).float()
        total = torch.zeros_like(self.codebook).index_add_(0, indices.flatten(), vectors.flatten(0, -2))
        if distributed.is_initialized():
            distributed.all_reduce(count)
            distributed.all_reduce(total)
        return count, total

    @staticmethod
    def _random_vectors(vectors: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
        """`number` vectors drawn with replacement from those of all processes.

        All draw the same rows of the whole batch, whose clip i process i % n has; each contributes those that it has.
        """
        rank, processes = get_dist_info()
        vectors = vectors.reshape(len(vectors), -1, vectors.shape[-1])
        clips, cells = vectors.shape[:2]
        pick = torch.randint(processes * clips * cells, (number,), generator=generator, device=vectors.device)
        clip, cell = pick // cells, pick % cells
        drawn = vectors[clip // processes, cell] * (clip % processes == rank)[:, None]
        if distributed.is_initialized():
            distributed.all_reduce(drawn)
        return drawn
