"""How hard is a data set to forecast? What needs no learning, under the true ego motion, and how much comes into view.

    python tools/difficulty.py data/town --split val

Measure it before anything is trained: what a copy gets right is not for a model to claim.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from drivewm.data import DataError
from drivewm.data.clips import DriveClips
from drivewm.evaluation.forecast import forecast_report, record_forecast
from drivewm.evaluation.tables import markdown_table
from drivewm.structures import OCC3D
from drivewm.world_model.baselines import (
    constant_velocity_boxes,
    copy_last,
    ego_warped_copy,
    newly_seen,
    warp_history,
)

HISTORY, FUTURE, HORIZONS = 4, 6, ("1s", "2s", "3s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set with its index")
    parser.add_argument("--split", default="val")
    parser.add_argument("--stride", type=int, default=4, help="take every n-th window of a scene")
    args = parser.parse_args()
    records, unseen, occupied = [], 0, 0
    try:
        clips = DriveClips(args.data / "index", args.split, HISTORY, FUTURE, args.stride)
        for number in tqdm(range(len(clips)), desc="clips"):
            clip = clips[number]["clip"]
            history, poses, times = (
                clip.history(),
                clip.future_poses(),
                clip.times_s()[:, HISTORY:] - clip.times_s()[:, HISTORY - 1, None],
            )
            seen = warp_history(history, poses)
            truth, fresh = clip.occupancy[0, HISTORY:].numpy(), newly_seen(seen)[0].numpy()
            forecasts = {
                "copy_last": copy_last(history, poses),
                "ego_warped_copy": ego_warped_copy(history, poses, seen),
                "constant_velocity_boxes": constant_velocity_boxes(history, poses, times),
            }
            arrays = {name: frames[0].numpy() for name, frames in forecasts.items()}
            sample = {"forecasts": arrays, "truth": truth, "times_s": times[0].numpy(), "scene": clip.scene[0]}
            records.append(record_forecast(sample))
            solid = truth != OCC3D.free
            unseen, occupied = unseen + (fresh & solid).sum((1, 2, 3)), occupied + solid.sum((1, 2, 3))
    except (DataError, ValueError) as error:
        raise SystemExit(f"error: {error}") from None
    table = {row["predictor"]: row["scores"] for row in forecast_report(records)["rows"]}
    scores = ("miou", "iou", "dynamic_miou")
    header = ["forecast", *(f"{score} {horizon}" for score in scores for horizon in HORIZONS)]
    print(markdown_table(header, [[n, *(table[n][s][h] for s in scores for h in HORIZONS)] for n in table]))
    print(f"\nnewly seen share of the occupied voxels at 1, 2, 3 s: {np.round(100 * (unseen / occupied)[1::2], 1)} %")


if __name__ == "__main__":
    main()
