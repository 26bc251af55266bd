"""Tokenising records into a folder of token files that training reads."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import orjson

from raylib.atomic import SUFFIX, write_atomically
from raylib.chat import Renderer, stop_ids
from raylib.errors import TrainingError
from raylib.locking import locked
from raylib.outputs import output_folder
from raylib.records import RecordFile, Unread, files_of
from raylib.storage.token_folder import file_sums, verify_tokens
from raylib.versions import versions
from training.data.encoded import TokenOptions
from training.data.encoder import SMALL, Encoder
from training.data.shuffle import REFUSED, Spill, is_whole, join, read_part
from training.data.token_set import FORMAT, TEMPLATE, TOKEN_FILES, Kind, TokenInfo, read_info
from training.data.tokenizer import Tokenizer, saved_tokenizer

__all__ = ["TokenInfo", "TokenOptions", "guess_kind", "tokenize"]

_log = logging.getLogger(__name__)


_BUCKET = 64 << 20  # bytes of input whose samples are shuffled at once


@dataclass(frozen=True)
class _Job:
    """Everything that determines the token files.

    Attributes:
        sources: Paths that the user gave.
        files: Files of records.
        tokenizer: The tokenizer.
        place: Folder of the tokenizer.
        options: How records become tokens.
        key: Fingerprint of files, tokenizer and options.
        work: Folder of unfinished parts.
    """

    sources: Sequence[str]
    files: list[RecordFile]
    tokenizer: Tokenizer
    place: str
    options: TokenOptions
    key: str
    work: Path

    @property
    def size(self) -> int:
        """Bytes of all input files."""
        return sum(file.file.size for file in self.files)

    @property
    def kind(self) -> Kind:
        """Kind of the samples, by the options or by the records."""
        return self.options.kind if self.options.kind != "auto" else _guess(self.files)


@dataclass
class _Totals:
    """Counts over all parts: tokens and samples by source, records left out and turns not learnt by reason, ..."""

    tokens: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unlearnt: Counter[str] = field(default_factory=Counter)
    expanded: int = 0
    cut: int = 0

    @classmethod
    def of(cls, parts: Sequence[Path]) -> _Totals:
        """The sum over parts."""
        totals = cls()
        for part in parts:
            facts = read_part(part)
            totals.tokens.update(facts["tokens"])
            totals.records.update(facts["records"])
            totals.dropped.update(facts["dropped"])
            totals.unlearnt.update(facts["unlearnt"])
            totals.expanded += facts["expanded"]
            totals.cut += facts["cut"]
        return totals


def tokenize(
    sources: Sequence[str], out: str | Path, tokenizer_path: str, options: TokenOptions | None = None
) -> TokenInfo:
    """Tokenise the records of files or runs into a token folder.

    Files that were finished before an interruption are not tokenised again. Samples are in a random order that
    `options.seed` determines.

    Args:
        sources: Files, folders of runs, globs or URIs.
        out: Path of the token folder.
        tokenizer_path: Path of the tokenizer's folder.
        options: How records become tokens.

    Returns:
        The content of `tokens.json`.

    Raises:
        TrainingError: if there are no records, or if the folder holds tokens of something else.
        LockedError: if another process is writing to the folder.
    """
    options = options or TokenOptions()
    tokenizer = saved_tokenizer(tokenizer_path)
    folder = Path(out)
    files = files_of(sources)
    key = _key(files, tokenizer_path, options)
    finished = _finished(folder, key)
    if finished is not None:
        return finished
    _check_place(folder)
    with locked(folder):
        finished = _finished(folder, key)  # by another process since
        if finished is not None:
            return finished
        _set_aside_damaged(folder)
        job = _Job(sources, files, tokenizer, tokenizer_path, options, key, folder / f"parts-{key}")
        job.work.mkdir(parents=True, exist_ok=True)
        return _tokenize(job, folder)


def _check_place(folder: Path) -> None:
    """Refuse a folder that cannot be written to, or that holds something else."""
    output_folder(folder)
    others = [p.name for p in folder.iterdir() if not p.name.startswith(("parts-", ".")) and p.suffix != SUFFIX]
    if others and not {"starts.npy", "tokens.bin", "tokens.json"} & set(others):
        raise TrainingError(f"{folder} is not empty and no token folder (it holds {min(others)}); choose another one")


def _finished(folder: Path, key: str) -> TokenInfo | None:
    """What the folder already holds. Raises TrainingError if that is something else."""
    if not (folder / "tokens.json").is_file():
        return None
    try:
        info = read_info(folder)
    except TrainingError as error:
        raise TrainingError(f"{error}; delete the folder and run this again") from None
    if info["key"] != key:
        raise TrainingError(
            f"{folder} holds tokens made otherwise (of other records, with another tokenizer or other options); "
            "choose another folder or delete it"
        )
    return None if verify_tokens(str(folder)).problems else info


def _set_aside_damaged(folder: Path) -> None:
    """Name the files of a finished folder that are damaged, and take away its description: it is made anew."""
    if (folder / "tokens.json").is_file():
        for problem in verify_tokens(str(folder)).problems:
            _log.warning("%s; the folder is made anew", problem)
        (folder / "tokens.json").unlink()


def _tokenize(job: _Job, folder: Path) -> TokenInfo:
    """Encode all files into parts, join the parts, and describe the result."""
    kind, size = job.kind, job.size
    width = 3 if kind == "preference" else 1
    buckets = max(1, min(size // _BUCKET, 4096))
    begun = time.perf_counter()
    parts, done_before = _encode_parts(job, kind, width=width, buckets=buckets, parallel=size > SMALL)
    totals = _Totals.of(parts)
    if not totals.records:
        message = _nothing(parts, totals)
        shutil.rmtree(job.work)
        raise TrainingError(message)
    dtype: np.dtype[np.generic] = np.dtype(np.uint16 if len(job.tokenizer) <= 1 << 16 else np.uint32)
    tokens, samples = join(parts, folder, width=width, buckets=buckets, dtype=dtype, seed=job.options.seed)
    seconds = time.perf_counter() - begun
    with (folder / REFUSED).open("wb") as out:
        for part in parts:
            out.write((part / REFUSED).read_bytes())
    renderer = None if kind == "pretrain" else Renderer(job.tokenizer, job.options.render, stops=stop_ids(job.place))
    if renderer is not None:
        write_atomically(folder / TEMPLATE, renderer.served.encode())
    info = TokenInfo(
        format=FORMAT,
        raylib=versions()["raylib"],
        sources=list(job.sources),
        dtype=dtype.name,
        tokens=tokens,
        samples=samples,
        cut=totals.cut,
        dropped=dict(totals.dropped),
        unlearnt=dict(totals.unlearnt),
        expanded=totals.expanded,
        chat={} if renderer is None else {"template": renderer.template.name, **asdict(job.options.render)},
        stops=[] if renderer is None else renderer.stops(),
        tokens_by_source=dict(sorted(totals.tokens.items())),
        samples_by_source=dict(sorted(totals.records.items())),
        key=job.key,
        kind=kind,
        tokenizer=str(job.place),
        vocabulary=len(job.tokenizer),
        seconds=round(seconds, 2),
        tokens_per_second=round(tokens / max(seconds, 1e-9)),
        parts_done_before=done_before,
        options=job.options.facts(),
        files=file_sums(folder, (*TOKEN_FILES, REFUSED, TEMPLATE)),
    )
    write_atomically(folder / "tokens.json", orjson.dumps(info, option=orjson.OPT_INDENT_2))
    shutil.rmtree(job.work)
    return info


def _nothing(parts: Sequence[Path], totals: _Totals) -> str:
    """Why there is nothing to learn: how many records were refused, for which reasons, and one of them in words."""
    if not totals.dropped:
        return "no records to tokenise: the input is empty"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in totals.dropped.most_common())
    first = next(orjson.loads(line) for part in parts for line in (part / REFUSED).read_bytes().splitlines())
    return f"no record can be learnt ({reasons}); {first['id']}: {first['detail']}"


def _encode_parts(job: _Job, kind: Kind, *, width: int, buckets: int, parallel: bool) -> tuple[list[Path], int]:
    """Encode each file into a part; returns the parts' folders, and how many were finished before."""
    parts, done_before = [], 0
    with Encoder(job.tokenizer, job.place, kind, job.options, job.work, parallel=parallel) as encoder:
        for number, file in enumerate(job.files):
            part = job.work / f"{number:06d}"
            if is_whole(part):
                done_before += 1
            else:
                shutil.rmtree(part, ignore_errors=True)
                spill = Spill(part, width=width, buckets=buckets, seed=(job.options.seed, number))
                for encoded in encoder.encoded(file, spill.note_unread):
                    spill.add(encoded)
                spill.close()
            parts.append(part)
    return parts, done_before


