"""How runs are started, saved and resumed with mmengine. Only configs and tools import this package."""

from drivewm.engine.amp import Bfloat16OptimWrapper
from drivewm.engine.checkpoint import (
    load_checkpoint,
    load_model,
    load_streams,
    load_tested,
    load_tokenizer,
    weights_digest,
)
from drivewm.engine.config import build_runner, load_config
from drivewm.engine.hooks import DataCheckHook, ProgressHook, SaveCheckpointHook, bare_model
from drivewm.engine.loops import ResumableSampler, ResumableTrainLoop
from drivewm.engine.preprocessor import ClipPreprocessor
from drivewm.engine.recorded import DumpPredictionsHook, PredictedClips, RecordedPredictions

__all__ = [
    "Bfloat16OptimWrapper",
    "ClipPreprocessor",
    "DataCheckHook",
    "DumpPredictionsHook",
    "PredictedClips",
    "ProgressHook",
    "RecordedPredictions",
    "ResumableSampler",
    "ResumableTrainLoop",
    "SaveCheckpointHook",
    "bare_model",
    "build_runner",
    "load_checkpoint",
    "load_config",
    "load_model",
    "load_streams",
    "load_tested",
    "load_tokenizer",
    "weights_digest",
]
