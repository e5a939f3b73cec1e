"""Does a world model do as it is told? Futures under nine manoeuvres, and the motion measured in them.

    python tools/obedience.py configs/world_models/driving_town.py work_dirs/driving_town/last_checkpoint \\
        --clips 60 --out obedience.json

What is measured stands in docs/protocols.md, "Does the world model obey?".
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmengine.config import DictAction
from tqdm import tqdm

from drivewm.engine import load_tested
from drivewm.evaluation.obedience import obedience_report, obedience_text, record_obedience
from drivewm.host import without_nan, write_json
from drivewm.world_model.obedience import ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="of a world model of occupancy, e.g. configs/world_models/driving_town.py")
    parser.add_argument("checkpoint", help="a .pth file, or the last_checkpoint file of a work dir")
    parser.add_argument("--clips", type=int, default=60, help="so many of the config's test clips, evenly spread")
    parser.add_argument("--at-once", type=int, default=11, help="futures in one batch; fewer need less memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="write the report and the record of each clip to this JSON file")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, default={}, help="KEY=VALUE that replace the config's"
    )
    args = parser.parse_args()
    try:
        measure(args)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from error


def measure(args: argparse.Namespace) -> None:
    model, clips = load_tested(args.config, args.checkpoint, args.clips, args.device, args.cfg_options)
    records = []
    for row in tqdm(range(len(clips)), desc="clips"):
        # Half of the clips further on another scene is met, unless there is just one.
        other = (row + len(clips) // 2) % len(clips)
        clip, elsewhere = (clips[i]["clip"].to(args.device) for i in (row, other))
        records += [record_obedience(sample) for sample in ask(model, clip, elsewhere, args.at_once)]
    report = obedience_report(records)
    print(f"\n# Does {Path(args.config).stem} obey?\n\n{obedience_text(report)}")
    if args.out:
        write_json(args.out, without_nan({"report": report, "clips": records}), indent=1)


if __name__ == "__main__":
    main()
