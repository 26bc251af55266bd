"""Loading fastText models, and label probabilities that are right under NumPy 2."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Protocol

from raylib.errors import ParameterError
from raylib.extras import optional
from raylib.file_cache import kept_while_unchanged

__all__ = ["FastTextModel", "fasttext_module", "label_probabilities", "load_model", "read_model"]


_MAGIC, _VERSIONS = 793712314, (11, 12)
_HEADER = struct.Struct("<2i12id3i2q")  # sign and version, 13 arguments, and sizes of the dictionary
_MOST_DIMENSIONS = 10_000
_SUPERVISED = 3  # the kind of model whose outputs are labels
_ENTRY = 10  # bytes of an entry at least: the end of its word, a count and a kind
_CHUNK = 1 << 20
_SHAPE = struct.Struct("<2q")


class _Binding(Protocol):
    """The compiled object below a model of the Python package."""

    def predict(self, text: str, k: int, threshold: float, on_unicode_error: str) -> Iterable[tuple[float, str]]:
        """Pairs of probability and label."""
        ...


class FastTextModel(Protocol):
    """A fastText model, as far as this package uses one."""

    @property
    def f(self) -> _Binding:
        """The compiled object."""
        ...


def fasttext_module() -> ModuleType:
    """The package `fasttext`, without its message about a deprecated method.

    Raises:
        RaylibError: if it is not installed.
    """
    fasttext: ModuleType = optional("fasttext", purpose="a fastText model")
    fasttext.FastText.eprint = lambda *_args, **_options: None
    return fasttext


@kept_while_unchanged(4)
def load_model(path: str) -> FastTextModel:
    """Load a fastText model, once in each process; see `read_model`."""
    return read_model(path)


def read_model(path: str) -> FastTextModel:
    """Read a fastText model from a file whose sizes fit together.

    Args:
        path: Path of a fastText .bin file.

    Raises:
        ParameterError: if there is no such file, or it is damaged or no fastText model.
        RaylibError: if the package `fasttext` is not installed.
    """
    if not Path(path).is_file():
        raise ParameterError(f"model must be the path of a fastText .bin file; there is no file {path!r}")
    module = fasttext_module()
    problem = _problem(Path(path))
    if problem:
        raise ParameterError(f"{path} is not a fastText model: {problem}")
    try:
        model: FastTextModel = module.load_model(path)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ParameterError(f"{path} is not a fastText model: {error}") from None
    return model


def _problem(path: Path) -> str:
    """Why a file is no fastText model; empty if its sizes fit together.

    fastText's parser believes the sizes that a file names: it would allocate and read beyond what is there.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
        if len(head) < _HEADER.size:
            return "it is too short"
        magic, version, dimensions, *arguments = _HEADER.unpack(head)
        if magic != _MAGIC or version not in _VERSIONS:
            return "it does not begin like one"
        buckets, (entries, words, labels, _, pruned) = arguments[7], arguments[-5:]
        if not 0 < dimensions <= _MOST_DIMENSIONS or buckets < 0:
            return f"it names {dimensions} dimensions and {buckets} buckets"
        if min(entries, words, labels) < 0 or entries != words + labels or entries * _ENTRY > size:
            return f"it names {entries} entries of a dictionary, more than it has room for"
        if pruned < -1 or max(pruned, 0) * 8 > size:
            return "its dictionary is damaged"
        if not _skip_entries(file, entries):
            return "its dictionary is cut"
        file.seek(max(pruned, 0) * 8, 1)
        supervised = arguments[6] == _SUPERVISED
        rows = (words + (pruned if pruned >= 0 else buckets), labels if supervised else words)
        return _problem_of_matrices(file, size, dimensions, rows)


def _skip_entries(file: BinaryIO, entries: int) -> bool:
    """Read over the words of a dictionary, each with a count and a kind; False if they are cut."""
    held, at = b"", 0
    for _ in range(entries):
        end = held.find(b"\0", at)
        while end < 0 or end + _ENTRY > len(held):
            more = file.read(_CHUNK)
            if not more or len(held) - at > _CHUNK:
                return False
            held, at = held[at:] + more, 0
            end = held.find(b"\0")
        at = end + _ENTRY
    file.seek(at - len(held), 1)
    return True


def _problem_of_matrices(file: BinaryIO, size: int, dimensions: int, wanted: tuple[int, int]) -> str:
    """Why the two matrices of a model cannot be what their sizes say; empty if they can."""
    for least in wanted:
        quantised = file.read(1)
        if quantised not in (b"\0", b"\1"):
            return "it is cut"
        if quantised == b"\1":  # packed: its sizes are only bounded
            file.read(1)
        head = file.read(_SHAPE.size)
        if len(head) < _SHAPE.size:
            return "it is cut"
        rows, columns = _SHAPE.unpack(head)
        if rows < least or columns != dimensions:
            return f"it names a matrix of {rows} x {columns} numbers, and needs {least} x {dimensions}"
        if quantised == b"\1":
            codes = int.from_bytes(file.read(4), "little", signed=True)
            return "" if 0 <= codes <= size and rows <= size else "it names a matrix larger than the file"
        if rows * columns * 4 > size - file.tell():
            return f"it names a matrix of {rows} x {columns} numbers, more than it has room for"
        file.seek(rows * columns * 4, 1)
    return ""


def label_probabilities(model: FastTextModel, sentence: str) -> dict[str, float]:
    """Probability of every label for one segmented line.

    Calls the binding below `predict`: with NumPy 2, `predict` raises for one string, and for a list it gives every
    label the probability of the first.

    Args:
        model: The model.
        sentence: Words separated by spaces, without a newline.
    """
    return {label: float(p) for p, label in model.f.predict(sentence + "\n", -1, 0.0, "strict")}
