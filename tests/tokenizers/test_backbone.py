"""Backbones: any of timm's by name, with the weights of a local file or none, and what is wrong with either."""

import pytest
import timm
import torch
from safetensors.torch import save_file

import drivewm  # noqa: F401  (prepares the import of torchvision, which timm imports)
from drivewm.tokenizers.backbone import Backbone


@pytest.mark.parametrize(("name", "reductions"), [("test_convnext", (16,)), ("test_efficientnet", (4, 16))])
def test_maps_are_so_many_times_smaller(name, reductions):
    torch.manual_seed(0)
    backbone = Backbone(name, reductions).eval()
    maps = backbone(torch.rand(2, 3, 64, 96))
    expected = [(2, c, 64 // r, 96 // r) for c, r in zip(backbone.channels, reductions, strict=True)]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet"])
def test_a_file_of_the_whole_model_gives_its_features(name, suffix, tmp_path):
    """Against timm's own way to the same feature map, through the whole model."""
    torch.manual_seed(1)
    whole, path = timm.create_model(name).eval(), tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": whole.state_dict()}, path)
    else:
        save_file(whole.state_dict(), path)
    backbone, pictures = Backbone(name, (16,), path).eval(), torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(whole.default_cfg[field]).view(3, 1, 1) for field in ("mean", "std"))
    with torch.no_grad():
        (found,) = backbone(pictures)
        features = whole.forward_intermediates((pictures - mean) / std, intermediates_only=True)
    expected = [f for f in features if f.shape == found.shape]
    assert len(expected) == 1
    torch.testing.assert_close(found, expected[0])


def test_what_timm_does_not_have_is_refused():
    with pytest.raises(ValueError, match="timm has no model 'convnext_tini'"):
        Backbone("convnext_tini", (16,))
    with pytest.raises(ValueError, match=r"test_convnext gives no maps \[2\] times smaller.*\[4, 8, 16, 32\]"):
        Backbone("test_convnext", (2, 16))


class Harmful:
    """A pickle of it would run code."""

    def __reduce__(self):
        return print, ("loaded",)


@pytest.mark.parametrize(
    "kind", ["missing", "other model", "cut short", "code", "no state dict", "other shapes", "text"]
)
def test_files_that_are_no_weights_of_the_model(kind, tmp_path, capsys):
    path = tmp_path / ("weights.safetensors" if kind == "text" else "weights.pth")
    weights = timm.create_model("test_convnext").state_dict()
    content = {
        "other model": timm.create_model("test_efficientnet").state_dict() if kind == "other model" else None,
        "code": {"state_dict": Harmful()},
        "no state dict": [1, 2],
        "other shapes": {name: tensor[..., None] for name, tensor in weights.items()},
    }
    if kind == "text":
        path.write_text("no weights")
    elif kind != "missing":
        torch.save(content.get(kind, weights), path)
    if kind == "cut short":
        path.write_bytes(path.read_bytes()[:1000])
    words = {
        "missing": "there is no file of weights",
        "other model": r"lacks \d+ of the backbone's \d+ weights, such as",
        "cut short": "not a complete file of weights",
        "code": "not a complete file of weights",
        "no state dict": "holds no state dict",
        "other shapes": "does not fit the backbone",
        "text": "not a complete file of weights",
    }[kind]
    with pytest.raises(FileNotFoundError if kind == "missing" else ValueError, match=words) as error:
        Backbone("test_convnext", (16,), path)
    assert path.name in str(error.value)
    assert "loaded" not in capsys.readouterr().out
