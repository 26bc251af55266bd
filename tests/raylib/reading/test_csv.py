"""CSV and TSV as people have them: quotes that nothing closes, old line ends, headers that say too much."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raylib.reading.block import Block
from raylib.reading.builder import Builder
from raylib.reading.csv_rows import RowsOfBlock
from tests.raylib.reading.reads import read_file, reasons

HEADER = "id,text\n"


def texts(path: Path, content: str | bytes, **options: Any) -> tuple[list[str], list[str]]:
    records, rejects = read_file(path, content, **options)
    return [record["text"] for record in records], reasons(rejects)


@pytest.mark.parametrize("block_bytes", [200, 1 << 20])
def test_a_stray_quote_takes_its_own_row_only(tmp_path: Path, block_bytes: int) -> None:
    rows = [f"{n},第{n}行\n" for n in range(1000)]
    rows[700] = '700,"没有结束\n'
    found, rejected = texts(tmp_path / "x.csv", HEADER + "".join(rows), block_bytes=block_bytes, max_record_bytes=3000)
    assert found == [f"第{n}行" for n in range(1000) if n != 700]
    assert rejected == ["unclosed_quote"]


def test_a_stray_quote_in_front_of_quoted_cells(tmp_path: Path) -> None:
    content = HEADER + '1,"没有结束\n2,好\n3,"有引号, 有逗号"\n4,"两\n行"\n5,末\n'
    found, rejected = texts(tmp_path / "x.csv", content)
    assert found == ["好", "有引号, 有逗号", "两\n行", "末"]
    assert rejected == ["unclosed_quote"]


def test_two_stray_quotes_do_not_hide_the_rows_between(tmp_path: Path) -> None:
    found, rejected = texts(tmp_path / "x.csv", HEADER + '1,"甲\n2,乙\n3,丙\n4,丁"\n5,戊\n')
    assert [found[0], found[1], found[-1]] == ["乙", "丙", "戊"]
    assert rejected == ["unclosed_quote"]


@pytest.mark.parametrize(
    "cell",
    [
        "亲爱的李雷,\n你好, 朋友\n再见, 回头见\n韩梅梅",
        "名称,颜色,价格\n苹果,红,1\n香蕉,黄,2\n樱桃,红,3",
        "有这些：\n- 苹果, 红的\n- 香蕉, 黄的\n完了。",
        "for i in x:\n  print(i, 2)\n  print(i, 3)\n  print(i, 4)\n",
    ],
)
@pytest.mark.parametrize("names", ["id,text", "id,source,text", "question,answer"])
def test_a_cell_may_hold_lines_with_as_many_commas_as_the_table(tmp_path: Path, cell: str, names: str) -> None:
    stream = io.StringIO()
    columns = names.split(",")
    csv.writer(stream).writerows([columns, [*map(str, range(len(columns) - 1)), cell], ["9"] * len(columns)])
    kind = "document" if "text" in columns else "conversation"
    records, rejects = read_file(tmp_path / "x.csv", stream.getvalue(), kind)
    found = [r["text"] if kind == "document" else r["messages"][1]["content"] for r in records]
    assert ([found[0].strip(), found[1:]], rejects) == ([cell.strip(), ["9"]], [])


def test_cells_of_many_lines_are_cells(tmp_path: Path) -> None:
    poem = "\n".join(f"第{n}句，平平仄仄平平仄" for n in range(3000))
    rows = f'1,"{poem}"\n2,"他说：""好""\n\n走了"\n3,末\n'
    assert texts(tmp_path / "x.csv", HEADER + rows) == ([poem, '他说："好"\n\n走了', "末"], [])


def test_every_row_has_a_stray_quote(tmp_path: Path) -> None:
    found, rejected = texts(tmp_path / "x.csv", HEADER + "".join(f'{n},"行{n}\n' for n in range(2500)))
    assert (found, rejected) == ([], ["unclosed_quote"] * 2500)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
def test_line_ends_and_encodings(tmp_path: Path, end: str, encoding: str) -> None:
    rows = [f"{n},你们说这一个是不是很有意思的人{n}" for n in range(9)]
    content = end.join(["id,text", *rows, ""]).encode(encoding)
    assert texts(tmp_path / "x.csv", content) == ([row.split(",")[1] for row in rows], [])


def test_old_line_ends_of_json_lines(tmp_path: Path) -> None:
    assert texts(tmp_path / "x.jsonl", '{"text": "甲"}\r{"text": "乙"}\r') == (["甲", "乙"], [])


def test_a_nul_is_no_sign_of_another_encoding(tmp_path: Path) -> None:
    assert texts(tmp_path / "x.csv", HEADER + "1,\x00a\n2,b\n") == (["b"], ["nul_byte"])


def test_the_delimiter_that_excel_declares(tmp_path: Path) -> None:
    assert texts(tmp_path / "x.csv", "sep=;\nid;text\n1;甲, 乙\n") == (["甲, 乙"], [])


def test_columns_of_the_same_name_are_one_reject(tmp_path: Path) -> None:
    assert texts(tmp_path / "x.csv", "id,text,text\n1,甲,乙\n2,甲,乙\n") == ([], ["duplicate_columns"])
    assert texts(tmp_path / "x.csv", "id,text,,\n1,甲,,\n") == (["甲"], []), "columns without a name are numbered"


def test_files_that_were_joined(tmp_path: Path) -> None:
    part = "\ufeffid,text\n1,甲\n"
    assert texts(tmp_path / "x.csv", part + part) == (["甲", "甲"], [])
    assert texts(tmp_path / "x.jsonl", '\ufeff{"text": "甲"}\n\ufeff{"text": "乙"}\n') == (["甲", "乙"], [])


def test_tsv_that_is_not_quoted(tmp_path: Path) -> None:
    content = 'id\ttext\n1\t"他说\n2\t好"\n3\t5" 屏幕\n4\t"甲" 乙\n'
    assert texts(tmp_path / "x.tsv", content) == (['"他说', '好"', '5" 屏幕', '"甲" 乙'], [])


def test_tsv_that_is_quoted(tmp_path: Path) -> None:
    assert texts(tmp_path / "x.tsv", 'id\ttext\n1\t"两\n行"\n2\t"制\t表"\n3\t末\n') == (["两\n行", "制\t表", "末"], [])


def test_json_lines_under_the_name_of_csv(tmp_path: Path) -> None:
    assert texts(tmp_path / "x.csv", '{"id": 1, "text": "甲"}\n{"id": 2, "text": "乙"}\n') == ([], ["unreadable_file"])


class LineByLine(RowsOfBlock):
    """The way of doubtful records, taken by all."""

    def feed_plain(self) -> Iterator[None]:
        self.lines = list(io.StringIO(self.text, newline=""))
        yield from ()


def fed(block: Block, rows: type[RowsOfBlock]) -> list[tuple[list[Any], list[Any]]]:
    """What a block becomes, table by table."""
    builder = Builder("document", block.path)
    taken = [builder.take() for _ in rows(block, builder).feed_all()] + [builder.take()]
    return [(parsed.table.to_pylist(), parsed.rejects.to_pylist()) for parsed in taken]


PIECES = [
    "a",
    "好",
    ",",
    '"',
    "\n",
    "\r\n",
    "\r",
    "\ufeff",
    " ",
    '""',
    ',"',
    '",',
    "\t",
    "1,2,3\n",
    '"甲\n乙,,\n丙,,\n丁"',
]


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.sampled_from([b"", b"\xff\n,"]),
    st.sampled_from([("text",), ("id", "text"), ("id", "text", "c")]),
    st.sampled_from([("csv", ","), ("tsv", "\t")]),
)
@example('1,"q\nw,e\nr,t\ny"\n2,x\n', b"", ("id", "text"), ("csv", ","))
@example('1,"q\n2,x\n3,y\n4,z"\n5,"', b"", ("id", "text"), ("csv", ","))
def test_plain_records_are_read_as_doubtful_ones_are(
    text: str, damage: bytes, names: tuple[str, ...], kind: tuple[str, str]
) -> None:
    block = Block("x.csv", kind[0], 5, damage + text.encode(), header=(kind[1], *names))
    assert fed(block, RowsOfBlock) == fed(block, LineByLine)
