"""The order of the packages, and what no file of the package may do. Read from the syntax tree: nothing is run."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "drivewm"

# Data flows down this list: a package imports only from those before it.
ORDER = [
    "host",
    "geometry",
    "structures",
    "dynamics",
    "evaluation",
    "simulation",
    "data",
    "layers",
    "tokenizers",
    "world_model",
    "planning",
    "closed_loop",
    "visualization",
    "engine",
]
MAX_LINES = 350
PICKLES = ("pickle", "dill", "cloudpickle", "shelve", "joblib")
UNPICKLES = "drivewm/data/pandas_pickle.py"  # the one place, which runs nothing that a pickle names

FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in FILES}


def imported_packages(tree: ast.AST, path: Path) -> set[tuple[str, int]]:
    """The subpackages of drivewm that a file imports, with the line."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # relative: resolve against the file's own package
                parents = path.relative_to(ROOT).with_suffix("").parts
                base = ".".join(parents[: len(parents) - node.level])
                module = f"{base}.{node.module}" if node.module else base
            else:
                module = node.module
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "drivewm" and len(parts) > 1:
                found.add((parts[1], node.lineno))
    return found


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_package_has_its_place():
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert packages <= set(ORDER), f"not in the order of packages: {sorted(packages - set(ORDER))}"
    missing = [relative(PACKAGE / name) for name in packages if not (PACKAGE / name / "__init__.py").exists()]
    assert not missing, f"packages without __init__.py: {missing}"


def test_packages_import_only_from_those_before():
    wrong = []
    for path, tree in TREES.items():
        own = path.relative_to(PACKAGE).parts[0]
        if own not in ORDER:  # drivewm/__init__.py and its private helpers stand before all packages
            allowed = {"_torchvision"}
        else:
            allowed = set(ORDER[: ORDER.index(own) + 1]) | {"__version__"}
        found = sorted(imported_packages(tree, path))
        wrong += [f"{relative(path)}:{line} imports drivewm.{name}" for name, line in found if name not in allowed]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import drivewm.engine.hooks", {"engine"}),
        ("from drivewm import engine", {"engine"}),
        ("from drivewm.data import index", {"data"}),
        ("def f():\n    from ..tokenizers import vq", {"tokenizers"}),
        ("import numpy", set()),
    ],
)
def test_the_reader_of_imports_sees(source, expected):
    path = PACKAGE / "geometry" / "boxes.py"
    assert {name for name, _ in imported_packages(ast.parse(source), path)} == expected


def test_files_stay_short():
    tools = [path for folder in ("tools", "configs") for path in (ROOT / folder).rglob("*.py")]
    lengths = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in [*FILES, *tools]}
    long = {name: length for name, length in lengths.items() if length > MAX_LINES}
    assert not long, f"split by idea, at most {MAX_LINES} lines: {long}"


def test_files_say_what_they_are_about():
    missing = [relative(path) for path, tree in TREES.items() if not ast.get_docstring(tree)]
    assert not missing, f"no module docstring: {missing}"


def forbidden(tree: ast.AST) -> list[tuple[int, str]]:
    """What the house rules keep out of the package: (line, what)."""
    found = []
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and [a.name for a in node.names] != ["UnpicklingError"]:  # may be caught
            modules.append(node.module or "")
        if any(module.split(".")[0] in PICKLES for module in modules):
            found.append((node.lineno, "imports a pickle module"))
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append((node.lineno, "bare except"))
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append((node.lineno, "print"))
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if (keyword.arg, value) in (("allow_pickle", True), ("strict", False), ("weights_only", False)):
                    # zip(strict=False) pairs sequences; it is no loader
                    if not (keyword.arg == "strict" and isinstance(node.func, ast.Name) and node.func.id == "zip"):
                        found.append((node.lineno, f"{keyword.arg}={value}"))
    return found


def test_house_rules():
    found = [(relative(path), line, what) for path, tree in TREES.items() for line, what in forbidden(tree)]
    allowed = (UNPICKLES, "imports a pickle module")
    wrong = [f"{path}:{line} {what}" for path, line, what in found if (path, what) != allowed]
    assert not wrong, "\n".join(wrong)
    assert sum((path, what) == allowed for path, _, what in found) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import load",
        "np.load(p, allow_pickle=True)",
        "m.load_state_dict(s, strict=False)",
        "torch.load(p, weights_only=False)",
        "print(1)",
        "try:\n    x()\nexcept:\n    pass",
    ],
)
def test_the_reader_of_rules_sees(source):
    assert len(forbidden(ast.parse(source))) == 1


def test_nothing_names_a_machine():
    """No path of somebody's machine in what is shipped."""
    homes = [f"/{name}/" for name in ("root", "home", "work", "tmp")]
    shipped = [*FILES, ROOT / "README.md", ROOT / "Makefile", ROOT / "setup.py"]
    for folder in ("tools", "configs", "docs"):
        shipped += [path for path in (ROOT / folder).rglob("*.*") if path.suffix in (".py", ".md")]
    texts = {relative(path): path.read_text(encoding="utf-8") for path in shipped}
    wrong = [f"{name} names {home}" for name, text in texts.items() for home in homes if home in text]
    assert not wrong, "\n".join(wrong)
