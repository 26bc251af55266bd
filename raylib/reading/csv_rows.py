"""Records of blocks of CSV and TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Literal

from raylib.reading.block import Block
from raylib.reading.builder import SHOWN, Builder
from raylib.reading.csv_header import read_rows
from raylib.reading.json_rows import decoded_line
from raylib.reading.layouts import TEXT_FIELDS, layout

__all__ = ["RowsOfBlock", "feed_csv", "first_row"]

csv.field_size_limit(1 << 27)
_MANY = 100  # quotes that nothing closes; looking for the end of each through a whole block would take too long then
_FEW_LINES = 1000
_INNER = 2  # so many whole rows inside one cell are no cell


def feed_csv(block: Block, builder: Builder) -> Iterator[None]:
    """Parse CSV records into the builder; yields whenever the builder is full.

    A quoted cell may span lines. It is taken for a quote that nothing closes if it ends with the block, if its
    closing quote is followed by neither a delimiter nor a line end, or if the lines inside are rows of the table:
    then its first line is a reject, and reading goes on with the next line.
    """
    yield from RowsOfBlock(block, builder).feed_all()


class RowsOfBlock:
    """The lines of a block, and what makes records of them.

    Args:
        block: A block of CSV or TSV.
        builder: What takes the records.

    Attributes:
        text: The text of the block.
        lines: The lines from the first doubtful record on, once `feed_plain` has come to its end.
    """

    def __init__(self, block: Block, builder: Builder) -> None:
        self.text = _text(block, builder)
        self.lines: list[str] = []
        self._builder, self._first = builder, block.first_line
        self._delimiter, *names = block.header
        self._names = names
        self._quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if block.format == "csv" else csv.QUOTE_NONE
        self._strict = True  # until a quote stands where none should; up to there each quoted cell is closed
        self._unclosed = 0

    def feed_all(self) -> Iterator[None]:
        """Add all records; stops whenever the builder is full."""
        yield from self.feed_plain()
        at = 0
        while at < len(self.lines):
            at = yield from self.feed(at)

    def feed_plain(self) -> Iterator[None]:
        """Add the records up to the first one that is doubtful, or the last one, without making a list of all lines."""
        stream = io.StringIO(self.text, newline="")
        reader = csv.reader(stream, delimiter=self._delimiter, quoting=self._quoting, strict=True)
        begin = at = 0  # where the record begins, and its line
        try:
            for row in reader:
                place, end = stream.tell(), reader.line_num
                if place == len(self.text) or self._doubtful(begin, place, end - at):
                    break
                self._add(row, at)
                begin, at = place, end
                if self._builder.full():
                    yield
        except csv.Error:  # `feed` comes to it again
            pass
        self.lines = list(io.StringIO(self.text[begin:], newline=""))
        self._first += at

    def _doubtful(self, begin: int, end: int, count: int) -> bool:
        """Whether the lines of a record may be several records."""
        inner, delimiters = count - 2, len(self._names) - 1
        if inner < _INNER or delimiters < 1:
            return False
        if self.text.count(self._delimiter, begin, end) < inner * delimiters:
            return False
        return self._unclosed_in(list(io.StringIO(self.text[begin:end], newline="")))

    def feed(self, begin: int) -> Generator[None, None, int]:
        """Add the records from a line on; returns the line from which to go on after an unclosed quote."""
        window = self.lines[begin : begin + _FEW_LINES] if self._unclosed > _MANY else self.lines[begin:]
        reader = csv.reader(window, delimiter=self._delimiter, quoting=self._quoting, strict=self._strict)
        at = 0  # line of the window at which the record begins
        while at < len(window):
            try:
                row = next(reader, None)
            except csv.Error as error:
                if self._strict:
                    self._strict = False
                    return begin + at
                self._builder.reject(self._first + begin + at, "bad_csv", str(error), "")
                at = reader.line_num
                continue
            if row is None:
                break
            end = reader.line_num
            if end == len(window):
                if at and begin + end < len(self.lines):
                    return begin + at  # the window may have cut it
                if end == at + 1 and self._ends_open(window[at]):
                    self._refuse(begin + at, 1)
                    return begin + end
            if end > at + 1 and self._unclosed_in(window[at:end]):
                self._refuse(begin + at, end - at)
                return begin + at + 1
            self._add(row, begin + at)
            at = end
            if self._builder.full():
                yield
        return begin + len(window)

    def _ends_open(self, line: str) -> bool:
        """Whether the last line of a block ends inside a quoted cell."""
        if self._quoting == csv.QUOTE_NONE or '"' not in line:
            return False
        try:
            list(csv.reader([line], delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            return "end of data" in str(error)
        return False

    def _unclosed_in(self, spanned: Sequence[str]) -> bool:
        """Whether lines that were read as one record are several, of which the first has a stray quote."""
        if not (self._strict or self._closed(spanned)):
            return True
        count = len(self._names)
        if count < 2 or len(spanned) < _INNER + 2:
            return False
        for line in spanned[1:-1]:
            if line.count(self._delimiter) < count - 1:  # as in nearly all prose, which is then not parsed again
                return False
            if any(len(row) != count for row in read_rows(line, self._delimiter)):
                return False
        return self._continues(spanned)

    def _continues(self, spanned: Sequence[str]) -> bool:
        """Whether the lines inside a record of the right number of cells have a number where the record has one.

        A cell may well hold lines with as many commas as the table has, such as a letter, a poem or a table.
        """
        row = next(csv.reader(spanned, delimiter=self._delimiter))
        if len(row) != len(self._names):
            return True
        inner = [cells for line in spanned[1:-1] for cells in read_rows(line, self._delimiter)]
        places = [place for place, cell in enumerate(row) if cell.strip().isdecimal()]
        return any(all(cells[place].strip().isdecimal() for cells in inner) for place in places)

    def _closed(self, spanned: Sequence[str]) -> bool:
        """Whether each quoted cell of a record ends with a quote in front of a delimiter or a line end."""
        text = "".join(spanned)
        if text.count('"') == 2:  # of one cell: the first quote opened it
            after = text.rindex('"') + 1
            return text[after : after + 1] in (self._delimiter, "\n", "\r", "")
        try:
            list(csv.reader(spanned, delimiter=self._delimiter, strict=True))
        except csv.Error:
            return False
        return True

    def _refuse(self, at: int, spanned: int) -> None:
        """Reject a line with a quote that nothing closes; of TSV it may be a row as it is."""
        self._unclosed += 1
        line = self.lines[at].rstrip("\r\n")
        cells = line.split(self._delimiter)
        if self._delimiter == "\t" and len(cells) == len(self._names):
            self._add(cells, at)
            return
        detail = "a quote is opened that nothing closes" + (f" in {spanned:,} lines" if spanned > 1 else "")
        self._builder.reject(self._first + at, "unclosed_quote", f"{detail}; the next line is read by itself", line)

    def _add(self, row: list[str], at: int) -> None:
        """Add a row; none of which all cells are blank, nor the header again, where files were joined."""
        names, line = self._names, self._first + at
        if not any(cell.strip() for cell in row) or (len(names) > 1 and row == names):
            return
        shown = partial(self._delimiter.join, row)
        if len(row) != len(names):
            detail = f"{len(row)} columns, the header has {len(names)}"
            self._builder.reject(line, "wrong_columns", detail, shown())
        else:
            self._builder.add(_record(names, row, self._builder.kind), line, shown)


def _text(block: Block, builder: Builder) -> str:
    """The text of a block; in place of lines that do not decode, which are rejects, it has empty ones."""
    try:
        text = block.data.decode(block.encoding)
    except UnicodeDecodeError:
        decoded = (
            decoded_line(raw, line, block, builder)
            for line, raw in enumerate(block.data.split(b"\n"), block.first_line)
        )
        text = "\n".join("" if line is None else line for line in decoded)
    if "\ufeff" not in text:
        return text
    return "".join(line.removeprefix("\ufeff") for line in io.StringIO(text, newline=""))


def _record(names: Sequence[str], row: Sequence[str], kind: str) -> dict[str, str]:
    """A row as a record; empty cells are absent where another cell can take their part."""
    record = dict(zip(names, row, strict=True))
    if "" not in row:
        return record
    if kind == "document":
        filled = {name: cell for name, cell in record.items() if cell or name not in TEXT_FIELDS}
        return filled if any(name in filled for name in TEXT_FIELDS) else record
    filled = {name: cell for name, cell in record.items() if cell}
    return record if layout(filled) in ("unknown", "document") else filled


def first_row(block: Block) -> dict[str, object]:
    """The first row of a CSV block as a record; empty cells if there is none that can be read.

    Args:
        block: A block of CSV or TSV.
    """
    delimiter, *names = block.header
    text = block.data[:SHOWN].decode(block.encoding, "replace")
    row = next(iter(read_rows(text, delimiter)), [])
    cells = row if len(row) == len(names) else [""] * len(names)
    record: dict[str, object] = dict(_record(names, cells, "conversation"))
    return record
