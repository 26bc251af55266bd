"""The genre of a text, and the chain that asks for it."""

from pathlib import Path

import pyarrow as pa
import pytest

from cleaning.genre import GENRES, detect_genres
from cleaning.rules import Genre
from raylib.errors import ParameterError, RecipeError, StageError
from raylib.recipe import Recipe, StageSpec
from raylib.recipe.by_genre import ByGenre
from raylib.recipe.chains import GENRES as WITH_A_CHAIN
from raylib.recipe.chains import source_names
from raylib.schema import SCHEMAS
from raylib.stage import LocalStage

TEXTS = {
    "law": "\n".join(f"第{n}条 水库的管理单位应当在汛期前检查闸门，并向主管部门报告。" for n in "一二三四五"),
    "classics": "\n".join(
        ("山中一夜雨，树杪百重泉。", "渠水绕村过，稻花十里香。", "农夫晨起早，荷锄带露忙。", "小桥连古渡，老树倚斜阳。")
    ),
    "tech": "先装好依赖，再运行下面的脚本：\n"
    "```python\nimport os\n\nfor name in os.listdir('.'):\n    print(name)\n```\n脚本会列出目录。",
    "exam": "下列关于水库的说法，正确的是（ ）\nA. 水库只用于发电\n"
    "B. 水库可以灌溉和防洪\nC. 水库不需要检查\nD. 以上都不对\n答案：B",
    "dialogue": "老周：今天的水位多少？\n小李：比昨天低三厘米。\n"
    "老周：闸门漏不漏？\n小李：不漏，我刚看过。\n老周：那就好，记下来吧。",
    "english": "The reservoir was repaired in the spring, and the farmers below it no longer fear the dry weeks.",
    "medical": "患者咳嗽三天，伴有发热，医生检查后诊断为支气管炎，"
    "建议口服药物，注意剂量"
    "和副作用，如有过敏及时到医院门诊复查。",
    "web": "水库修好以后，村里的人常常沿着渠散步，傍晚的风从水面吹来，带着一点青草的气味，孩子们在堤上追着跑。",
}


@pytest.mark.parametrize("genre", TEXTS)
def test_genres_of_texts(genre: str) -> None:
    assert detect_genres(pa.array([TEXTS[genre]], pa.large_string())) == [genre]


def test_each_genre_has_a_chain() -> None:
    assert set(GENRES) == set(WITH_A_CHAIN)
    assert set(GENRES) <= set(source_names())


def test_a_lexicon_with_an_unknown_genre_is_named(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("闸门=>fishing\n", "utf-8")
    with pytest.raises(ParameterError, match="fishing"):
        Genre(lexicon=str(path)).check()


def _table(texts: list[str]) -> pa.Table:
    rows = [{"id": str(i), "text": text, "source": "s", "meta": None} for i, text in enumerate(texts)]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["document"])


def _made(spec: StageSpec) -> LocalStage:
    stage = spec.make()
    assert isinstance(stage, LocalStage)
    return stage


def test_clean_auto_runs_the_chain_of_each_genre() -> None:
    recipe = Recipe.from_text(
        "input: {path: in.jsonl, kind: document}\noutput: {path: out}\nstages:\n  - clean: auto\n"
    )
    assert [spec.name for spec in recipe.stages] == ["extract_main", "strip_markup", "genre", "clean_by_genre"]
    table = _table(list(TEXTS.values()))
    for spec in recipe.stages:
        table = _made(spec)(table).kept
    # 40 characters are enough for a dialogue and 20 for an exam or a poem; a page needs 128
    assert table["genre"].to_pylist() == ["law", "classics", "exam", "dialogue"]
    assert [int(i) for i in table["id"].to_pylist()] == [list(TEXTS).index(g) for g in table["genre"].to_pylist()]
    assert {"quality", "spam"} <= set(table.column_names)


def test_every_batch_has_the_same_columns() -> None:
    recipe = Recipe.from_text(
        "input: {path: in.jsonl, kind: document}\noutput: {path: out}\nstages:\n  - clean: auto\n"
    )
    stage = _made(recipe.stages[-1])
    schemas = []
    for genre in ("law", "web"):
        table = _table([TEXTS["law"] * 2]).append_column("genre", pa.array([genre]))
        schemas.append(stage(table).kept.schema)
    assert schemas[0] == schemas[1]


def test_another_chain_for_a_genre_and_wrong_ones() -> None:
    text = (
        "input: {{path: in.jsonl, kind: document}}\noutput: {{path: out}}\nstages:\n  - clean: {{source: auto, {}}}\n"
    )
    one, other = (_made(Recipe.from_text(text.format(f"{genre}: reviews")).stages[-1]) for genre in ("forum", "web"))
    assert isinstance(one, ByGenre)
    assert isinstance(other, ByGenre)
    assert one.chains["forum"] == other.chains["web"]
    with pytest.raises(RecipeError, match=r"forun.*forum"):
        Recipe.from_text(text.format("forun: reviews"))


def test_clean_by_genre_needs_the_column() -> None:
    with pytest.raises(StageError, match="`genre`"):
        ByGenre(chains={"web": []})(_table(["水库"]))
