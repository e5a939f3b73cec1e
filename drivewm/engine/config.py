"""From a config file and command-line options to an mmengine Runner."""

from __future__ import annotations

import atexit
import difflib
import gc
import inspect
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

_USED = {*inspect.signature(Runner.__init__).parameters, "tokenizer_checkpoint", "start_checkpoint"}


def load_config(path: str | Path, options: dict | None = None) -> Config:
    """Read a config and apply `--cfg-options`, whose keys must exist in it.

    Raises:
        FileNotFoundError: if there is no such config.
        ValueError: for an option that the config does not have, or that would change nothing, since it is a variable of
            which the config has already made use; mmengine itself would accept and ignore both.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no config {path}")
    config = Config.fromfile(str(path))
    for key in options or {}:
        _require(config, key, path)
    config.merge_from_dict(options or {})
    return config


def build_runner(config: Config, work_dir: str | Path, resume: bool = False, launcher: str = "none") -> Runner:
    """The run that a config describes, in `work_dir`; `resume` goes on from its last complete checkpoint, if any."""
    config.work_dir, config.launcher, config.resume = str(work_dir), launcher, resume
    if launcher != "none":
        _distribute(config)
    return Runner.from_cfg(config)


def _distribute(config: Config) -> None:
    """Wrap the model for several processes; without GPUs over gloo, which mmengine by itself does not set up."""
    # A batch without a frame to decode leaves the decoder of soft tokens out.
    config.model_wrapper_cfg = dict(
        type="MMDistributedDataParallel", broadcast_buffers=False, find_unused_parameters=True
    )
    if not torch.cuda.is_available():
        config.model_wrapper_cfg.device_ids = None
        torch.distributed.init_process_group("gloo")
    # Threads of a group that is left to the interpreter's end may outlive what they use, and abort a finished run.
    atexit.register(_leave)


def _leave() -> None:
    gc.collect()  # a wrapped model holds the group, and a runner, which is a cycle, the model
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _require(config: Config, key: str, path: str | Path) -> None:
    top = key.split(".")[0]
    if top in config and top not in _USED:
        reason = "is a variable of the config file; set the fields made from it"
        raise ValueError(f"{path}: --cfg-options {key}: {top} {reason}")
    node = config
    for depth, part in enumerate(key.split(".")):
        if isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
            continue
        known = list(node.keys()) if isinstance(node, (Config, ConfigDict, dict)) else []
        if part not in known:
            close = difflib.get_close_matches(part, known, n=1)
            hint = (
                f"; did you mean {close[0]}?" if close else f"; there are {', '.join(map(str, known)) or 'no fields'}"
            )
            where = ".".join(key.split(".")[:depth]) or "its top level"
            raise ValueError(f"{path}: --cfg-options {key}: {part!r} does not exist at {where}{hint}")
        node = node[part]
