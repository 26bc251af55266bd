"""Dataset: the lazy Python API. Each method adds a step; nothing runs until a result is asked for.

>>> import raylib
>>> ds = raylib.read("pages/*.jsonl.gz").clean("wechat").exact_dedup()
>>> ds.count(), ds.rejected.to_pandas().groupby("reason").size()
"""

from __future__ import annotations

import atexit
import html
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raylib.cluster.connection import default_mode
from raylib.dataset.functions import Filter, Map
from raylib.dataset.rejected import Rejected
from raylib.engine import RunResult, run
from raylib.plugins import tool
from raylib.recipe import EngineOptions, InputOptions, OutputOptions, Recipe, StageSpec
from raylib.recipe.chains import source_chain
from raylib.stage import GlobalStage, stage_info, stage_names
from raylib.storage.store import Store

__all__ = ["Dataset", "read"]


def read(
    path: str | Path | Sequence[str | Path],
    *,
    kind: str = "auto",
    encoding: str = "auto",
    text: str | Sequence[str] | None = None,
    **options: Any,
) -> Dataset:
    """Start a dataset from a file, glob, folder, URI or a list of these. Reads nothing yet.

    Args:
        path: where the records are; jsonl, JSON arrays, Parquet, Arrow, CSV, TSV, text, zip and tar,
            also compressed by gzip, zstd, bz2 or xz.
        kind: auto, document, conversation, preference or safety.
        encoding: auto or a codec name.
        text: for documents, the field (or fields) that hold the text.
        options: further keys of the recipe's `input` section.

    Raises:
        RecipeError: for unknown options.
    """
    paths = [str(p) for p in path] if isinstance(path, (list, tuple)) else str(path)
    data = {"path": paths, "kind": kind, "encoding": encoding, **options}
    if text is not None:
        data["text"] = text if isinstance(text, str) else list(text)
    recipe = Recipe.from_dict({"input": data, "output": {"path": "-"}}, "read()")
    return Dataset(recipe.input)


@dataclass
class _Cache:
    """The result of a plan, shared by everything that looks at the same dataset."""

    result: RunResult | None = None
    index: Any = None


