"""Is anything inert? Parts of the trained model are switched off at test time, one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from demo_stages.models import clip_history, load_driving_model
from drivewm.host import write_json

CLIPS, IMAGINED_CLIPS, FRAMES = 16, 4, 6


def write_ablations(index: Path, model_folder: Path, path: Path) -> None:
    """Score forecasts, samples and plans of some held-out clips with parts switched off; write them to a JSON file.

    The file holds `{"forecast": {variant: miou at 3 s}, "imagined": {...}, "plan": {variant: error at 3 s [m]}}`.
    """
    import torch

    from drivewm.data import DriveClips, collate
    from drivewm.evaluation.functional.occupancy import confusion_counts, miou
    from drivewm.planning.open_loop import driven
    from drivewm.structures import OCC3D, EgoState

    model = load_driving_model(model_folder)
    dataset = DriveClips(index, "val", clip_history(), FRAMES + 2, load_visible=False)
    chosen = np.linspace(0, len(dataset) - 1, min(CLIPS, len(dataset))).astype(int)
    clip = collate([dataset[int(i)] for i in chosen])["clip"]
    past, poses, times = clip.history(), clip.future_poses()[:, :FRAMES], clip.future_times_s()[:, :FRAMES]
    stay = torch.eye(4).expand_as(poses)

    def score(frames) -> float:
        truth = clip.occupancy[: len(frames), clip.num_history + FRAMES - 1]
        counts = confusion_counts(frames[:, -1].numpy(), truth.numpy(), OCC3D.num_classes)
        return 100 * miou(counts, OCC3D.occupied)

    def imagined(guidance: float) -> float:
        before, model.guidance = model.guidance, guidance
        few = torch.arange(min(IMAGINED_CLIPS, len(clip)))
        frames = model.imagine(past.select(few), poses[few], times[few], torch.Generator().manual_seed(0))
        model.guidance = before
        return score(frames)

    def plan_error(state) -> float:
        plan, truth = model.head(state, clip.route, EgoState.from_history(past)).preferred(), driven(clip)
        error = (plan.poses - truth.poses)[:, FRAMES - 1, :2].norm(dim=-1)
        return float(error[truth.valid[:, FRAMES - 1]].mean())

    with torch.inference_mode():
        forecast = {"everything on": score(model.forecast(past, poses, times).labels)}
        forecast["told that the ego stands still"] = score(model.forecast(past, stay, times).labels)
        model.denoiser.memory.warp = False
        forecast["memory not warped"] = score(model.forecast(past, poses, times).labels)
        model.denoiser.memory.warp = True
        samples = {f"guidance {w:g}": imagined(w) for w in (0.0, model.guidance)}
        state = model.state(past)
        others = state.select(torch.arange(len(clip)).roll(1))
        plan = {
            "with the world model's state": plan_error(state),
            "with another scene's state": plan_error(others),
        }
    write_json(path, {"forecast": forecast, "imagined": samples, "plan": plan}, indent=1)
