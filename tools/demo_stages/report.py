"""report.html of the demo: what was made, how well it works, and where it is weak."""

from __future__ import annotations

from pathlib import Path

from demo_stages.options import DemoOptions
from demo_stages.summary import HORIZONS, PLANNERS, forecast_table, read_json
from drivewm.evaluation.tables import interval_cell

TITLES = {"model": "world model", "copy_last": "copy last", "ego_warped_copy": "ego-warped copy"}


def write_demo_report(out: Path, options: DemoOptions, pictures: dict, episodes: dict) -> Path:
    """Write `report.html` from the figures of all stages and the pictures of the last one.

    Args:
        pictures: "town" and names of recordings -> the files of `draw_forecast`.
        episodes: planner -> animation.
    """
    from drivewm.visualization.report import Headline, Report, Section, write_report

    reconstruction, tested = (read_json(out / f"evaluate/{name}.json") for name in ("tokenizer", "planner"))
    reconstruction, forecasts = reconstruction["figures"], forecast_table(tested)
    driving = read_json(out / "closed_loop/summary.json")
    best_copy = max(forecasts[name]["miou"]["3s"] for name in ("copy_last", "ego_warped_copy"))
    score = {planner: driving[planner]["all"]["score"]["value"] for planner in PLANNERS}
    report = Report(
        title="drivewm: a driving world model, from data to a closed loop",
        subtitle=f"{options.scenes} generated scenes; everything below is measured on scenes and towns held out from "
        "training.",
        headlines=[
            Headline(
                f"{forecasts['model']['miou']['3s']:.1f} %", "forecast mIoU at 3 s", f"best copy: {best_copy:.1f} %"
            ),
            Headline(f"{reconstruction['miou']:.1f} %", "reconstruction mIoU", "what tokens can hold"),
            Headline(
                _number(score["learned"]),
                "closed-loop score, learned planner",
                f"constant velocity {_number(score['constant_velocity'])}, IDM {_number(score['idm'])}",
            ),
        ],
        sections=[
            _forecast_section(forecasts, reconstruction, pictures["town"]),
            _planning_section(tested["figures"]),
            _driving_section(driving, episodes),
            _ablation_section(read_json(out / "evaluate/ablations.json")),
            *_recording_sections(out, forecasts, pictures),
            Section(
                "What is weak",
                [
                    "- Small models, trained for minutes on a small town: the figures say that the parts work "
                    "together, not how far the method goes.\n"
                    "- The forecast is given the ego's true motion, as its baselines are.\n"
                    "- Mean probabilities are decoded, so what may go either way comes out blurred or vanishes.\n"
                    "- The town has flat ground and box-shaped agents. What is learned there does not carry over to "
                    "recordings; see the section on them.",
                ],
            ),
        ],
    )
    return write_report(out / "report.html", report)


def _forecast_section(forecasts: dict, reconstruction: dict, pictures: dict):
    from drivewm.visualization.charts import by_horizon
    from drivewm.visualization.report import Figure, Section

    curves = {name: scores["miou"] for name, scores in forecasts.items()}
    return Section(
        "The predicted future",
        [
            "From 1.5 s of occupancy the world model predicts the next 3 s, frame by frame in the ego's moving frame. "
            "Beside it, two predictors that learn nothing: the last frame repeated, and what was observed moved by the "
            "ego's motion."
        ],
        tables=[forecast_report_table(forecasts, "Held-out scenes of the town, in percent.")],
        figures=[
            Figure(by_horizon(curves, ceiling=("reconstruction", reconstruction["miou"])), "mIoU over the horizon"),
            Figure(
                pictures["gif"], "truth, forecast and warped copy over time", "Truth beside the forecasts.", wide=True
            ),
            Figure(pictures["bev"], "bird's-eye view of truth and forecasts at 1, 2 and 3 s", wide=True),
            Figure(pictures["3d"], "perspective view of truth and forecasts at 1, 2 and 3 s", wide=True),
        ],
    )


def forecast_report_table(forecasts: dict, caption: str):
    """Rows of predictors (not of the tokens' ceiling), columns of scores by horizon."""
    from drivewm.visualization.report import Table

    titles = {"miou": "mIoU", "iou": "IoU", "dynamic_miou": "dynamic mIoU"}
    headers = ["predictor", *(f"{title} {h}" for title in titles.values() for h in HORIZONS)]
    shown = {TITLES[name]: by for name, by in forecasts.items() if name in TITLES}
    rows = [[title, *(by[score][h] for score in titles for h in HORIZONS)] for title, by in shown.items()]
    return Table(headers, rows, caption, [None] + ["max"] * (len(headers) - 1), highlight=TITLES["model"])


