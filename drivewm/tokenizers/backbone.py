"""A timm backbone that reads pictures: chosen by name, its weights random or from a local file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn


class Backbone(nn.Module):
    """Pictures -> feature maps at some of a convolutional timm model's resolutions.

    Nothing is downloaded. Models with batch norm work too, but what they learn depends on how many processes share a
    batch; ConvNeXt and its like have none.

    Args:
        name: of a timm model that offers `features_only`.
        reductions: how many times smaller than the picture the maps are to be.
        weights: file of the model's weights (.safetensors, or a state dict saved by torch), or None: random. What
            belongs to deeper layers or to the classifier is left out.

    Raises:
        ValueError: there is no such model, or it has no such maps, or the file does not hold all of its weights.
        FileNotFoundError: there is no such file.
    """

    def __init__(self, name: str, reductions: Sequence[int], weights: str | Path | None = None) -> None:
        import timm  # takes seconds to import

        super().__init__()
        try:
            offered = timm.create_model(name, pretrained=False, features_only=True).feature_info.reduction()
        except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
            raise ValueError(f"timm has no model {name!r} that gives feature maps: {error}") from None
        lacking = sorted(set(reductions) - set(offered))
        if lacking:
            raise ValueError(f"{name} gives no maps {lacking} times smaller than the picture, but {offered}")
        # Of several maps of one size (vision transformers have no others), the deepest.
        indices = tuple(len(offered) - 1 - offered[::-1].index(reduction) for reduction in reductions)
        self.body = timm.create_model(name, pretrained=False, features_only=True, out_indices=indices)
        self.channels: tuple[int, ...] = tuple(self.body.feature_info.channels())
        config = timm.get_pretrained_cfg(name, allow_unregistered=False)
        for field in ("mean", "std"):  # of the colours that published weights expect
            self.register_buffer(field, torch.tensor(getattr(config, field)).view(3, 1, 1), persistent=False)
        if weights is not None:
            self._load(Path(weights))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """`(J, 3, H, W)` with values 0..1 -> a map `(J, C, H / r, W / r)` for each reduction r."""
        return self.body((pictures - self.mean) / self.std)

    def _load(self, path: Path) -> None:
        # A model of feature maps has the whole one's names, but for dots that became underscores.
        found = {name.replace(".", "_"): tensor for name, tensor in _read(path).items()}
        own = self.body.state_dict()
        missing = [name for name in own if name.replace(".", "_") not in found]
        if missing:
            raise ValueError(f"{path} lacks {len(missing)} of the backbone's {len(own)} weights, such as {missing[0]}")
        try:
            self.body.load_state_dict({name: found[name.replace(".", "_")] for name in own})
        except RuntimeError as error:
            raise ValueError(f"{path} does not fit the backbone: {error}") from None


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by name, read as data and never as code."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise ValueError(f"{path} is not a complete file of weights: {error}") from None
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} holds no state dict: tensors by name")
    return content
