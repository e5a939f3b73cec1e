"""Two steps and a test by as many processes as there are: `two_steps.py INDEX WORK_DIR LAUNCHER [CHECKPOINT]`.

Of the tokenizer, or with the checkpoint of one, of the world model.
"""

import os
import sys
from pathlib import Path

from mmengine.dist import is_main_process

from drivewm.data import Index
from drivewm.engine import bare_model, build_runner, load_tokenizer
from drivewm.host import write_json
from tests.engine.test_runs import DRIVING, TOKENIZER, small_config

GLOBAL_BATCH = 4


def train(folder: Path, work_dir: Path, launcher: str, tokenizer: str | None = None) -> None:
    """Float32 and SGD: Adam makes steps of full length out of rounding errors."""
    index = Index.open(folder)
    config = small_config(DRIVING if tokenizer else TOKENIZER, index, 2, index.grid)
    config.train_dataloader.batch_size = GLOBAL_BATCH // int(os.environ.get("WORLD_SIZE", 1))
    config.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.5), clip_grad=dict(max_norm=1.0))
    config.param_scheduler = []
    config.default_hooks.checkpoint.interval = 1
    owner = config.model.tokenizer if tokenizer else config.model
    owner.lovasz_voxels = 200
    if tokenizer:
        config.model.planned_clips = 2
        config.test_evaluator = config.test_evaluator[:1]
    config.test_dataloader.batch_size = 3
    runner = build_runner(config, work_dir, launcher=launcher)
    if tokenizer:
        load_tokenizer(bare_model(runner), tokenizer)
    runner.train()
    scores = {name: value for name, value in runner.test().items() if "class" not in name}
    if is_main_process():
        write_json(work_dir / "scores.json", scores)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