def _planning_section(flat: dict):
    from drivewm.visualization.report import Section, Table

    names = [name for name in ("learned", "constant_velocity", "constant_turn_rate") if f"{name}/l2_instant/1s" in flat]
    rows = [[name.replace("_", " "), *(flat[f"{name}/l2_instant/{h}"] for h in HORIZONS)] for name in names]
    table = Table(
        ["plan", *(f"L2 {h} [m]" for h in HORIZONS)],
        rows,
        "Distance from the driven path, at the instant.",
        [None, "min", "min", "min"],
        highlight="learned",
    )
    return Section("Open-loop plans: a diagnostic", ["The recorded world does not react."], [table])


def _driving_section(driving: dict, episodes: dict):
    from drivewm.visualization.charts import bars
    from drivewm.visualization.report import Figure, Section, Table

    rates = ("score", "score_over_constant_velocity", "collision_rate", "off_road_rate", "progress")
    rows = [
        [
            planner.replace("_", " "),
            subset,
            *(interval_cell(driving[planner][subset].get(rate)) for rate in rates),
            driving[planner][subset]["episodes"],
        ]
        for subset in ("all", "straight")
        for planner in PLANNERS
    ]
    table = Table(
        ["planner", "episodes of", "score", "over constant velocity", "collision", "off-road", "progress", "n"],
        rows,
        "Held-out towns; 95 % intervals over episodes, of the difference to constant velocity over pairs of the same "
        "episode. IDM reads the true state: a ceiling.",
        highlight="learned",
    )
    scored = {p: driving[p]["all"]["score"] for p in PLANNERS if driving[p]["all"]["score"]["value"] is not None}
    chart = bars(
        {p: (v["value"], v["low"], v["high"]) for p, v in scored.items()},
        title="Closed-loop score",
        highlight="learned",
        limits=(0.0, 1.0),
    )
    figures = [Figure(chart, "closed-loop scores with intervals")]
    figures += [Figure(path, f"an episode driven by {name.replace('_', ' ')}") for name, path in episodes.items()]
    return Section(
        "Driving",
        ["The planner drives: physics at 10 Hz, a new plan every 0.5 s, other agents react."],
        [table],
        figures,
    )


def _ablation_section(ablations: dict):
    from drivewm.visualization.report import Section, Table

    captions = {
        "forecast": ("Forecast, mIoU at 3 s [%]", "max"),
        "imagined": ("One imagined future, mIoU at 3 s [%]", "max"),
        "plan": ("Plan, distance from the driven path at 3 s [m]", "min"),
    }
    tables = [
        Table(["variant", title], [[name, value] for name, value in ablations[part].items()], "", [None, best])
        for part, (title, best) in captions.items()
    ]
    text = (
        "Parts of the trained models switched off at test time, on a few held-out clips: what makes no difference "
        "would be inert. A sampled future is one of many, so it scores below the forecast, which is their mean."
    )
    return Section("Switched off", [text], tables)


def _recording_sections(out: Path, town: dict, pictures: dict) -> list:
    from drivewm.visualization.report import Figure, Section

    names = read_json(out / "recordings/recordings.json")
    if not names:
        return [Section("Real recordings", ["Skipped: `DRIVEWM_REAL_DATA` names no folder with recordings."])]
    sections = []
    for name in names:
        forecasts = forecast_table(read_json(out / f"recordings/{name}.json"))
        model, warped = (forecasts[n]["miou"]["1s"] for n in ("model", "ego_warped_copy"))
        drop = town["model"]["miou"]["1s"] - model
        verdict = "loses to" if model < warped else "beats"
        text = (
            f"The same models, which only ever saw the town, on `{name}`. At 1 s the world model reaches {model:.1f} % "
            f"mIoU, {drop:.1f} points less than in the town, and {verdict} the ego-warped copy ({warped:.1f} %)."
        )
        figures = [
            Figure(pictures[name]["bev"], "recording: truth and forecasts from above", wide=True),
            Figure(pictures[name]["3d"], "recording: truth and forecasts in perspective", wide=True),
        ]
        table = forecast_report_table(forecasts, f"Recording {name}, in percent.")
        sections.append(Section("Real recordings", [text], [table], figures))
    return sections


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
