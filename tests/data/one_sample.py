"""The one real keyframe of nuScenes among the recordings, as a data set that readers open."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from drivewm.data.nuscenes_schema import TABLES

VERSION = "v1.0-test"


def complete(recordings: Path, root: Path) -> Path:
    """Copies it to `root`, its tables completed by what the excerpt leaves out."""
    shutil.copytree(Path(recordings) / "nuscenes_one_sample", root)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755)
    tables = {t: json.loads(p.read_text()) if (p := root / VERSION / f"{t}.json").exists() else [] for t in TABLES}
    sample, scene = tables["sample"][0], tables["scene"][0]
    for row in (sample, *tables["sample_data"]):
        row.update(prev="", next="")
    scene.update(first_sample_token=sample["token"], last_sample_token=sample["token"], nbr_samples=1)
    log = {
        "token": scene["log_token"],
        "logfile": "",
        "vehicle": "",
        "date_captured": "",
        "location": "singapore-onenorth",
    }
    tables["log"] = [log]
    tables["map"] = [{"token": "m", "log_tokens": [log["token"]], "category": "", "filename": "samples"}]
    for name, rows in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(rows))
    return root
