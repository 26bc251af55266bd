"""fastText classifiers: train, evaluate, apply by command and by recipe; mixture and resampling."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from typer.testing import CliRunner

from quality.models.classifier import TextClassifier, TrainOptions, evaluation, read_labelled, split, tune
from raylib.cli import app

Write = Callable[..., Path]
ADS = ["加微信领取优惠券", "全场五折包邮到家", "点击链接免费试用", "限时秒杀手慢无"]
NEWS = ["市政府召开会议讨论交通规划", "科研人员发现一种新的植物", "今年的粮食产量保持稳定", "博物馆周末免费开放"]


def labelled(n: int, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)
    return [
        {
            "id": str(i),
            "text": "，".join(rng.sample(ADS if i % 2 else NEWS, 2)) + f"第{rng.randrange(99)}期",
            "label": "ad" if i % 2 else "news",
        }
        for i in range(n)
    ]


def test_command_line_trains_evaluates_and_applies(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl([*labelled(200), {"text": "没有标签"}])
    runner = CliRunner()
    model = tmp_path / "model"
    done = runner.invoke(
        app, ["classifier", "train", str(source), "-o", str(model), "--set", "buckets=2000", "--set", "dimension=16"]
    )
    assert done.exit_code == 0, done.output
    assert "macro precision" in done.output
    assert "confusion" in done.output
    assert "passed over" in done.output
    facts = json.loads((model / "classifier.json").read_text())
    assert facts["options"]["dimension"] == 16
    assert facts["evaluation"]["records"] == 40
    shown = runner.invoke(
        app, ["classifier", "evaluate", str(model), str(write_jsonl(labelled(60, 5), "t.jsonl")), "--json"]
    )
    found = json.loads(shown.output)
    assert found["macro_f1"] > 0.95
    assert sum(map(sum, found["confusion"])) == 60
    curve = found["thresholds"]["ad"]
    assert [c["recall"] for c in curve] == sorted((c["recall"] for c in curve), reverse=True)
    done = runner.invoke(app, ["classifier", "apply", str(model), str(source), "-o", str(tmp_path / "out"), "-q"])
    assert done.exit_code == 0, done.output
    kept = pq.read_table(tmp_path / "out" / "kept").to_pylist()
    right = sum(r["label"] == ("ad" if int(r["id"]) % 2 else "news") for r in kept if r["id"].isdigit())
    assert right >= 195
    mixture = runner.invoke(app, ["classifier", "mixture", str(tmp_path / "out"), "--by", "label", "--json"])
    counted = json.loads(mixture.output)
    assert set(counted) == {"ad", "news"}
    assert sum(r["documents"] for r in counted.values()) == 201
    assert counted["ad"]["characters"] == sum(len(r["text"]) for r in kept if r["label"] == "ad")
    wrong = runner.invoke(app, ["classifier", "train", str(source), "-o", str(model), "--set", "epoch=3"])
    assert "did you mean 'epochs'" in str(wrong.exception)


def test_probabilities_and_options() -> None:
    rows = labelled(120)
    texts, labels = [r["text"] for r in rows], [r["label"] for r in rows]
    for segmenter in ("rjieba", "jieba", "characters"):
        options = TrainOptions(segmenter=segmenter, dimension=8, buckets=1000, epochs=10)
        model = TextClassifier.train(texts, labels, options, threads=1)
        table = model.probabilities([texts[0], texts[1], ""])
        assert np.allclose(table.sum(axis=1), 1)
        assert [model.labels[i] for i in table[:2].argmax(axis=1)] == [labels[0], labels[1]]
        again = TextClassifier.train(texts, labels, options, threads=1)
        assert np.array_equal(again.probabilities(texts), model.probabilities(texts)), "one thread: the same model"
    with pytest.raises(ValueError, match="two labels"):
        TextClassifier.train(texts, ["one"] * len(texts))
    best, trials = tune(texts, labels, TrainOptions(dimension=8, buckets=1000))
    assert max(t["macro_f1"] for t in trials) == 1.0
    assert best.dimension == 8


def test_evaluation_equals_scikit_learn() -> None:
    rows = labelled(80)
    model = TextClassifier.train(
        [r["text"] for r in rows], [r["label"] for r in rows], TrainOptions(dimension=4, buckets=100, epochs=1)
    )
    test = labelled(50, 9)
    texts, labels = [r["text"] for r in test], [r["label"] for r in test]
    found = evaluation(model, texts, labels)
    predicted = model.best(texts)[0]
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0), abs=1e-4)
    assert found["accuracy"] == pytest.approx(np.mean(np.array(labels) == np.array(predicted)), abs=1e-4)


@pytest.mark.long
@pytest.mark.data
@pytest.mark.parametrize("name", ["labels_offensive_zh", "labels_news_zh"])
def test_accuracy_is_within_a_point_of_a_linear_model(name: str, real_data: Path) -> None:
    texts, labels, _ = read_labelled([str(real_data / f"{name}.jsonl.gz")])
    train, test = split(len(texts), 0.2, 0)
    # the settings that `--tune` finds for each
    options = (
        TrainOptions(learning_rate=0.1, epochs=8)
        if "offensive" in name
        else TrainOptions(loss="ova", learning_rate=0.4)
    )
    model = TextClassifier.train([texts[i] for i in train], [labels[i] for i in train], options, threads=1)
    ours = evaluation(model, [texts[i] for i in test], [labels[i] for i in test])["macro_f1"]
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
    linear = LogisticRegression(C=10, max_iter=1000).fit(
        vectorizer.fit_transform([texts[i] for i in train]), [labels[i] for i in train]
    )
    theirs = f1_score(
        [labels[i] for i in test], linear.predict(vectorizer.transform([texts[i] for i in test])), average="macro"
    )
    assert ours > theirs - 0.01, (ours, theirs)