def _key(files: Sequence[RecordFile], tokenizer_path: str, options: TokenOptions) -> str:
    """Fingerprint of the options, of the files' paths, sizes and times, and of the tokenizer's files."""
    found = [file.file for file in files]
    facts: list[object] = [FORMAT, options.facts(), *([f.path, f.size, f.modified_ns] for f in found)]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        file = Path(tokenizer_path) / name
        facts.append([name, hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest() if file.is_file() else ""])
    return hashlib.blake2b(orjson.dumps(facts), digest_size=8).hexdigest()


def guess_kind(sources: Sequence[str]) -> Kind:
    """Kind of samples that the first records of some sources are.

    Args:
        sources: Files, folders of runs, globs or URIs.

    Raises:
        TrainingError: if there are no records, or if they are of a kind that is not tokenised.
    """
    return _guess(files_of(sources))


def _guess(files: Sequence[RecordFile]) -> Kind:
    """Kind of samples that the first records are."""
    unread = Unread()  # they are counted when all is encoded, unless nothing is
    for file in files:
        for table in file.tables(rejected=unread):
            if "chosen" in table.column_names:
                return "preference"
            if "label" in table.column_names and "answer" in table.column_names:
                raise TrainingError(
                    f"{file.path} holds feedback (answers with a label, for KTO), of which sft would learn bad answers "
                    "as good ones; no objective learns from feedback yet. Keep the good ones, as conversations, with "
                    "`raylib run` and `keep_where: label`"
                )
            return "sft" if "messages" in table.column_names else "pretrain"
    raise TrainingError("no records to tokenise" + (f"; {unread}" if unread.reasons else ""))
