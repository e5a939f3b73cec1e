"""Lets torchvision be imported beside a torch that was built for CPUs.

timm and mmengine's Runner import torchvision. Package indexes without CPU builds serve its CUDA build, whose
operator library cannot be loaded beside a CPU torch; its import then stops with
"operator torchvision::nms does not exist". drivewm uses none of these operators, so it is enough that the names
exist which the import looks up.

Nothing is imported here before somebody imports torchvision: `install` puts a finder in front of the import
system that acts once, on that import, and then steps aside.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_library = None  # a torch.library.Library takes its operators along when it is collected


class _BeforeTorchvision:
    """A meta path finder that finds nothing: it only prepares torch when torchvision is asked for."""

    @classmethod
    def find_spec(cls, fullname: str, path=None, target=None) -> None:
        if fullname == "torchvision":
            sys.meta_path.remove(cls)
            spec = importlib.machinery.PathFinder.find_spec(fullname, path)
            if spec is not None and spec.origin is not None:
                declare_missing_operators(Path(spec.origin).parent)
        return None


def install() -> None:
    """Prepare the coming import of torchvision; no effect once it is imported or prepared."""
    if "torchvision" not in sys.modules and _BeforeTorchvision not in sys.meta_path:
        sys.meta_path.insert(0, _BeforeTorchvision)


def declare_missing_operators(torchvision_dir: Path) -> bool:
    """Declare `torchvision::nms` and `qnms` if torch is a CPU build and torchvision's operators cannot load.

    Returns whether they had to be declared. Calling a declared operator raises NotImplementedError.
    """
    global _library
    import torch

    if torch.version.cuda is not None or _loads(torchvision_dir) or _library is not None:
        return False
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        _library.define(name + _SIGNATURE)
    return True


def _loads(torchvision_dir: Path) -> bool:
    """Whether torchvision's operator library loads into this torch (loading it twice is harmless)."""
    import torch

    suffixes = importlib.machinery.EXTENSION_SUFFIXES
    library = next((f for s in suffixes if (f := torchvision_dir / f"_C{s}").exists()), None)
    if library is None:
        return False
    try:
        torch.ops.load_library(str(library))
    except OSError:
        return False
    return True
