"""Does a cleaning recipe make better text to learn from? Character 5-gram models of equal size answer in minutes.

    python examples/ablation_ngram.py --data 'data/*.jsonl.gz' --hold-out law encyclopedia --eval exam=exam.jsonl.gz \
        --recipe new=recipes/pretrain_zh.yaml --recipe old=out/earlier_run --characters 8000000

Some documents are held out as they are, before any recipe sees them, and what resembles them leaves the pool. Of the
rest, each arm gives the same number of characters to a model: the raw text, the output of each recipe, and three
controls of the first recipe: `random` (random documents of as many characters as the recipe kept), `mixture` (raw text
in the recipe's shares of sources) and `selection` (the raw text of the documents it kept). Printed are bits a character
on every held-out domain, with the standard error of the difference to raw text over seeds that draw the documents.
White space is evened out in all texts, and tags of HTML are taken out of what is held out, as its readers see it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, from any folder

from examples.held_out import Document, as_read, documents, even, split
from examples.kneser_ney import Ids, KneserNey, Real


def run_recipe(recipe: Path, pool: Sequence[Document]) -> list[Document]:
    """What a recipe makes of documents.

    Args:
        recipe: Path of the recipe.
        pool: The documents.
    """
    from raylib.engine import run
    from raylib.recipe import Recipe

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        path.write_bytes(b"".join(_line(d) for d in pool))
        settings = {"input.path": str(path), "output.path": f"{folder}/out", "output.format": "jsonl"}
        run(Recipe.from_file(recipe, settings))
        return list(documents([f"{folder}/out/kept"]))


def _line(document: Document) -> bytes:
    return orjson.dumps({"id": document.id, "source": document.source, "text": document.text}) + b"\n"


@dataclass(frozen=True)
class Arm:
    """Documents to learn from, in groups that each give a share of the characters.

    Attributes:
        groups: The documents of each group.
        shares: Share of the characters of each group.
    """

    groups: list[list[Document]]
    shares: list[float]

    @classmethod
    def of(cls, listed: list[Document]) -> Arm:
        """An arm of documents that are drawn alike."""
        return cls([listed], [1.0])

    def drawn(self, characters: int, seed: int) -> list[str]:
        """Texts of random documents that have a number of characters together; the last of a group is cut."""
        rng = np.random.default_rng(seed)
        texts: list[str] = []
        for group, share in zip(self.groups, self.shares, strict=True):
            left = round(characters * share)
            for i in rng.permutation(len(group)).tolist():
                text = even(group[i].text)[:left]
                texts.append(text)
                left -= len(text)
                if left <= 0:
                    break
        return texts


def _size(listed: Iterable[Document]) -> int:
    return sum(len(d.text) for d in listed)


def _by_source(listed: Iterable[Document]) -> dict[str, list[Document]]:
    out: dict[str, list[Document]] = defaultdict(list)
    for document in listed:
        out[document.source].append(document)
    return out


def controls(pool: Sequence[Document], kept: Sequence[Document]) -> dict[str, Arm]:
    """Raw text, and raw text that was chosen in other ways than by the recipe.

    Args:
        pool: The raw documents.
        kept: What the recipe made of them.

    Returns:
        The arms `raw`, `random`, `mixture` and `selection`.
    """
    raw = {d.id: d for d in pool}
    order = np.random.default_rng(0).permutation(len(pool)).tolist()
    ends = np.cumsum([len(pool[i].text) for i in order])
    number = int(np.searchsorted(ends, _size(kept))) + 1
    sources = _by_source(pool)
    shares = {source: _size(listed) for source, listed in _by_source(kept).items() if source in sources}
    return {
        "raw": Arm.of(list(pool)),
        "random": Arm.of([pool[i] for i in order[:number]]),
        "mixture": Arm([sources[s] for s in shares], [size / sum(shares.values()) for size in shares.values()]),
        "selection": Arm.of([raw[d.id] for d in kept if d.id in raw]),
    }


# --- the comparison --------------------------------------------------------------------------------------------------


class _Alphabet:
    """Numbers of the characters that occur anywhere, the same for every arm."""

    def __init__(self, texts: Iterable[str]) -> None:
        codes: set[str] = set()
        for text in texts:
            codes.update(text)
        self._codes = np.sort(np.array([ord(c) for c in codes], np.int64))

    def __len__(self) -> int:
        return len(self._codes) + 1

    def numbers(self, text: str) -> Ids:
        """Numbers of the characters of a text, from 1."""
        values = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return np.searchsorted(self._codes, values).astype(np.int64) + 1


def compare(
    tested: Mapping[str, Arm], held: Mapping[str, list[Document]], *, seeds: int, characters: int, most: int
) -> dict[str, Real]:
    """Bits a character of models of every arm.

    Args:
        tested: The arms by name.
        held: Held-out documents by domain.
        seeds: Number of draws of every arm.
        characters: Number of characters that a model learns from; less if an arm has fewer.
        most: Number of characters of a domain that are judged.

    Returns:
        Bits by arm, `[seeds, domains]`.
    """
    characters = min([characters, *(_size(d for group in arm.groups for d in group) for arm in tested.values())])
    shown = {name: [replace(d, text=as_read(d.text)) for d in listed] for name, listed in held.items()}
    domains = {name: Arm.of(listed).drawn(most, 0) for name, listed in shown.items()}
    groups = [group for arm in tested.values() for group in arm.groups]
    alphabet = _Alphabet([*(d.text for g in groups for d in g), *(t for listed in domains.values() for t in listed)])
    numbered = [[alphabet.numbers(text) for text in listed] for listed in domains.values()]
    print(f"{characters:,} characters an arm, {len(alphabet) - 1:,} different ones, {seeds} seeds")
    out: dict[str, Real] = {}
    for name, arm in tested.items():
        rows: list[list[float]] = []
        for seed in range(seeds):
            model = KneserNey(len(alphabet)).fit([alphabet.numbers(t) for t in arm.drawn(characters, seed)])
            rows.append([model.bits(listed) for listed in numbered])
        out[name] = np.array(rows)
        print(f"  {name}: {out[name].mean():.3f}", file=sys.stderr)
    return out


def table(domains: Sequence[str], bits: Mapping[str, Real], reference: str = "raw") -> str:
    """The comparison as a table of Markdown: each arm's bits, and its difference to the reference.

    Args:
        domains: Names of the domains.
        bits: Bits by arm, `[seeds, domains]`.
        reference: The arm that the others are compared with.
    """
    lines = ["| domain | " + " | ".join(bits) + " |", "|---" * (len(bits) + 1) + "|"]
    for i, domain in enumerate([*domains, "mean"]):
        cells = [domain]
        base = bits[reference].mean(axis=1) if domain == "mean" else bits[reference][:, i]
        for name, values in bits.items():
            own = values.mean(axis=1) if domain == "mean" else values[:, i]
            change = own - base
            error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else 0.0
            shown = f"{own.mean():.3f}"
            cells.append(shown if name == reference else f"{shown} ({change.mean():+.3f} ± {error:.3f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _named(items: Sequence[str]) -> dict[str, str]:
    pairs = [item.split("=", 1) if "=" in item else [Path(item).name.split(".")[0], item] for item in items]
    return dict(pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Hold out, clean, train and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="JSON lines files of documents, or patterns.")
    parser.add_argument("--hold-out", nargs="*", default=[], help="Sources of which a tenth is held out.")
    parser.add_argument("--eval", nargs="*", default=[], help="NAME=FILE: further held-out domains.")
    parser.add_argument("--recipe", action="append", default=[], help="NAME=PATH: a recipe, or the output of one.")
    parser.add_argument("--seeds", type=int, default=5, help="Number of draws of documents.")
    parser.add_argument("--characters", type=int, default=8_000_000, help="Number of characters a model learns from.")
    parser.add_argument("--most", type=int, default=100_000, help="Number of characters of a domain that are judged.")
    parser.add_argument("--pool", type=Path, help="File that the pool of documents is written to.")
    options = parser.parse_args(arguments)
    evaluation = {name: list(documents([path])) for name, path in _named(options.eval).items()}
    pool, held = split(documents(options.data), options.hold_out, evaluation)
    for name, listed in held.items():
        print(f"{name}: {len(listed)} documents held out, {_size(listed):,} characters")
    if options.pool:
        options.pool.write_bytes(b"".join(map(_line, pool)))
    names = {d.id for d in pool}
    made: dict[str, list[Document]] = {}
    for name, path in _named(options.recipe).items():
        output = run_recipe(Path(path), pool) if path.endswith((".yaml", ".yml")) else documents([path])
        made[name] = [d for d in output if d.id in names]
        print(f"{name}: {len(made[name]):,} of {len(pool):,} documents, {_size(made[name]):,} characters")
    if made:
        tested = controls(pool, next(iter(made.values()))) | {name: Arm.of(listed) for name, listed in made.items()}
        bits = compare(tested, held, seeds=options.seeds, characters=options.characters, most=options.most)
        print(table(list(held), bits))


if __name__ == "__main__":
    main()
