"""torchvision must be importable beside the torch that is installed, and `import drivewm` must stay cheap."""

import subprocess
import sys


def run(code: str) -> str:
    """Run `code` in a fresh interpreter: what is tested are first imports."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_of_drivewm_is_cheap():
    heavy = "('torch', 'torchvision', 'numba', 'mmengine', 'open3d')"
    assert run(f"import drivewm, sys; print([m for m in {heavy} if m in sys.modules])") == "[]"


def test_torchvision_imports_after_drivewm():
    code = (
        "import drivewm, sys\n"
        "before = len(sys.meta_path)\n"
        "import torchvision, torch\n"
        "torch.ops.torchvision.nms\n"
        "from torchvision.transforms import Resize\n"
        "print(len(sys.meta_path) - before)"
    )
    assert run(code) == "-1"  # the finder stepped aside


def test_torch_may_be_imported_first():
    assert run("import torch, drivewm, torchvision; print('ok')") == "ok"


def test_own_operators_are_kept_where_they_load():
    """Where the operator library loads, nothing is declared over it."""
    code = (
        "import drivewm._torchvision as shim, pathlib\n"
        "shim._loads = lambda directory: True\n"
        "print(shim.declare_missing_operators(pathlib.Path('.')), shim._library)"
    )
    assert run(code) == "False None"
