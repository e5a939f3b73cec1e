"""Mixed precision that also runs on a CPU (mmengine's AmpOptimWrapper refuses)."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn


class Bfloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast; weights and updates stay float32, so no loss scaling is needed."""

    @contextmanager
    def optim_context(self, model: nn.Module):
        """As in mmengine, with autocast on the model's device."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield
