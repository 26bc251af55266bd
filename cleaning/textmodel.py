"""The bundled model of text quality: a linear classifier over hashed character n-grams and a few counts.

It tells five classes: `good` text; `advert` (spam, offers, stuffed and empty articles, shop fronts of apps); `page`
(notices, menus, forms, templates); `spun` (synonyms put in by a program, machine translation); `broken` (scans,
mojibake, random characters). `python -m cleaning.train_textmodel` makes it again.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cleaning.chinese_scripts import simplified_table
from cleaning.codepoints import CodePoints, Flags, codepoints, flags, han_flags, han_table, share, table_of

__all__ = ["CLASSES", "Features", "TextModel", "features", "load_textmodel"]

CLASSES = ("good", "advert", "page", "spun", "broken")
BUCKETS = 1 << 16
KNOWN = 1 << 21
SAMPLE = 2400
"""Number of characters of a long text that are looked at: from its start, its middle and its end."""
SCALE = 40.0
USUAL = 0.15
"""Share of unknown pairs that a good text of an unknown subject reaches; only what is above it counts."""
_SALTS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D], np.uint32)
_MARKS = table_of("，。！？；：、“”（）《》…—,.!?;:")
_CLOSING = table_of("。！？.!?；;")


@functools.lru_cache(maxsize=1)
def _plain_table() -> npt.NDArray[np.uint32]:
    """What n-grams see: digits are one digit, letters are lower case, marks and white space are of one kind.

    Traditional characters are simplified and marks are wide, because few sources write otherwise: the model would take
    the script or the marks of a source for a sign that its text is bad.
    """
    table = simplified_table().astype(np.uint32)
    for narrow, wide in zip(",;:!?()", "，；：！？（）", strict=True):
        table[ord(narrow)] = ord(wide)
    table[ord("0") : ord("9") + 1] = ord("0")
    table[0xFF10:0xFF1A] = ord("0")
    for first in (ord("A"), 0xFF21):
        table[first : first + 26] = np.arange(ord("a"), ord("a") + 26)
    table[0xFF41 : 0xFF41 + 26] = np.arange(ord("a"), ord("a") + 26)
    table[[0x09, 0x0A, 0x0D, 0xA0, 0x3000]] = ord(" ")
    return table


_SPACE, _WIDE = 1, 2


@functools.lru_cache(maxsize=1)
def _spacing_table() -> npt.NDArray[np.uint8]:
    """Which characters are spaces, and which are so wide that a space beside them says nothing."""
    table = np.zeros(0x10000, np.uint8)
    table[han_table() | table_of("，。！？；：、“”‘’（）《》「」『』【】…—")] = _WIDE
    table[[0x09, 0x20, 0xA0, 0x3000]] = _SPACE
    return table


@dataclass(frozen=True)
class Features:
    """What the model sees of N texts.

    Attributes:
        grams: For n of 1, 2 and 3, the bucket of every n-gram of every text, one text after the other.
        counts: Dense features, float32, [N, D].
        pairs: Hash of every pair of neighbouring Han characters, one text after the other.
    """

    grams: tuple[CodePoints, ...]
    counts: npt.NDArray[np.float32]
    pairs: CodePoints

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of n-grams of each text, [N]."""
        return np.asarray(np.sum([part.lengths for part in self.grams], axis=0), np.int64)


def _sampled(view: CodePoints) -> CodePoints:
    """The start, middle and end of long texts; short texts whole."""
    lengths = view.lengths
    if len(lengths) == 0 or lengths.max() <= SAMPLE:
        return view
    third = SAMPLE // 3
    pieces: list[npt.NDArray[np.unsignedinteger]] = []
    for first, length in zip(view.starts[:-1].tolist(), lengths.tolist(), strict=True):
        text = view.values[first : first + length]
        if length > SAMPLE:
            middle = (length - third) // 2
            text = np.concatenate([text[:third], text[middle : middle + third], text[-third:]])
        pieces.append(text)
    starts = np.concatenate([[0], np.cumsum([len(p) for p in pieces])])
    return CodePoints(np.concatenate(pieces), starts)


def _joined(view: CodePoints) -> CodePoints:
    """Texts without the spaces beside Han characters and their marks.

    Words that a program told apart, verses and titles have them; so do bad scans, which are known by their characters.
    """
    kinds = _spacing_table()[view.narrow]
    space, wide = kinds == _SPACE, kinds == _WIDE
    if not space.any():
        return view
    goes = np.zeros(len(space), np.bool_)
    goes[1:] = space[1:] & wide[:-1]
    goes[:-1] |= space[:-1] & wide[1:]
    return CodePoints(view.values[~goes], _starts(view.lengths - view.count(goes)))


def features(texts: pa.Array) -> Features:
    """Features of texts.

    Args:
        texts: String array, N texts; a null counts as an empty text.
    """
    view = _joined(_sampled(codepoints(texts)))
    plain = _plain_table()[view.narrow]
    han = han_flags(view)
    total = len(plain)
    inside = np.ones(total, np.bool_)  # whether the n-gram that begins here stays in its text
    gram = plain * _SALTS[0]
    grams = [CodePoints(_bucket(gram), view.starts)]
    pairs = CodePoints(np.zeros(0, np.uint32), np.zeros(len(view.starts), np.int64))
    for n in (2, 3):
        if total < n:
            grams.append(CodePoints(np.zeros(0, np.uint32), np.zeros(len(view.starts), np.int64)))
            continue
        inside = inside[: total - n + 1].copy()
        border = view.starts[1:] - n + 1
        inside[border[(border >= 0) & (border < len(inside))]] = False
        gram = gram[: total - n + 1] * np.uint32(31) + plain[n - 1 :] * _SALTS[n - 1]
        grams.append(CodePoints(_bucket(gram[inside]), _starts(np.maximum(view.lengths - n + 1, 0))))
        if n == 2:
            both = inside & han[:-1] & han[1:]
            pair = gram[both]
            pair ^= pair >> np.uint32(15)
            pairs = CodePoints((pair * _SALTS[2]) >> np.uint32(11), _starts(view.count(np.append(both, False))))
    return Features(tuple(grams), _counts(view, han), pairs)


def _starts(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)])


def _bucket(gram: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    mixed = gram ^ (gram >> np.uint32(15))
    mixed *= _SALTS[0]
    return np.asarray(mixed >> np.uint32(16), np.uint16)


def _counts(view: CodePoints, han: Flags) -> npt.NDArray[np.float32]:
    lengths = view.lengths
    value = view.values
    parts = (
        share(view.count(han), lengths, empty=0.0),
        share(view.count(flags(view, _MARKS)), lengths, empty=0.0),
        share(view.count(flags(view, _CLOSING)), lengths, empty=0.0),
        share(view.count((value >= 48) & (value < 58)), lengths, empty=0.0),
        share(view.count(value == 32), lengths, empty=0.0),
        share(view.count(value == 10), lengths, empty=0.0),
        np.minimum(np.log1p(lengths) / 8, 1.0),
    )
    return np.stack(parts, axis=1).astype(np.float32)


@dataclass(frozen=True)
class TextModel:
    """The classifier.

    Attributes:
        weights: Weights of the buckets in steps, int8, [BUCKETS, C].
        step: Size of a step of each class, float32, [C].
        dense: Weights of the dense features, the last of which is the share of unknown pairs, float32, [D + 1, C].
        bias: Bias of each class, float32, [C].
        known: One bit for each hash of a pair of characters that good text has, uint8, [KNOWN / 8].
    """

    weights: npt.NDArray[np.int8]
    step: npt.NDArray[np.float32]
    dense: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    known: npt.NDArray[np.uint8]

    def unknown(self, seen: Features) -> npt.NDArray[np.float64]:
        """Share of pairs of characters that good text does not have, beyond what is usual of a new subject, [N]."""
        pairs = seen.pairs.values
        missing = (self.known[pairs >> np.uint32(3)] >> (pairs & np.uint32(7)).astype(np.uint8)) & 1 == 0
        return np.maximum(share(seen.pairs.count(missing), seen.pairs.lengths, empty=0.0) - USUAL, 0.0)

    @functools.cached_property
    def _by_class(self) -> list[npt.NDArray[np.int8]]:
        return [np.ascontiguousarray(self.weights[:, c]) for c in range(self.weights.shape[1])]

    def probabilities(self, texts: pa.Array) -> npt.NDArray[np.float32]:
        """Probability of each class.

        Args:
            texts: String array, N texts; a null counts as an empty text.

        Returns:
            Probabilities in the order of CLASSES, [N, C].
        """
        seen = features(texts)
        sums = [sum(part.count(weights[part.values]) for part in seen.grams) for weights in self._by_class]
        mean = np.stack(sums, axis=1) * self.step * SCALE / np.maximum(seen.lengths, 1)[:, None]
        dense = np.concatenate([seen.counts, self.unknown(seen)[:, None].astype(np.float32)], axis=1)
        logits = mean + dense @ self.dense + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


@functools.lru_cache(maxsize=1)
def load_textmodel() -> TextModel:
    """The model that comes with the package."""
    with np.load(Path(__file__).with_name("textmodel.npz")) as file:
        return TextModel(**{name: file[name] for name in ("weights", "step", "dense", "bias", "known")})
