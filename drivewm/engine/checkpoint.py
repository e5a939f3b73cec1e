"""Reading checkpoints: weights only, strictly, and only into the model that they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from mmengine.registry import DATASETS, MODELS
from torch import Tensor, nn
from torch.utils.data import Subset

from drivewm.engine.config import load_config
from drivewm.geometry import VoxelGrid
from drivewm.world_model import WorldModel


def describe_model(model: nn.Module) -> dict:
    """What a checkpoint says about its model, in plain types: class, voxel grid (None: it sees none), token specs.

    Of a world model of several streams also the grid of each.
    """

    def plain(grid: VoxelGrid | None) -> dict | None:
        return None if grid is None else {"range_m": list(grid.range_m), "voxel_m": grid.voxel_m}

    specs = model.specs if hasattr(model, "specs") else (model.spec,)
    described = {
        "model": type(model).__name__,
        "grid": plain(model.grid),
        "tokens": [{"modality": s.modality, "shape": list(s.shape), "vocab_size": s.vocab_size} for s in specs],
    }
    streams = getattr(model, "streams", {})
    if len(streams) > 1:
        described["grids"] = {name: plain(stream.grid) for name, stream in streams.items()}
    return described


def weights_digest(state_dict: dict[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values: two models with equal digests compute the same."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def resolve_checkpoint(path: str | Path) -> Path:
    """The file that a run's `last_checkpoint` names, in the same folder; any other path as it is."""
    path = Path(path)
    if path.name == "last_checkpoint" and path.is_file():
        return path.parent / Path(path.read_text().strip()).name
    return path


def read_checkpoint(path: str | Path) -> dict:
    """The content of a checkpoint file of ours, or of the one that a run's `last_checkpoint` file names.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is cut short, holds anything but plain data and tensors, or was written by something else.
    """
    path = resolve_checkpoint(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise ValueError(f"{path} is not a complete checkpoint of tensors and plain data: {error}") from error
    if not isinstance(content, dict) or "state_dict" not in content or "drivewm" not in content.get("meta", {}):
        raise ValueError(f"{path} was not written by drivewm: it lacks state_dict or meta.drivewm")
    return content


def load_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Load all weights of `model` from a checkpoint of the same model.

    Raises:
        ValueError: naming the file, the field and both values, if the checkpoint is of another model, grid or tokens,
            or if weights are missing, left over or of another shape.
    """
    content = read_checkpoint(path)
    _compare(path, content["meta"]["drivewm"], describe_model(model))
    _load(model.load_state_dict, content["state_dict"], path)


def load_tokenizer(model: WorldModel, paths: str | Path | Mapping[str, str | Path]) -> None:
    """Hand trained tokenizers over to a world model: that of its only stream, or by the streams' names.

    Raises as `load_checkpoint` does, and ValueError if the names are not those of the model's streams.
    """
    if not isinstance(paths, Mapping):
        paths = {name: paths for name in list(model.streams)[:1]}
    if set(paths) != set(model.streams):
        raise ValueError(
            f"tokenizer checkpoints are of {', '.join(paths)}, but the model's streams are {', '.join(model.streams)}"
        )
    for name, path in paths.items():
        content = read_checkpoint(path)
        _compare(path, content["meta"]["drivewm"], describe_model(model.streams[name].tokenizer))
        _load(partial(model.adopt_tokenizer, name=name), content["state_dict"], path)


def load_streams(model: WorldModel, paths: Mapping[str, str | Path]) -> None:
    """Let the streams of a world model begin as they are in others, by the streams' names, tokenizers included.

    The others may have learned one stream or several; what streams learn of each other is not taken over.

    Raises as `load_checkpoint` does, and ValueError if the model has no such stream or the other one lacks it.
    """
    own = model.state_dict()
    for name, path in paths.items():
        if name not in model.streams:
            raise ValueError(f"{path} is to give the stream {name}, but the model has {', '.join(model.streams)}")
        prefixes = f"trunk.denoisers.{name}.", f"streams.{name}."
        content = read_checkpoint(path)
        found = {k: v for k, v in content["state_dict"].items() if k.startswith(prefixes)}
        if not found:
            raise ValueError(f"{path} has no stream {name}")
        _compare(path, *({"grid": _grid_of(d, name)} for d in (content["meta"]["drivewm"], describe_model(model))))
        _load(model.load_state_dict, {k: v for k, v in own.items() if not k.startswith(prefixes)} | found, path)
        model.streams[name].memo.clear()


def load_model(config: str | Path, checkpoint: str | Path) -> nn.Module:
    """The model of a config with the weights of a checkpoint, in evaluation mode.

    Raises as `load_config` and `load_checkpoint` do.
    """
    model = MODELS.build(load_config(config).model)
    load_checkpoint(model, checkpoint)
    return model.eval()


def load_tested(
    config: str | Path, checkpoint: str | Path, most: int, device: str = "cpu", options: Mapping | None = None
) -> tuple[nn.Module, Subset]:
    """A config's model with the weights of a checkpoint, in evaluation mode, and clips of its test set.

    Args:
        config, checkpoint: files.
        most: so many of the clips at most, evenly spread.
        device: of the model.
        options: replace the config's, see `load_config`.

    Raises as `load_config` and `load_checkpoint` do.
    """
    loaded = load_config(config, options or {})
    model = MODELS.build(loaded.model).to(device).eval()
    load_checkpoint(model, checkpoint)
    clips = DATASETS.build(loaded.test_dataloader.dataset)
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(most, len(clips))).astype(int))
    return model, Subset(clips, chosen.tolist())


def _compare(path: str | Path, found: dict, expected: dict) -> None:
    for field, value in expected.items():
        if _in_any_order(found.get(field)) != _in_any_order(value):
            raise ValueError(f"{path}: {field} is {found.get(field)}, but the config's model has {value}")


def _in_any_order(value: object) -> object:
    """Token specs by modality: configs that runs write down list their streams in another order."""
    return sorted(value, key=lambda spec: spec.get("modality", "")) if isinstance(value, list) else value


def _grid_of(described: dict, stream: str) -> dict | None:
    return described.get("grids", {stream: described["grid"]})[stream]


def _load(function, state_dict: dict, path: str | Path) -> None:
    try:
        function(state_dict)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the config's model: {error}") from error
