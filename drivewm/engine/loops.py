"""Training by iterations that resumes where it stopped, without reading all past batches again."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmengine.dist import get_dist_info
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import Dataset, Sampler


class ResumableSampler(Sampler[int]):
    """Endless shuffled passes over a dataset, each in an order of its own, split between processes; can start anywhere.

    Args:
        dataset: gives the length.
        seed: of the orders; equal in all processes.
        start: number of samples, over all processes, that were used before.
    """

    def __init__(self, dataset: Dataset, seed: int = 0, start: int = 0) -> None:
        self.size, self.seed, self.start = len(dataset), seed, start
        self.rank, self.world_size = get_dist_info()

    def __len__(self) -> int:
        """Samples of one pass in this process."""
        return -(-self.size // self.world_size)

    def __iter__(self) -> Iterator[int]:
        position = self.start + self.rank
        epoch, order = -1, None
        while True:
            if position // self.size != epoch:
                epoch = position // self.size
                order = torch.randperm(self.size, generator=torch.Generator().manual_seed(self.seed + epoch)).tolist()
            yield order[position % self.size]
            position += self.world_size


class ResumableTrainLoop(IterBasedTrainLoop):
    """mmengine's loop, except that the sampler starts behind the samples that were used before a resume."""

    def run(self) -> torch.nn.Module:
        """Train up to `max_iters`."""
        sampler = self.dataloader.sampler
        sampler.start = self._iter * self.dataloader.batch_size * sampler.world_size
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if self.runner.val_loop is not None and self._validates():
                self.runner.val_loop.run()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _validates(self) -> bool:
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return due and self._iter >= self.val_begin
