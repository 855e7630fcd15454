"""Arrows point down: a room imports only rooms of lower floors."""

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "cwda"

#: From the ground up; rooms of one floor do not know each other.
FLOORS = (
    {"brief", "choices", "errors", "formatting", "sharing", "typing", "_version"},
    {"arguments"},
    {"progress"},
    {"files", "layers", "numerics"},
    {"filters"},
    {"answers"},
    {"grid"},
    {"containers", "models"},
    {"torch_files", "tracing", "zoo"},
    {"keras_files", "onnx_files"},
    {"checkpoints", "convolutions"},
    {"loading"},
    {"conditions", "coupling"},
    {"callbacks", "scoring", "textbook_tests", "theory"},
    {"pruning", "torch_pruning"},
    {"comparison", "calibration", "experiment"},
    {"advice", "population", "surveys"},
    {"figures"},
    {"study", "reporting"},
    {"reproduction"},
    {"cli"},
    {"__main__"},
)
#: A folder that fits into one glance.
MOST_FILES = 15
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
LIBRARIES_OF_NUMERICS = {"__future__", "cwda", "collections", "concurrent", "dataclasses"}
LIBRARIES_OF_NUMERICS |= {
    "contextlib",
    "functools",
    "itertools",
    "logging",
    "math",
    "numpy",
    "scipy",
    "torch",
    "typing",
}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Modules that a file names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "cwda":
                yield from (f"cwda.{name.name}" for name in node.names)
            else:
                yield node.module


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def rooms_imported(path):
    """The other rooms that a file imports from."""
    parts = (module.split(".") for module in imported(path))
    rooms = {each[1] for each in parts if each[0] == "cwda" and len(each) > 1}
    return (rooms & set(FLOOR)) - {room_of(path)}


def test_arrows_point_down():
    upward = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in FILES
        for other in rooms_imported(path)
        if FLOOR[other] >= FLOOR[room_of(path)]
    ]
    assert upward == []


def test_numerics_knows_no_layer_no_table_and_no_file():
    for path in (PACKAGE / "numerics").glob("*.py"):
        assert {module.split(".")[0] for module in imported(path)} <= LIBRARIES_OF_NUMERICS, path


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in FILES}
    assert rooms == set(FLOOR)


def test_no_room_outgrows_the_house():
    lines = Counter()
    for path in FILES:
        lines[room_of(path)] += len(path.read_text().splitlines())
    [(room, most)] = lines.most_common(1)
    assert most < 0.1 * lines.total(), f"{room} holds a tenth of the code; divide it by trade"


def test_no_folder_needs_a_search():
    files = Counter(path.parent for path in FILES)
    full = [str(folder.relative_to(PACKAGE)) for folder, n in files.items() if n > MOST_FILES]
    assert full == [], f"more than {MOST_FILES} files in one folder"
