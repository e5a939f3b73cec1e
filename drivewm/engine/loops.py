"""Training by iterations that resumes where it stopped, without reading all past batches again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import torch
from mmengine.dist import get_dist_info, get_world_size
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset, Sampler


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
    """mmengine's loop, with batches larger than memory, and whose sampler starts behind what was used before a resume.

    An iteration is one step of the optimizer, however many parts its batch is computed in: schedules, averages and logs
    mean the same on one GPU and on eight.

    Args:
        runner: mmengine's.
        dataloader: gives each process as many clips as it can hold at once.
        max_iters: steps.
        batch_size: clips of one step over all processes; the gradients of as many parts as that takes are averaged.
            None: what all processes hold at once.
        val_begin, val_interval: as in mmengine.

    Raises:
        ValueError: `batch_size` is not a multiple of what all processes hold at once.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        max_iters: int,
        batch_size: int | None = None,
        val_begin: int = 1,
        val_interval: int = 1000,
    ) -> None:
        super().__init__(runner, dataloader, max_iters, val_begin, val_interval)
        self.at_once = self.dataloader.batch_size * get_world_size()
        batch_size = self.at_once if batch_size is None else batch_size
        if batch_size < 1 or batch_size % self.at_once:
            raise ValueError(
                f"train_cfg.batch_size is {batch_size}, expected a multiple of {self.at_once}: "
                f"train_dataloader.batch_size is {self.dataloader.batch_size} in each of {get_world_size()} processes"
            )
        self.parts = batch_size // self.at_once
        runner.optim_wrapper["accumulative_counts"] = self.parts  # the runner builds it after the loop

    def run(self) -> torch.nn.Module:
        """Train up to `max_iters`."""
        if self._iter:
            self.dataloader.sampler.start = self._iter * self.parts * self.at_once
            self.dataloader_iterator = iter(self.dataloader)  # workers of the first one have read ahead
        # The wrapper counts parts, but is told of iterations by the runner.
        wrapper, model = self.runner.optim_wrapper, self.runner.model
        wrapper.initialize_count_status(model, self._iter * self.parts, self._max_iters * self.parts)
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

    def run_iter(self, data_batch: dict) -> None:
        """One step of the optimizer; `data_batch` is its first part."""
        self.runner.call_hook("before_train_iter", batch_idx=self._iter, data_batch=data_batch)
        logs = []
        for part in chain([data_batch], islice(self.dataloader_iterator, self.parts - 1)):
            logs.append(self.runner.model.train_step(part, optim_wrapper=self.runner.optim_wrapper))
        outputs = {name: sum(log[name] for log in logs) / self.parts for name in logs[0]}
        self.runner.call_hook("after_train_iter", batch_idx=self._iter, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def _validates(self) -> bool:
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return due and self._iter >= self.val_begin
