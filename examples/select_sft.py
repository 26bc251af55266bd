"""Write `examples/select_sft.ipynb`. The notebook is kept as this script, so that changes to it can be read.

python examples/select_sft.py
"""

from __future__ import annotations

from pathlib import Path

CELLS = [
    (
        "markdown",
        "# The best fifth of some instructions\n"
        "\n"
        "Scores are columns: look at them before you cut. Everything below runs in this process; "
        "`.on('ray')` runs the same plan on a cluster.",
    ),
    (
        "code",
        "from pathlib import Path\n"
        "\n"
        "import raylib\n"
        "from quality.scorers import difficulty\n"
        "\n"
        "HERE = Path.cwd() if (Path.cwd() / 'instructions').is_dir() else Path.cwd() / 'examples'\n"
        "ds = raylib.read(HERE / 'instructions' / 'instructions.jsonl', kind='conversation')\n"
        "ds.take(1)",
    ),
    ("markdown", "## Clean, remove copies, look at the flags"),
    (
        "code",
        "clean = ds.collapse_newlines().instruction_features().exact_dedup().minhash_dedup()\n"
        "table = clean.to_pandas()\n"
        "table['flags'].value_counts()",
    ),
    (
        "code",
        "good = clean.keep_where('flags == \"\"').score(difficulty())\ngood.rejected",
    ),
    ("code", "good.to_pandas()['difficulty'].describe()"),
    (
        "markdown",
        "## Hard and diverse\n"
        "\n"
        "`diverse=True` passes over records that are too close to a better one. With a model at hand, "
        "`score(ifd('path/to/model'))` and `by='ifd * difficulty'` say more.",
    ),
    (
        "code",
        "best = good.select(fraction=0.2, by='difficulty', diverse=True)\nbest.show(3)",
    ),
    ("code", "len(good), len(best)"),
    ("code", "good.plot_tsne(color='source', compare=best)"),
    ("markdown", "## What was cut, and why"),
    ("code", "best.rejected.to_pandas()[['id', 'stage', 'reason', 'detail']].tail(5)"),
    (
        "code",
        "OUT = Path('out') / 'select_sft'\n"
        "result = best.stage('split_stages', by='difficulty', stages=3).write(OUT, fresh=True, "
        "format='jsonl', layout='openai', split_by='stage')\n"
        "result.summary['splits']",
    ),
]


def main() -> None:
    import nbformat

    book = nbformat.v4.new_notebook()
    for number, (kind, source) in enumerate(CELLS):
        cell = nbformat.v4.new_markdown_cell(source) if kind == "markdown" else nbformat.v4.new_code_cell(source)
        cell["id"] = f"cell-{number}"
        book.cells.append(cell)
    nbformat.write(book, Path(__file__).with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
