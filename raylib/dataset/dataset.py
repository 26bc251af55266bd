"""Dataset, the lazy Python API: each method adds a step, and nothing runs until a result is asked for."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from raylib.cluster.connection import default_mode
from raylib.dataset.display import html_of, plan_text, text_of_row
from raylib.dataset.functions import Condition, filter_of, map_of, spec_of
from raylib.dataset.rejected import Rejected
from raylib.dataset.results import Cache, Row, as_pandas, first_rows, head, kept_tables, temporary_folder
from raylib.dataset.stage_method import stage_method
from raylib.engine import RunResult, run
from raylib.errors import UnknownNameError
from raylib.messages import rows_of
from raylib.plugins import tool
from raylib.recipe import EngineOptions, InputOptions, Recipe, StageSpec
from raylib.recipe.chains import source_chain
from raylib.stage import GlobalStage, stage_info, stage_names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from dedup.index import Match

__all__ = ["Dataset"]


@dataclass(frozen=True)
class Dataset:
    """A plan over an input. Immutable: every method that adds a step returns a new dataset.

        ds = raylib.read("pages/*.jsonl.gz").clean("wechat").exact_dedup()
        ds.count(), ds.rejected.to_pandas().groupby("reason").size()

    Every stage is a method under its recipe name: `ds.length(min=100)`. Small inputs run in this process;
    `.on("ray")` (or a Ray that is already initialised) runs the same plan on a cluster, with the same result.

    Attributes:
        input: What to read, and how.
        stages: Steps so far.
        engine: How to run; None chooses by whether Ray is initialised.
    """

    input: InputOptions
    stages: tuple[StageSpec, ...] = ()
    engine: EngineOptions | None = None
    _cache: Cache = field(default_factory=Cache, compare=False, repr=False)

    def _with(self, *specs: StageSpec) -> Dataset:
        """This plan and these steps."""
        return replace(self, stages=(*self.stages, *specs), _cache=Cache())

    def stage(self, name: str, **parameters: object) -> Dataset:
        """Add any stage by its recipe name; `ds.stage("length", min=100)` is also `ds.length(min=100)`.

        Args:
            name: Name of the stage (`raylib rules` lists all).
            parameters: Parameters of the stage; others keep their defaults.

        Returns:
            The dataset with this step.

        Raises:
            RecipeError: The name or a parameter is unknown, or a value is wrong.
        """
        spec = StageSpec(name, parameters)
        spec.make()
        return self._with(spec)

    def __getattr__(self, name: str) -> Callable[..., Dataset]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return stage_method(stage_info(name), self.stage)
        except UnknownNameError as error:
            raise AttributeError(f"Dataset has no method or stage {name!r}: {error}") from None

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *stage_names()})

    def clean(self, source: str = "web") -> Dataset:
        """Add all stages of a ready chain.

        Args:
            source: Name of a source (`wechat`, `wiki`, `news`, ...), or path of a YAML file with a `stages` list.

        Returns:
            The dataset with the chain's stages as steps.

        Raises:
            RecipeError: There is no such chain.
        """
        return self._with(*source_chain(source))

    def filter(self, condition: str | Condition) -> Dataset:
        """Keep the records for which a condition holds. The others are in `rejected`.

        Args:
            condition: An expression (`"length(text) > 200"`), an Arrow expression, or a function that maps a table to
                one boolean per row.

        Returns:
            The dataset with this step.
        """
        if isinstance(condition, str):
            return self.stage("keep_where", where=condition)
        return self._with(StageSpec("filter", object=filter_of(condition)))

    def map(self, function: Callable[[pa.Table], pa.Table]) -> Dataset:
        """Apply a function to tables of records.

        Args:
            function: Function that may change and add columns, but must keep the number of rows.

        Returns:
            The dataset with this step.
        """
        return self._with(StageSpec("map", object=map_of(function)))

    def score(self, *scorers: object) -> Dataset:
        """Add scores as columns: `ds.score(ifd("path/to/model"), difficulty())`. No record is rejected by that.

        Args:
            scorers: Stage objects (see `quality.scorers`), or names of stages.

        Returns:
            The dataset with one step per scorer.

        Raises:
            ParameterError: A scorer is neither of these.
        """
        return self._with(*(spec_of(s) for s in scorers))

    def keep_where(self, where: str) -> Dataset:
        """Keep the records for which an expression holds: `ds.keep_where("ifd < 1 and quality >= 4")`."""
        return self.stage("keep_where", where=where)

    def select(
        self, k: int = 0, *, fraction: float = 0.0, by: str = "", diverse: bool = True, **parameters: object
    ) -> Dataset:
        """Keep the best records: `ds.select(k=2000, by="quality", diverse=True)`.

        Args:
            k: Number of records to keep.
            fraction: Share of records to keep, in place of `k`.
            by: Column, or arithmetic over columns, by which records are ranked; higher is better.
            diverse: Whether records that are too close to a better one are skipped (Deita's selection). If the plan
                has no embedding, the built-in one is added for that and dropped afterwards.
            parameters: Further parameters of the stage `select`.

        Returns:
            The dataset with this step.
        """
        method = parameters.pop("method", "deita" if diverse else "top")
        stage = StageSpec("select", {"k": k, "fraction": fraction, "by": by, "method": method, **parameters})
        stage.make()
        if method == "top" or any(s.name == "embed" for s in self.stages):
            return self._with(stage)
        return self._with(StageSpec("embed"), stage, StageSpec("drop_columns", {"columns": ("embedding",)}))

    def on(self, mode: str = "ray", **options: object) -> Dataset:
        """Choose how the plan runs.

        Args:
            mode: `ray`, or `inline` (in this process).
            options: Further keys of the recipe's `engine` section, such as `actors=4` or `address="auto"`.

        Returns:
            The dataset with this choice.

        Raises:
            RecipeError: An option is unknown or wrong.
        """
        recipe = Recipe.from_dict(
            {"input": {"path": "-"}, "output": {"path": "-"}, "engine": {"mode": mode, **options}}, "on()"
        )
        return replace(self, engine=recipe.engine, _cache=Cache())

    def recipe(self, output: str | Path = "-", **options: object) -> Recipe:
        """The recipe of this plan.

        Args:
            output: Path of the run's folder.
            options: Further keys of the recipe's `output` section.

        Returns:
            The recipe; `raylib.run` runs it.

        Raises:
            RecipeError: An option is unknown or wrong.
        """
        engine = self.engine or EngineOptions(mode=default_mode())
        output_options = {"path": str(output) if isinstance(output, Path) else output, **options}
        written = Recipe.from_dict({"input": {"path": "-"}, "output": output_options}, "dataset").output
        return Recipe("dataset", self.input, written, engine, self.stages)

    def write(self, path: str | Path, *, fresh: bool = False, update: bool = False, **options: object) -> RunResult:
        """Run the plan into a folder, as `raylib run` does: kept and rejected records, summary and report.

        Args:
            path: Path of the folder. A run that was interrupted there continues.
            fresh: Whether an earlier run's output is deleted first.
            update: Whether another plan may replace an earlier run's output, of which it reuses what it can.
            options: Further keys of the recipe's `output` section, such as `format="jsonl"`.

        Returns:
            The folder and the summary.

        Raises:
            RaylibError: The run failed; its class says whether by the recipe, the input or shards.
        """
        return run(self.recipe(path, **options), fresh=fresh, update=update)

    def _result(self) -> RunResult:
        """The result of the plan, run once into a temporary folder."""
        if self._cache.result is None:
            folder = temporary_folder("raylib-dataset-")
            self._cache.result = run(self.recipe(folder / "run", format="arrow"))
        return self._cache.result

    @property
    def summary(self) -> dict[str, object]:
        """Counts by stage, reason and source (runs the plan)."""
        return self._result().summary

    def count(self) -> int:
        """Number of kept records."""
        return int(self._result().summary["records_kept"])

    def to_arrow(self) -> pa.Table:
        """All kept records as one table."""
        return pa.concat_tables(list(self.iter_tables()), promote_options="default")

    def to_pandas(self) -> pd.DataFrame:
        """All kept records as a pandas DataFrame (extra `notebook`)."""
        return as_pandas(self.to_arrow())

    def iter_tables(self) -> Iterator[pa.Table]:
        """Kept records, one table per shard: for results that do not fit into memory."""
        yield from kept_tables(self._result().path)

    def __iter__(self) -> Iterator[Row]:
        for table in self.iter_tables():
            yield from rows_of(table)

    def __len__(self) -> int:
        return self.count()

    def take(self, n: int = 5) -> list[Row]:
        """The first `n` kept records. Without global stages only as much input is read as necessary."""
        if self._cache.result is None and n > 0:
            rows = self._head(n)
            if rows is not None:
                return rows
        return first_rows(self.iter_tables(), n)

    def _head(self, n: int) -> list[Row] | None:
        """The first records from the beginning of the input; None if that cannot give them."""
        if any(isinstance(s.make(), GlobalStage) for s in self.stages):
            return None
        with tempfile.TemporaryDirectory(prefix="raylib-head-") as folder:
            inline = replace(self, engine=EngineOptions(mode="inline"))
            return head(inline.recipe(folder, format="arrow", samples=0), n)

    def similar(self, text: str, k: int = 5, min_similarity: float = 0.3) -> list[Match]:
        """The kept records most similar to a text, by the estimated Jaccard of character 5-grams.

        The first call makes a MinHash index (and runs the plan for it). `raylib.open_index` opens an index that was
        saved.

        Args:
            text: The text to compare with.
            k: Largest number of records.
            min_similarity: Smallest similarity, from 0 to 1.

        Returns:
            `Match(id, source, similarity, text)`, best first.
        """
        if self._cache.index is None:
            self._cache.index = tool("similar")(temporary_folder("raylib-index-"), self.iter_tables())
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
    ) -> Figure:
        """A t-SNE map of the kept records (runs the plan), as a matplotlib figure that a notebook shows.

        Args:
            color: Column by which points are coloured; `source`, `cluster`, or any other.
            compare: Another dataset, drawn beside this one in the same space.
            points: Number of records that are drawn from each dataset at random.
            embedding: `tfidf`, a sentence-transformers model, or empty for the column `embedding`, if there is one.
            seed: Seed of sampling, clusters and t-SNE.
            path: Folder to which the interactive page (`diversity.html`) and the picture are written, if given.

        Returns:
            The figure; several panels if `compare` is given.

        Raises:
            RaylibError: A package of the extra `report` is not installed.
        """
        sets = {"records": self} if compare is None else {"before": self, "after": compare}
        tables = {name: ds.iter_tables() for name, ds in sets.items()}
        drawn = tool("plot_tsne")(tables, path, points=points, embedding=embedding, seed=seed, colour=(color,))
        figure: Figure = drawn
        return figure

    def show(self, n: int = 5, width: int = 300) -> None:
        """Print the first `n` kept records, each text cut to `width` characters."""
        for row in self.take(n):
            head = ", ".join(f"{k}={row[k]!r}" for k in ("id", "source") if row.get(k))
            text = text_of_row(row)
            sys.stdout.write(f"--- {head}\n{text[:width]}{'…' if len(text) > width else ''}\n")

    @property
    def rejected(self) -> Rejected:
        """The rejects: original records with stage, reason and detail (runs the plan)."""
        return Rejected(self._result())

    @property
    def report(self) -> Path:
        """Path of the HTML report (runs the plan)."""
        return Path(self._result().path) / "report.html"

    def plan(self) -> str:
        """The steps in words, one per line."""
        engine = self.engine or EngineOptions(mode=default_mode())
        return plan_text(self.input, self.stages, engine, has_run=self._cache.result is not None)

    def __repr__(self) -> str:
        return f"<raylib.Dataset\n{self.plan()}>"

    def _repr_html_(self) -> str:
        return html_of(self.plan(), None if self._cache.result is None else self._cache.result.summary)
