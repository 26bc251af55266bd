"""The example from raw text to an aligned model, shortened, on the bundled sample."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner


@pytest.mark.long
def test_from_raw_text_to_an_aligned_model(tmp_path: Path) -> None:
    import typer

    from examples.end_to_end.run import main

    app = typer.Typer()
    app.command()(main)
    done = CliRunner().invoke(app, ["-o", str(tmp_path / "out"), "--scale", "0.2"])
    assert done.exit_code == 0, (done.output[-2000:], done.exception)
    facts = json.loads((tmp_path / "out" / "facts.json").read_text())
    losses = [s["loss"] for s in facts["pretrain"]["steps"]]
    assert losses[-1] < losses[0]
    pretrained = facts["pretrain"]["evaluations"][-1]["eval/perplexity"]
    for name in ("sft-phases", "sft-control"):
        found = [e["eval/perplexity"] for e in facts[name]["evaluations"]]
        assert found[-1] < 0.8 * min(found[0], pretrained)
        assert {e["phase"] for e in facts[name]["evaluations"]} == {"stage1", "stage2", "stage3"}
    assert facts["accuracy"][-1] > 0.6
    assert facts["accuracy"][-1] >= facts["accuracy"][0]
    margins = [s["rewards/margins"] for s in facts["dpo"]["steps"]]
    assert margins[-1] > margins[0]
    assert set(facts["win_rates"]) == {"DPO against SFT", "phases against random phases"}
    assert any(s[name] for s in facts["samples"] for name in ("DPO", "SFT in phases")), "the models say something"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert page.count("<svg") >= 6
    assert "http" not in page
