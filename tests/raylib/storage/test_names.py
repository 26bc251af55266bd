"""Names of phases, shards and files are the ones that runs have on the disk."""

from __future__ import annotations

import pytest

from raylib.storage.names import STREAM, Phase, RunFiles, ShardName


@pytest.mark.parametrize(
    ("phase", "text"),
    [(Phase.segment(0), "s0"), (Phase.segment(12), "s12"), (Phase.round(1, 0, 2), "r1.0.2"), (STREAM, "stream")],
)
def test_a_phase_is_read_as_it_is_written(phase: Phase, text: str) -> None:
    assert str(phase) == text
    assert Phase.parse(text) == phase


@pytest.mark.parametrize("text", ["", "s", "s1x", "r1.0", "streams", "x0"])
def test_other_texts_are_no_phase(text: str) -> None:
    with pytest.raises(ValueError, match="not the name of a phase"):
        Phase.parse(text)


def test_the_stream_is_not_a_segment() -> None:
    assert not STREAM.is_segment
    assert not Phase.round(0, 0, 0).is_segment
    assert Phase.segment(3).is_segment
    assert [p.is_first for p in (Phase.segment(0), Phase.segment(1), Phase.round(0, 0, 0), STREAM)] == [
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("shard", "text"),
    [(ShardName(3), "00003"), (ShardName(0, 12), "00000-00012"), (ShardName(123456, 7), "123456-00007")],
)
def test_a_shard_is_read_as_it_is_written(shard: ShardName, text: str) -> None:
    assert str(shard) == text
    assert ShardName.parse(text) == shard


def test_shards_sort_as_their_names_do() -> None:
    shards = [ShardName(100000), ShardName(2, 1), ShardName(2), ShardName(10)]
    assert [str(s) for s in sorted(shards)] == sorted(str(s) for s in shards)


def test_files_of_a_shard() -> None:
    phase, shard = Phase.segment(1), ShardName(0, 4)
    assert RunFiles.kept(shard, "parquet") == "kept/part-00000-00004.parquet"
    assert RunFiles.kept(shard, "jsonl.zst", "stage2") == "kept/stage2/part-00000-00004.jsonl.zst"
    assert RunFiles.rejected(phase, shard) == "rejected/s1-00000-00004.parquet"
    assert RunFiles.is_rejected(RunFiles.rejected(phase, shard))
    assert RunFiles.part(phase, shard) == ".work/s1/part-00000-00004.arrow"
    assert RunFiles.sketch(phase, shard) == ".work/s1/sketch-00000-00004.arrow"
    assert RunFiles.facts(phase, shard) == ".work/s1/facts-00000-00004.arrow"
    assert RunFiles.stats(phase, shard) == ".work/s1/stats-00000-00004.json"
    assert RunFiles.run(Phase.round(0, 1, 2), ShardName(3)) == ".work/r0.1.2/run-00003.arrow"
    assert [RunFiles.manifest_part(i) for i in (0, 1)] == ["manifest.jsonl", "manifest-00001.jsonl"]
