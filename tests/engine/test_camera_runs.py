"""The camera tokenizers' configs, made small: from files to a checkpoint to the table, and data that do not fit."""

import pytest

from drivewm.data import Index
from drivewm.engine import build_runner, load_checkpoint, load_config

SIZE = (64, 32)
CONFIG = "configs/tokenizers/camera_twin.py"


def small_config(index: Index, **options):
    """The config on other files, with a small network; views and windows are its own."""
    small = {"image_size": SIZE, "backbone": "test_convnext", "channels": (16,) * 4, "vocab_size": 32}
    changed = {f"model.{name}": value for name, value in (small | {"quantize_after": 1}).items()}
    for part in ("train", "test"):
        changed[f"{part}_dataloader.dataset.index"] = str(index.folder)
        changed[f"{part}_dataloader.dataset.image_size"] = SIZE
    changed |= {"train_cfg.max_iters": 3, "test_dataloader.dataset.stride": 1}
    return load_config(CONFIG, changed | options)


def test_from_files_to_the_table(camera_index, tmp_path):
    runner = build_runner(small_config(camera_index), tmp_path)
    runner.train()
    load_checkpoint(runner.model, tmp_path / "last_checkpoint")
    figures = runner.test()
    views = [name.rsplit("/", 1)[1] for name in figures if name.startswith("psnr/tokens/")]
    assert set(views) == {"mean", *runner.test_dataloader.dataset.cameras} and len(views) == 7
    assert 0 < figures["psnr/tokens/mean"] < figures["psnr/bicubic/mean"]  # three steps
    assert figures["perplexity/6x2x4"] >= 1 and figures["unused_codes/6x2x4"] < 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_dataloader.dataset.load_images": False}, "data sets need load_images=True"),
        ({"train_dataloader.dataset.image_size": (32, 32)}, "gives 6 views of 32 x 32, but .* for 6 of 64 x 32"),
        ({"train_dataloader.dataset.cameras": ("CAM_FRONT",)}, "gives 1 views of 64 x 32, but .* for 6 of 64 x 32"),
    ],
)
def test_data_that_do_not_fit_stop_the_run_before_it_starts(camera_index, tmp_path, options, message):
    runner = build_runner(small_config(camera_index, **options), tmp_path)
    with pytest.raises(ValueError, match=message):
        runner.train()
