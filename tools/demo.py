"""The whole idea in one run: data, tokens, predicted future, plan, closed loop, pictures.

    python tools/demo.py            the demo; finished stages are reused, a killed one resumes
    python tools/demo.py --smoke    a few minutes through every stage, for a first try; nothing is learned

Everything lands in --out: `report.html` (open it in a browser), `summary.json`, and a folder for each stage.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import shutil
import warnings
from pathlib import Path

import drivewm  # noqa: F401  (prepares the import of torchvision)
from demo_stages import stages
from demo_stages.options import DemoOptions
from demo_stages.render import render
from demo_stages.stage import StageRunner
from demo_stages.summary import write_summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("work_dirs/demo"))
    parser.add_argument("--smoke", action="store_true", help="tiny sizes")
    parser.add_argument("--overwrite", action="store_true", help="start anew instead of reusing what is there")
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), help="processes (default: cores)")
    for field in dataclasses.fields(DemoOptions):
        if field.name != "workers":
            kind = float if field.name.endswith("_s") else int
            parser.add_argument(
                f"--{field.name.replace('_', '-')}", type=kind, metavar="N", help="instead of the default"
            )
    args = parser.parse_args()
    options = DemoOptions.smoke(args.workers) if args.smoke else DemoOptions(workers=args.workers)
    given = {f.name: v for f in dataclasses.fields(options) if (v := getattr(args, f.name)) is not None}
    options = dataclasses.replace(options, **given)
    out = args.out.resolve()
    if args.overwrite:
        shutil.rmtree(out, ignore_errors=True)
    warnings.filterwarnings("ignore", category=FutureWarning)
    run(options, out, _real_data())


def run(options: DemoOptions, out: Path, real_data: Path | None) -> None:
    """All stages in order, then the summary."""
    runner = StageRunner(out, lambda line: print(f"   {line}", flush=True))
    todo = [
        stages.town(options),
        stages.tokenizer(options, out),
        stages.world_model(options, out),
        stages.planner(options, out),
        stages.evaluate(out),
        stages.closed_loop(options, out),
        stages.recordings(out, real_data),
        render(options, out),
    ]
    for number, stage in enumerate(todo, 1):
        print(f"\n[{number}/{len(todo)}] {stage.title}", flush=True)
        runner.run(stage)
    summary = write_summary(out, runner.seconds)
    peak_gb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    print(f"\n{summary['seconds']['total']:.0f} s in all, at most {peak_gb:.1f} GB in one process")
    print(f"open {out / 'report.html'}")


def _real_data() -> Path | None:
    """Folder of real recordings, from the environment."""
    folder = os.environ.get("DRIVEWM_REAL_DATA")
    return Path(folder).resolve() if folder else None


if __name__ == "__main__":
    main()
