"""Which file of a folder is the checkpoint, or what the folder is instead."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from cwda.checkpoints.foreign.folders import FOLDERS
from cwda.checkpoints.foreign.foreign import Glance, first_that_tells
from cwda.checkpoints.formats import holds_no_weights, is_usual_name
from cwda.checkpoints.shards import set_of
from cwda.containers.tensors import printable
from cwda.errors import SourceError, UnreadableError
from cwda.torch_files.distributed import METADATA
from cwda.torch_files.unzipped import is_unzipped
from cwda.zoo.download import HF_FILES

__all__ = ["checkpoint_in", "checkpoints_below"]

#: Files that lie next to a checkpoint and hold no weights.
_BESIDE = re.compile(
    r"\..*|.*\.(json|ya?ml|txt|md|py|log|csv|cfg|toml|png|jpe?g|svg|pdf|html|gitattributes)|"
    r"(random_states_\d+|scheduler|optimizer|scaler|training_args|rng_state(_\d+)?|sampler)"
    r"\.(pkl|bin|pt|pth)|latest|checkpoint|events\.out\..*|LICENSE|README",
    re.IGNORECASE,
)
_MAX_DEPTH = 4
#: Endings of other formats under which checkpoints are kept as well.
_ALSO = (".t7",)


def _ranks(names: set[str], pattern: str) -> list[str]:
    return [name for name in names if re.fullmatch(pattern, name)]


def checkpoint_in(folder: Path, depth: int = 0) -> Path:
    """The file, index or metadata to read in a folder.

    Raises
    ------
    SourceError
        If there is none, or more than one.
    UnreadableError
        If it is the folder of a format that is not read.
    """
    children = {child.name: child for child in sorted(folder.iterdir())}
    files = {name for name, child in children.items() if child.is_file()}
    if METADATA in files:
        return folder / METADATA
    if is_unzipped(folder):
        return folder / "data.pkl"
    if line := first_that_tells(FOLDERS, Glance(folder, names=frozenset(children))):
        raise UnreadableError(line)
    candidates = _candidates(files)
    if len(candidates) > 1:
        weights = [name for name in candidates if not holds_no_weights(folder / name)]
        candidates = weights or candidates
    if len({set_of(name) for name in candidates}) == 1:  # one file, or all its shards
        return folder / candidates[0]
    if candidates:
        raise SourceError(_several(folder, candidates))
    below = _below(folder, children)
    if below is not None and depth < _MAX_DEPTH:
        return checkpoint_in(below, depth + 1)
    raise SourceError("a folder without a checkpoint; give the file itself" + _hint(children))


def checkpoints_below(folder: Path) -> list[Path]:
    """All checkpoints in a folder and the folders in it, by the endings of their names.

    Of several shards there is the first alone, and of a folder that is one checkpoint itself the
    folder. Hidden files and folders are left out, and files that lie next to a checkpoint, such
    as an optimiser's.
    """
    try:
        children = sorted(folder.iterdir())
    except OSError:  # not ours to read
        return []
    visible = [child for child in children if not child.name.startswith(".")]
    files = [child for child in visible if child.is_file()]
    if any(child.name == METADATA for child in children) or is_unzipped(folder):
        return [folder]
    sets = {
        set_of(file.name): file
        for file in reversed(files)
        if (is_usual_name(file.name) or file.suffix in _ALSO) and not _BESIDE.fullmatch(file.name)
    }
    found = sorted(sets.values())
    for child in visible:
        if child.is_dir() and not child.is_symlink():
            found += checkpoints_below(child)
    return found


def _several(folder: Path, names: list[str]) -> str:
    """Why a folder is not one network, and what to give instead."""
    shown = ", ".join(printable(name) for name in names[:4]) + ", ..." * (len(names) > 4)
    place = printable(shlex.quote(f"{folder}"))
    each = " ".join(
        f"{place}/*{suffix}" for suffix in sorted({Path(name).suffix for name in names})
    )
    return (
        f"a folder with {len(names)} checkpoints ({shown}); name one, or all of them as in "
        f"`cwda-test {each}`; `cwda survey {place} --output FOLDER` measures those in folders "
        "below it too"
    )


def _candidates(files: set[str]) -> list[str]:
    """Names of the most usual kind there is: an index, the hub's names, others."""
    indices = sorted(name for name in files if name.endswith((".index.json", ".weights.json")))
    hub = [name for name in HF_FILES if name in files]
    states = sorted(_ranks(files, r"mp_rank_\d+_model_states\.pt|model_optim_rng\.pt"))
    beside = {name for name in files if _BESIDE.fullmatch(name)}
    usual = sorted(name for name in files - beside if is_usual_name(name))
    others = sorted(files - beside)
    return indices or hub[:1] or states or usual or others


def _below(folder: Path, children: dict[str, Path]) -> Path | None:
    """The folder that the programs' own notes of the latest checkpoint name."""
    for note, prefix in (("latest", ""), ("latest_checkpointed_iteration.txt", "iter_")):
        path = children.get(note)
        if path is None or not path.is_file() or path.stat().st_size > 1000:
            continue
        word = path.read_text("utf-8", "replace").strip()
        name = f"{prefix}{word.zfill(7)}" if prefix else word
        if name in children and children[name].is_dir():
            return children[name]
    single = [child for name, child in children.items() if re.fullmatch(r"mp_rank_0+", name)]
    return single[0] if single and single[0].is_dir() else None


def _hint(children: dict[str, Path]) -> str:
    """Folders below, where the checkpoint may be."""
    below = [name for name, child in children.items() if child.is_dir()]
    if not below:
        return ""
    return f", or one of its folders ({printable(', '.join(below[:4]))[:80]})"
