"""Hooks: they observe a run, save it and check it; algorithms live in the models."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.model import BaseModel, is_model_wrapper
from mmengine.runner import Runner
from tqdm import tqdm

from drivewm.data.token_cache import TokenCache
from drivewm.engine.checkpoint import describe_model, weights_digest
from drivewm.host import replacing, write_bytes


class SaveCheckpointHook(Hook):
    """Saves the run every `interval` iterations and at its end, so that weights-only loading reads it.

    A checkpoint is written under another name and renamed when complete, and `last_checkpoint` follows it: a killed run
    resumes from the last complete one. mmengine's log buffers are pickled objects, so they stay out of the file.

    Args:
        interval: iterations between checkpoints.
        keep: how many of the newest to keep.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int, keep: int = 2) -> None:
        self.interval, self.keep = interval, keep

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Save if it is time."""
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
            self._save(runner)

    @master_only
    def _save(self, runner: Runner) -> None:
        folder, name = Path(runner.work_dir), f"iter_{runner.iter + 1}.pth"
        hub = runner.message_hub
        logs, hub._log_scalars = hub._log_scalars, OrderedDict()
        # Else mmengine warns of each log buffer that is to be resumed and is not there.
        keys = hub._resumed_keys
        hub._resumed_keys = OrderedDict((k, v) for k, v in keys.items() if k in hub.runtime_info)
        for key, value in hub.runtime_info.items():
            if isinstance(value, np.generic):
                hub.runtime_info[key] = value.item()
        try:
            meta = {"iter": runner.iter + 1, "epoch": runner.epoch, "drivewm": describe_model(bare_model(runner))}
            with replacing(folder / name) as part:
                runner.save_checkpoint(
                    str(folder), part.name, meta=meta, save_optimizer=True, save_param_scheduler=True
                )
        finally:
            hub._log_scalars, hub._resumed_keys = logs, keys
        write_bytes(folder / "last_checkpoint", str(folder / name).encode())
        saved = sorted(folder.glob("iter_*.pth"), key=lambda path: int(path.stem.split("_")[1]))
        for old in saved[: -self.keep]:
            old.unlink()


class DataCheckHook(Hook):
    """Stops a run whose data set does not fit its model: other voxels or views, no points, another one's tokens."""

    def before_train(self, runner: Runner) -> None:
        """Compare with the training set."""
        self._check(runner, runner.train_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Compare with the test set."""
        self._check(runner, runner.test_dataloader.dataset)

    def _check(self, runner: Runner, dataset) -> None:
        model = bare_model(runner)
        reads = {spec.modality for spec in getattr(model, "specs", ())}
        if "occupancy" in reads and dataset.grid != model.grid:
            raise ValueError(
                f"the dataset {dataset.index.folder} has the grid {dataset.grid}, but the config's model has "
                f"{model.grid}"
            )
        if "lidar" in reads and not dataset.load_points:
            raise ValueError("the config's model reads points: its data sets need load_points=True")
        if "camera" in reads and not dataset.load_images:
            raise ValueError("the config's model reads images: its data sets need load_images=True")
        streams = getattr(model, "streams", {})
        eyes = streams["camera"].tokenizer if "camera" in streams else model
        if hasattr(eyes, "image_size"):
            found, expected = (len(dataset.cameras), *dataset.image_size), (eyes.views, *eyes.image_size)
            if found != expected:
                raise ValueError(
                    "the dataset {} gives {} views of {} x {}, ".format(dataset.index.folder, *found)
                    + "but the config's model is made for {} of {} x {}".format(*expected)
                )
        for cache in getattr(dataset, "tokens", ()):
            self._check_cache(cache, model)

    def _check_cache(self, cache: TokenCache, model: BaseModel) -> None:
        streams, modality = getattr(model, "streams", {}), cache.inputs.modality
        tokenizer = getattr(streams[modality] if modality in streams else model, "tokenizer", None)
        own = None if tokenizer is None else weights_digest(tokenizer.state_dict())
        if own != cache.tokenizer:
            raise ValueError(
                f"the tokens in {cache.folder} are of a tokenizer with the digest {cache.tokenizer}, but that of the "
                f"config's model has {own}: extract its tokens by tools/extract_tokens.py"
            )
        if cache.inputs.grid != tokenizer.grid:  # which the weights of a LiDAR tokenizer say nothing of
            raise ValueError(
                f"the tokens in {cache.folder} are of the grid {cache.inputs.grid}, but the config's model has "
                f"{tokenizer.grid}: extract its tokens by tools/extract_tokens.py"
            )


class ProgressHook(Hook):
    """A progress bar with the time left and the newest loss."""

    priority = "LOW"

    def before_train(self, runner: Runner) -> None:
        """Open the bar, at the iteration that a resumed run starts from."""
        self.bar = tqdm(
            total=runner.max_iters, initial=runner.iter, desc="train", disable=not is_main_process(), mininterval=1
        )

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """One step further."""
        self.bar.update()
        if outputs is not None and (runner.iter + 1) % 10 == 0:
            self.bar.set_postfix({"loss": f"{float(outputs['loss']):.3f}"}, refresh=False)

    def after_train(self, runner: Runner) -> None:
        """Close the bar."""
        self.bar.close()

    def before_test_epoch(self, runner: Runner) -> None:
        """Open the bar."""
        self.bar = tqdm(total=len(runner.test_dataloader), desc="test", disable=not is_main_process(), mininterval=1)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """One batch further."""
        self.bar.update()

    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Close the bar."""
        self.bar.close()


def bare_model(runner: Runner) -> BaseModel:
    """The run's model without the wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
