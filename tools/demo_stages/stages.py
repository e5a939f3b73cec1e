"""What each stage of the demo does. Each is the call of a tool, printed as a user would type it."""

from __future__ import annotations

from pathlib import Path

from demo_stages.ablations import write_ablations
from demo_stages.command import run_tool
from demo_stages.options import PLANNER_CONFIG, TOKENIZER_CONFIG, WORLD_MODEL_CONFIG, DemoOptions, digest_of
from demo_stages.stage import Stage
from demo_stages.summary import BASELINES
from drivewm.host import write_json

_QUIET = ["log_level=WARNING"]  # the progress bars say enough


def town(options: DemoOptions) -> Stage:
    """Generate the data set: drives through the town in nuScenes' format, and its index."""

    def run(folder: Path) -> None:
        run_tool(
            "make_town",
            "--out",
            folder / "set",
            "--scenes",
            options.scenes,
            "--seed",
            options.seed,
            "--duration",
            options.duration_s,
            "--workers",
            options.workers,
            *("--x-min", -12.8),  # the models look ahead
            "--no-cameras",  # no model of the demo looks at images or at sweeps between keyframes
            "--no-sweeps",
        )

    made_of = {"scenes": options.scenes, "seed": options.seed, "duration_s": options.duration_s}
    return Stage(
        "town", "generate a data set: drives through the town, in nuScenes' format", made_of, ("set/index",), run
    )


def tokenizer(options: DemoOptions, out: Path) -> Stage:
    """Train the occupancy tokenizer."""
    return _training("tokenizer", "train the tokenizer", TOKENIZER_CONFIG, options.tokenizer_iters, out)


def world_model(options: DemoOptions, out: Path) -> Stage:
    """Train the world model and, with it, the planner."""
    title, iterations = "train the world model and its planner", options.world_model_iters
    return _training("world_model", title, WORLD_MODEL_CONFIG, iterations, out, tokenizer_checkpoint="tokenizer")


def planner(options: DemoOptions, out: Path) -> Stage:
    """Train the planner's head on, with the world model frozen."""
    title, iterations = "train the planner's head on", options.planner_iters
    return _training("planner", title, PLANNER_CONFIG, iterations, out, start_checkpoint="world_model")


def _training(name: str, title: str, config: str, iterations: int | None, out: Path, **handed_over: str) -> Stage:
    """A run of `tools/train.py`; `handed_over` are options of the config and the stages whose checkpoints they name."""

    def run(folder: Path) -> None:
        changes = _data(out / "town/set/index")
        changes += [] if iterations is None else [f"train_cfg.max_iters={iterations}"]
        changes += [f"{option}={out / stage}/last_checkpoint" for option, stage in handed_over.items()]
        resume = ["--resume"] if (folder / "last_checkpoint").exists() else []
        run_tool("train", config, "--work-dir", folder, *resume, "--cfg-options", *changes)

    made_of = {"config": digest_of("configs/_base_", config), "iters": iterations}
    return Stage(name, title, made_of, ("last_checkpoint",), run)


def evaluate(out: Path) -> Stage:
    """Score reconstruction, forecasts beside their baselines, and open-loop plans on the held-out scenes."""

    def run(folder: Path) -> None:
        changes = _data(out / "town/set/index")
        for name, config in (("tokenizer", TOKENIZER_CONFIG), ("planner", WORLD_MODEL_CONFIG)):
            run_tool(
                "test",
                config,
                out / name / "last_checkpoint",
                "--work-dir",
                folder / name,
                "--out",
                folder / f"{name}.json",
                "--cfg-options",
                *changes,
            )

        write_ablations(out / "town/set/index", out / "planner", folder / "ablations.json")

    return Stage(
        "evaluate",
        "score them on held-out scenes, beside their baselines",
        {},
        ("tokenizer.json", "planner.json", "ablations.json"),
        run,
    )


def closed_loop(options: DemoOptions, out: Path) -> Stage:
    """Drive the planners in held-out towns."""

    def run(folder: Path) -> None:
        run_tool(
            "closed_loop",
            *("--planner", *BASELINES, f"{WORLD_MODEL_CONFIG}:{out / 'planner/last_checkpoint'}"),
            *("--scenarios", options.episodes, "--seed", options.episode_seed, "--videos", 0),
            *("--duration", options.scored_s, "--workers", options.workers, "--out", folder),
        )

    made_of = {"episodes": options.episodes, "scored_s": options.scored_s, "seed": options.episode_seed}
    return Stage("closed_loop", "drive in held-out towns", made_of, ("summary.json",), run)


def recordings(out: Path, source: Path | None) -> Stage:
    """Forecast on real recordings, with the models that only ever saw the town."""
    files = [] if source is None else sorted(source.glob("nuscenes_scene-*.npz"))

    def run(folder: Path) -> None:
        if not files:
            print("real recordings: skipped (DRIVEWM_REAL_DATA names no folder with nuscenes_scene-*.npz)")
        results = []
        for file in files:
            data = folder / file.stem
            if not (data / "index").exists():
                run_tool("create_index", "--recording", file, "--out", data, "--x-min", -12.8, "--overwrite")
            run_tool(
                "test",
                WORLD_MODEL_CONFIG,
                out / "planner/last_checkpoint",
                "--work-dir",
                folder / "logs",
                "--out",
                folder / f"{file.stem}.json",
                "--cfg-options",
                *_recording_data(data / "index"),
            )
            results.append(file.stem)
        write_json(folder / "recordings.json", results, indent=1)

    return Stage(
        "recordings", "forecast real recordings", {"files": [file.name for file in files]}, ("recordings.json",), run
    )


def _data(index: Path) -> list[str]:
    return [f"{part}_dataloader.dataset.index={index}" for part in ("train", "test")] + _QUIET


def _recording_data(index: Path) -> list[str]:
    """A recording has few keyframes: every window of it, no longer than the forecast."""
    dataset = "test_dataloader.dataset"
    return [f"{dataset}.index={index}", f"{dataset}.num_future=6", f"{dataset}.stride=1", *_QUIET]
