"""The discrete-diffusion world model: schedule, corruption, denoiser, sampler, and the baselines it must beat."""

from drivewm.world_model.baselines import copy_last, ego_warped_copy
from drivewm.world_model.model import WorldModel

__all__ = ["WorldModel", "copy_last", "ego_warped_copy"]