@dataclass(frozen=True)
class Dataset:
    """A plan over an input. Immutable: every method returns a new dataset.

    Small inputs run in this process; `.on("ray")` (or a Ray that is already initialised) runs the same
    plan on a cluster, with the same result.
    """

    input: InputOptions
    stages: tuple[StageSpec, ...] = ()
    engine: EngineOptions | None = None
    _cache: _Cache = field(default_factory=_Cache, compare=False, repr=False)

    # ---- steps --------------------------------------------------------------------------------

    def _with(self, *specs: StageSpec) -> Dataset:
        return replace(self, stages=(*self.stages, *specs), _cache=_Cache())

    def stage(self, name: str, **parameters: Any) -> Dataset:
        """Add any stage by its recipe name; `ds.stage("length", min=100)` is also `ds.length(min=100)`."""
        spec = StageSpec(name, parameters)
        spec.make()
        return self._with(spec)

    def __getattr__(self, name: str) -> Callable[..., Dataset]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            stage_info(name)
        except KeyError as error:
            raise AttributeError(f"Dataset has no method or stage {name!r}: {error.args[0]}") from None
        return lambda **parameters: self.stage(name, **parameters)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *stage_names()})

    def clean(self, source: str = "web") -> Dataset:
        """Add the ready chain of a source (`wechat`, `wiki`, `news`, ...) or of a YAML file with `stages`."""
        return self._with(*source_chain(source))

    def filter(self, condition: str | Callable[[pa.Table], Any] | pc.Expression) -> Dataset:
        """Keep records by an expression (`"length(text) > 200"`), an Arrow expression, or a function table -> booleans.

        What is filtered out is in `rejected` like everything else.
        """
        if isinstance(condition, str):
            return self.stage("keep_where", where=condition)
        label = str(condition) if isinstance(condition, pc.Expression) else getattr(condition, "__name__", "function")
        return self._with(StageSpec("filter", object=Filter(condition, f"not: {label}")))

    def map(self, function: Callable[[pa.Table], pa.Table]) -> Dataset:
        """Apply a function to tables of records; it may change and add columns but not rows."""
        return self._with(StageSpec("map", object=Map(function)))

    def score(self, *scorers: Any) -> Dataset:
        """Add scores as columns: `ds.score(ifd("path/to/model"), difficulty())`.

        A scorer is a stage object (see `quality.scorers`) or the name of a stage. Nothing is cut: look first, then
        `keep_where` or `select`.
        """
        return self._with(*(_spec_of(s) for s in scorers))

    def keep_where(self, where: str) -> Dataset:
        """Keep records for which a condition over columns holds: `ds.keep_where("ifd < 1 and quality >= 4")`."""
        return self.stage("keep_where", where=where)

    def select(
        self, k: int = 0, *, fraction: float = 0.0, by: str = "", diverse: bool = True, **parameters: Any
    ) -> Dataset:
        """Keep the best `k` records (or a fraction): `ds.select(k=2000, by="quality", diverse=True)`.

        With `diverse`, records too close to a better one are passed over (Deita's selection); the built-in embedding
        is added for that when the plan has none, and taken away again. `parameters` are those of the stage `select`.
        """
        method = parameters.pop("method", "deita" if diverse else "top")
        stage = StageSpec("select", {"k": k, "fraction": fraction, "by": by, "method": method, **parameters})
        stage.make()
        if method == "top" or any(s.name == "embed" for s in self.stages):
            return self._with(stage)
        return self._with(StageSpec("embed"), stage, StageSpec("drop_columns", {"columns": ("embedding",)}))

    def on(self, mode: str = "ray", **options: Any) -> Dataset:
        """Choose the engine: `ray` or `inline`, and its options (`actors=4`, `address="auto"`)."""
        recipe = Recipe.from_dict(
            {"input": {"path": "-"}, "output": {"path": "-"}, "engine": {"mode": mode, **options}}, "on()"
        )
        return replace(self, engine=recipe.engine, _cache=_Cache())

    # ---- results ------------------------------------------------------------------------------

    def recipe(self, output: str | Path = "-", **options: Any) -> Recipe:
        """The recipe of this plan."""
        engine = self.engine or EngineOptions(mode=default_mode())
        return Recipe("dataset", self.input, OutputOptions(path=str(output), **options), engine, self.stages)

    def write(self, path: str | Path, *, fresh: bool = False, **options: Any) -> RunResult:
        """Run the plan into a folder: kept and rejected records, summary and report, as `raylib run` does.

        `options` are keys of the recipe's `output` section (`format="jsonl"`).
        """
        return run(self.recipe(path, **options), fresh=fresh)

    def _result(self) -> RunResult:
        if self._cache.result is None:
            folder = tempfile.mkdtemp(prefix="raylib-dataset-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            self._cache.result = run(self.recipe(Path(folder) / "run", format="arrow"))
        return self._cache.result

    @property
    def summary(self) -> dict[str, Any]:
        """Counts by stage, reason and source (runs the plan)."""
        return self._result().summary

    def count(self) -> int:
        """Number of kept records."""
        return int(self.summary["records_kept"])

    def to_arrow(self) -> pa.Table:
        """All kept records as one table."""
        tables = list(self.iter_tables())
        return pa.concat_tables(tables, promote_options="default")

    def to_pandas(self) -> Any:
        """All kept records as a pandas DataFrame."""
        return self.to_arrow().to_pandas()

    def iter_tables(self) -> Iterator[pa.Table]:
        """Kept records, one table a shard: for results that do not fit into memory."""
        store = Store(self._result().path)
        for name in store.names("kept"):
            yield store.read_arrow(name).read_all()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for table in self.iter_tables():
            yield from table.to_pylist()

    def __len__(self) -> int:
        return self.count()

    def take(self, n: int = 5) -> list[dict[str, Any]]:
        """The first `n` kept records. Without global stages only as much input is read as needed."""
        if self._cache.result is None and n > 0:
            head = self._head(n)
            if head is not None:
                return head
        rows: list[dict[str, Any]] = []
        for table in self.iter_tables():
            rows += table.slice(0, n - len(rows)).to_pylist()
            if len(rows) >= n:
                break
        return rows

    def _head(self, n: int) -> list[dict[str, Any]] | None:
        if any(isinstance(s.make(), GlobalStage) for s in self.stages):
            return None
        with tempfile.TemporaryDirectory(prefix="raylib-head-") as folder:
            recipe = replace(self, engine=EngineOptions(mode="inline")).recipe(folder, format="arrow", samples=0)
            result = run(recipe, limit=max(1000, 20 * n))
            store = Store(result.path)
            rows = [r for name in store.names("kept") for r in store.read_arrow(name).read_all().to_pylist()]
            whole = result.summary["records_in"] < max(1000, 20 * n)
        return rows[:n] if len(rows) >= n or whole else None

    def similar(self, text: str, k: int = 5, min_similarity: float = 0.3) -> list[Any]:
        """The kept records most similar to a text, best first: `Match(id, source, similarity, text)`.

        Estimated Jaccard of character 5-grams, from a MinHash index that the first call makes (and runs the
        plan for). `raylib.open_index` asks an index that was saved.
        """
        if self._cache.index is None:
            folder = Path(tempfile.mkdtemp(prefix="raylib-index-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            self._cache.index = tool("similar")(folder, self.iter_tables())
        return list(self._cache.index.query(text, k=k, min_similarity=min_similarity))

    def plot_tsne(
        self,
        color: str = "source",
        *,
        compare: Dataset | None = None,
        points: int = 5000,
        embedding: str = "",
        seed: int = 0,
        path: str | Path | None = None,
    ) -> Any:
        """A t-SNE map of the kept records (runs the plan), as a matplotlib figure that a notebook shows.

        color: source, cluster, or any column. compare: another dataset, drawn beside this one in the same space.
        points: drawn at random from each. embedding: as of `raylib report diversity`. path: also write the
        interactive page (`diversity.html`) and the picture into this folder.
        """
        sets = {"records": self} if compare is None else {"before": self, "after": compare}
        tables = {name: ds.iter_tables() for name, ds in sets.items()}
        return tool("plot_tsne")(tables, path, points=points, embedding=embedding, seed=seed, colour=(color,))

    def show(self, n: int = 5, width: int = 300) -> None:
        """Print the first `n` kept records, each text cut to `width` characters."""
        for row in self.take(n):
            head = ", ".join(f"{k}={row[k]!r}" for k in ("id", "source") if row.get(k))
            text = row.get("text")
            if text is None:
                text = "\n".join(
                    f"[{m['role']}] {m['content']}" for m in row.get("messages") or row.get("prompt") or []
                )
            print(f"--- {head}\n{text[:width]}{'…' if len(text) > width else ''}")

    @property
    def rejected(self) -> Rejected:
        """The rejects: original records with stage, reason and detail (runs the plan)."""
        return Rejected(self._result())

    @property
    def report(self) -> Path:
        """Path of the HTML report (runs the plan)."""
        return Path(self._result().path) / "report.html"

    def plan(self) -> str:
        """The steps in words."""
        lines = [f"read {self.input.path} (kind={self.input.kind}, encoding={self.input.encoding})"]
        for spec in self.stages:
            shown = ", ".join(f"{k}={v!r}" for k, v in spec.parameters.items())
            if spec.object is not None:
                shown = getattr(spec.object, "label", repr(spec.object))
            lines.append(f"  {spec.name}({shown})")
        engine = (self.engine or EngineOptions(mode=default_mode())).mode
        lines.append(f"engine: {engine}; {'has run' if self._cache.result else 'not run yet'}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<raylib.Dataset\n{self.plan()}>"

    def _repr_html_(self) -> str:
        shown = f"<pre>{html.escape(self.plan())}</pre>"
        if self._cache.result is None:
            return shown
        summary = self._cache.result.summary
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{c['in']:,}</td><td>{c['rejected']:,}</td><td>{c['changed']:,}</td></tr>"
            for name, c in summary["by_stage"].items()
        )
        return (
            f"{shown}<p>{summary['records_in']:,} records in, {summary['records_kept']:,} kept, "
            f"{summary['records_rejected']:,} rejected</p>"
            f"<table><tr><th>stage</th><th>in</th><th>rejected</th><th>changed</th></tr>{rows}</table>"
        )


def _spec_of(scorer: Any) -> StageSpec:
    """The spec of a stage object, so that recipes and resume see its name and parameters."""
    if isinstance(scorer, str):
        spec = StageSpec(scorer)
        spec.make()
        return spec
    for name in stage_names():
        info = stage_info(name)
        if type(scorer) is info.make:
            given = {f: getattr(scorer, f) for f, default in info.parameters.items() if getattr(scorer, f) != default}
            return StageSpec(name, given)
    if callable(scorer):
        return StageSpec(type(scorer).__name__, object=scorer)
    raise TypeError(f"score: {scorer!r} is no stage; use one of quality.scorers, such as ifd('path/to/model')")
