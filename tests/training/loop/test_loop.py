"""Runs: ZeRO stages, resume after kills, evaluation, preferences, phases, adapters, export, guards, Ray Train."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from raylib.errors import TrainingError
from tests.training.setup import SHAPES, config, losses, metrics
from training.config import TrainConfig
from training.inference.evaluate import evaluate_model
from training.inference.generate import Generator, Sampling
from training.loop import Loop
from training.loop.checkpoints import Checkpoints
from training.loop.folder import Result
from training.loop.guards import Watchdog, check_storage
from training.loop.launch import run
from training.model.export import export_model


def quiet(*_: Any) -> None: ...


def test_a_run_learns_and_says_what_it_did(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    made = config(tokens, tiny_model, tmp_path, steps=25, **{"optimizer.learning_rate": 5e-3, "data.evaluation": [{"path": tokens["pretrain"]}], "evaluate_every": 10})  # fmt: skip
    result = run(made, say=said.append)
    found = metrics(tmp_path / "run")
    assert result.finished and result.step == 25 == len(found) and Result.read(tmp_path / "run") == result
    assert found[-1]["loss"] < found[0]["loss"] - 0.5
    for name in ("lr", "grad_norm", "tokens", "tgs", "tflops", "seconds_data", "seconds_model", "memory_gb", "epoch"):
        assert name in found[0], name
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["config"]["optimizer"]["learning_rate"] == 5e-3 and facts["versions"]["torch"] and facts["command"]
    assert any("tokens in" in s and "samples" in s for s in said), "sizes are told before training"
    names = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert {"best", "final", "step-25"} == names
    with pytest.raises(TrainingError, match="another configuration"):
        run(config(tokens, tiny_model, tmp_path, steps=26), say=quiet)


def test_trap_28_29_31_a_killed_run_goes_on_bit_for_bit(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    changes: dict[str, Any] = {"epochs": 1.5, "steps": 0, "save_every": 3, "keep": 2, "model.shape": {**SHAPES["llama"], "attention_dropout": 0.1}}  # fmt: skip
    whole = run(config(tokens, tiny_model, tmp_path / "whole", **changes), say=quiet)
    expected = [(m["step"], m["loss"], m["lr"], m["tokens"]) for m in metrics(tmp_path / "whole" / "run")]
    assert whole.step > 6

    class Killed(Exception): ...

    for stop in (4, 7):

        def die(line: str, stop: int = stop) -> None:
            if line.startswith(f"step {stop}/"):
                raise Killed

        with pytest.raises(Killed):
            run(config(tokens, tiny_model, tmp_path / f"cut{stop}", **changes), say=die)
        run(config(tokens, tiny_model, tmp_path / f"cut{stop}", **changes), say=quiet)
        got = [(m["step"], m["loss"], m["lr"], m["tokens"]) for m in metrics(tmp_path / f"cut{stop}" / "run")]
        assert got == expected, "the same losses, rates and tokens to the last bit"
    a, b = (torch.load(tmp_path / n / "run" / "checkpoints" / f"step-{whole.step}" / "state.pt", weights_only=True) for n in ("whole", "cut4"))  # fmt: skip
    assert all(torch.equal(a["module"][k], b["module"][k]) for k in a["module"])


def test_trap_36_saving_never_loses_the_chain(tokens: dict[str, str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    made = config(tokens, tiny_model, tmp_path, steps=9, save_every=2, keep=2)
    from training.model.plain import PlainBackend

    original, saves = PlainBackend.save, []

    def failing(self: Any, folder: Path, writer: Any) -> None:
        saves.append(folder)
        original(self, folder, writer)
        if len(saves) == 4:

            def piece() -> None:
                (folder / "state.pt").write_bytes(b"half")
                raise OSError(28, "No space left on device")

            writer.submit(piece)

    monkeypatch.setattr(PlainBackend, "save", failing)
    with pytest.raises(OSError, match="space"):
        run(made, say=quiet)
    held = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert {"step-4", "step-6"} <= held and "step-8" not in held
    monkeypatch.undo()
    said: list[str] = []
    run(made, say=said.append)
    assert any("resumed from step-6" in s for s in said)
    left = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert left == {"step-8", "step-9", "final"}, "the last two, whole, and no temporary folders"


def test_trap_35_evaluation_is_independent_of_batches_and_restores_the_mode(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    run(config(tokens, tiny_model, tmp_path, steps=2), say=quiet)
    model = str(tmp_path / "run" / "checkpoints" / "final")
    found = [evaluate_model(model, [tokens["sft"], tokens["pretrain"]], length=128, micro=m) for m in (1, 3, 16)]
    assert all(f["perplexity"] == pytest.approx(found[0]["perplexity"], rel=1e-5) for f in found)
    loaded, total, count = AutoModelForCausalLM.from_pretrained(model), 0.0, 0
    from training.data.rows import rows_of

    for source in rows_of([tokens["sft"], tokens["pretrain"]], 128, packing=False):
        for i in range(source.count):
            for ids, targets in zip(source.row(i).ids, source.row(i).targets, strict=True):
                labels = torch.where(torch.tensor(targets[None] == 1), torch.tensor(ids.astype(np.int64)[None]), -100)
                n = int((labels[:, 1:] != -100).sum())
                if n:
                    with torch.no_grad():
                        total += n * float(
                            loaded(input_ids=torch.tensor(ids.astype(np.int64)[None]), labels=labels).loss
                        )
                    count += n
    assert found[0]["loss"] == pytest.approx(total / count, rel=1e-4)

    plain = metrics(tmp_path / "run")
    seen = run(config(tokens, tiny_model, tmp_path / "evaluated", steps=2, **{"data.evaluation": [{"path": tokens["pretrain"]}], "evaluate_every": 1, "model.shape": {**SHAPES["llama"], "attention_dropout": 0.0}}), say=quiet)  # fmt: skip
    assert seen.metrics["loss"] == plain[-1]["loss"], "evaluating between steps changes nothing"


def test_dpo_prefers_what_it_was_taught(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"objective": "dpo", "steps": 12, "optimizer.learning_rate": 2e-3, "data.evaluation": [{"path": tokens["preference"]}], "evaluate_every": 6}  # fmt: skip
    run(config(tokens, tiny_model, tmp_path / "a", **changes), say=quiet)
    found = metrics(tmp_path / "a" / "run")
    assert found[0]["loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert found[-1]["rewards/accuracies"] > 0.6 and found[-1]["rewards/margins"] > found[0]["rewards/margins"]
    online = config(tokens, tiny_model, tmp_path / "b", **{**changes, "dpo.reference": "online"})
    run(online, say=quiet)
    for x, y in zip(found, metrics(tmp_path / "b" / "run"), strict=True):
        assert x["loss"] == pytest.approx(y["loss"], abs=1e-5), "precomputed and online references agree (trap 19)"
    with pytest.raises(TrainingError, match="cannot learn from"):
        run(config(tokens, tiny_model, tmp_path / "c", objective="dpo", **{"data.train": [{"path": tokens["sft"]}]}), say=quiet)  # fmt: skip


def test_trap_19_the_reference_is_that_of_the_beginning_after_a_resume(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    changes: dict[str, Any] = {"objective": "dpo", "steps": 8, "save_every": 2, "optimizer.learning_rate": 2e-3}
    run(config(tokens, tiny_model, tmp_path / "whole", **changes), say=quiet)

    def die(line: str) -> None:
        if line.startswith("step 5/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(tokens, tiny_model, tmp_path / "cut", **changes), say=die)
    run(config(tokens, tiny_model, tmp_path / "cut", **changes), say=quiet)
    assert losses(tmp_path / "cut" / "run") == losses(tmp_path / "whole" / "run")


def test_phases_go_on_from_the_last_weights(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    phases = [{"name": "easy", "train": [{"path": tokens["sft"]}], "steps": 3}, {"name": "hard", "train": [{"path": tokens["pretrain"]}], "steps": 3, "learning_rate": 5e-4}]  # fmt: skip
    run(config(tokens, tiny_model, tmp_path, phases=phases, save_every=2), say=quiet)
    found = metrics(tmp_path / "run")
    assert [(m["phase"], m["step"]) for m in found] == [(p, s) for p in ("easy", "hard") for s in (1, 2, 3)]
    assert [m["total_step"] for m in found] == [1, 2, 3, 4, 5, 6]
    assert max(m["lr"] for m in found if m["phase"] == "hard") <= 5e-4
    easy, final = (AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoints" / n) for n in ("final-easy", "final"))  # fmt: skip
    again = run(TrainConfig.from_dict({**config(tokens, tiny_model, tmp_path / "alone", steps=3).describe(), "objective": "sft", "model": {"path": str(tmp_path / "run" / "checkpoints" / "final-easy"), "tokenizer": str(tiny_model), "dtype": "fp32"}, "data": {"train": [{"path": tokens["pretrain"]}], "sequence_length": 128}, "optimizer": {"learning_rate": 5e-4}}), say=quiet)  # fmt: skip
    assert again.metrics["loss"] == pytest.approx(found[-1]["loss"], abs=1e-5), "the second phase is a run from the first one's weights"  # fmt: skip
    assert any(not torch.equal(a, b) for a, b in zip(easy.parameters(), final.parameters(), strict=True))


def test_phases_resume_in_the_middle(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    phases = [
        {"name": n, "train": [{"path": tokens[k]}], "steps": 4} for n, k in (("easy", "sft"), ("hard", "pretrain"))
    ]
    run(config(tokens, tiny_model, tmp_path / "whole", phases=phases, save_every=2), say=quiet)

    def die(line: str) -> None:
        if line.startswith("hard step 3/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config(tokens, tiny_model, tmp_path / "cut", phases=phases, save_every=2), say=die)
    run(config(tokens, tiny_model, tmp_path / "cut", phases=phases, save_every=2), say=quiet)
    assert losses(tmp_path / "cut" / "run") == losses(tmp_path / "whole" / "run")


def test_lora_trains_little_and_is_merged(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    run(config(tokens, tiny_model, tmp_path / "base", steps=3), say=quiet)
    base = tmp_path / "base" / "run" / "checkpoints" / "final"
    made = config(tokens, tiny_model, tmp_path / "lora", steps=6, **{"model.path": str(base), "model.shape": {}, "model.lora_rank": 4, "optimizer.learning_rate": 1e-2})  # fmt: skip
    loop = Loop(made, tmp_path / "lora" / "run", say=quiet)
    loop.run()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "lora" / "run" / "checkpoints" / "final")
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        adapted = loop.module.model.eval()(input_ids=ids).logits
        assert torch.allclose(merged(input_ids=ids).logits, adapted, atol=1e-4)
        assert not torch.allclose(AutoModelForCausalLM.from_pretrained(base)(input_ids=ids).logits, adapted, atol=1e-3)


def test_trap_42_a_loss_that_is_no_number_is_skipped_or_stops(tokens: dict[str, str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from training.objectives import Causal

    original, calls = Causal.loss, []

    def broken(self: Any, scorer: Any, batch: Any, counts: Any) -> Any:
        loss, sums = original(self, scorer, batch, counts)
        calls.append(1)
        return (loss * float("nan") if len(calls) in (3, 4) else loss), sums

    monkeypatch.setattr(Causal, "loss", broken)
    said: list[str] = []
    result = run(config(tokens, tiny_model, tmp_path / "a", steps=4), say=said.append)
    assert result.step == 4 and any("skipped" in s for s in said)
    weights = AutoModelForCausalLM.from_pretrained(tmp_path / "a" / "run" / "checkpoints" / "final").parameters()
    assert all(torch.isfinite(p).all() for p in weights)
    calls.clear()
    with pytest.raises(TrainingError, match="no finite number"):
        run(config(tokens, tiny_model, tmp_path / "b", steps=4, non_finite="stop"), say=quiet)


def test_storage_guard_saves_and_stops(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    said: list[str] = []
    made = config(tokens, tiny_model, tmp_path, steps=4, storage_warn=1e-6, storage_stop=1e-6)
    result = run(made, say=said.append)
    assert not result.finished and result.step == 1 and Result.read(tmp_path / "run") == result
    assert (tmp_path / "run" / "checkpoints" / "step-1" / "complete.json").is_file()
    assert any("saved and stopped" in s for s in said)
    assert not check_storage(tmp_path, config(tokens, tiny_model, tmp_path, storage_warn=1.0, storage_stop=1.0), quiet)


def test_the_watchdog_leaves_stacks_and_ends_the_worker(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from training.guards import Watchdog\nwith Watchdog(0.02, Path(sys.argv[1])): time.sleep(60)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "stacks.txt")], timeout=50, check=False)
    assert done.returncode == 75
    assert "no step for" in (tmp_path / "stacks.txt").read_text() and "Thread" in (tmp_path / "stacks.txt").read_text()
    with Watchdog(0, tmp_path / "none.txt"):
        pass


def test_export_and_generate(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    run(config(tokens, tiny_model, tmp_path, steps=2), say=quiet)
    out = export_model(tmp_path / "run", tmp_path / "served", dtype="bf16")
    model = AutoModelForCausalLM.from_pretrained(out)
    assert next(model.parameters()).dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(out).chat_template
    with pytest.raises(TrainingError, match="it has final"):
        export_model(tmp_path / "run", tmp_path / "x", "best")
    made = Generator(str(tmp_path / "run" / "checkpoints" / "final"))
    asked = [[{"role": "user", "content": q}] for q in ("茶", "介绍一下老火车站的历史。", "花")]
    together = made.answer(asked, Sampling(max_new_tokens=8), batch=3)
    assert together == [made.answer([a], Sampling(max_new_tokens=8))[0] for a in asked], "batches change nothing"


def test_a_memorised_answer_is_generated_and_stops(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    from tests.training.setup import write
    from training.data.tokens import tokenize

    talk = [{"role": "user", "content": "茶是什么？"}, {"role": "assistant", "content": "茶是一种饮料。\n汤色清亮。"}]
    tokenize([write(tmp_path / "one.jsonl", [{"id": str(i), "messages": talk} for i in range(4)])], tmp_path / "one", str(tiny_model))  # fmt: skip
    run(config(tokens, tiny_model, tmp_path, steps=60, **{"data.train": [{"path": str(tmp_path / "one")}], "optimizer.learning_rate": 1e-2, "data.packing": False}), say=quiet)  # fmt: skip
    made = Generator(str(tmp_path / "run" / "checkpoints" / "final"))
    assert made.answer([talk[:1]], Sampling(max_new_tokens=60)) == [talk[1]["content"]], "all of it, and no more"


def test_checkpoints_of_an_older_run_do_not_evict(tmp_path: Path) -> None:
    from training.model.world import World

    held = Checkpoints(tmp_path, World(), 2)
    (tmp_path / "step-99").mkdir()  # not complete: of a crash
    assert held.latest() is None
    (tmp_path / "step-5").mkdir()
    (tmp_path / "step-5" / "complete.json").write_bytes(orjson.dumps({"step": 5}))
    found = held.latest()
    assert found is not None and found[1]["step"] == 5


# ---- DeepSpeed, several workers -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_trap_04_05_33_zero_stages_equal_plain_pytorch(stage: int, tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    changes: dict[str, Any] = {"steps": 5, "data.evaluation": [{"path": tokens["pretrain"]}], "evaluate_every": 5}
    run(config(tokens, tiny_model, tmp_path / "plain", **changes), say=quiet)
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": stage}
    run(config(tokens, tiny_model, tmp_path / "zero", micro_batch=1, parallel=parallel, **changes), mode="local")
    ours, plain = metrics(tmp_path / "zero" / "run"), metrics(tmp_path / "plain" / "run")
    for a, b in zip(ours, plain, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-4)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3), "whatever the number of micro-batches"
        assert a["tokens"] == b["tokens"]
    x, y = (AutoModelForCausalLM.from_pretrained(tmp_path / n / "run" / "checkpoints" / "final", dtype=torch.float32) for n in ("zero", "plain"))  # fmt: skip
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        assert torch.allclose(x(input_ids=ids).logits, y(input_ids=ids).logits, atol=2e-3 if stage == 3 else 1e-4)


_DRIVER = """
import sys, json
from training.config import TrainConfig
from training.launch import run
run(TrainConfig.from_dict(json.loads(sys.argv[1])), mode="local")
"""


@pytest.mark.slow
@pytest.mark.faults
def test_killed_workers_resume_bit_for_bit_under_zero_2(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    import psutil

    def made(out: Path) -> TrainConfig:
        parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2}
        return config(tokens, tiny_model, out, steps=14, save_every=3, micro_batch=1, parallel=parallel)

    run(made(tmp_path / "whole"), mode="local")
    expected = losses(tmp_path / "whole" / "run")
    for where, kill_worker in (("driver", False), ("worker", True)):
        out = tmp_path / where
        process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER, json.dumps(made(out).describe())], start_new_session=True
        )
        lines = out / "run" / "metrics.jsonl"
        for _ in range(600):
            if lines.is_file() and lines.read_text().count("\n") >= 5:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the run did not begin")
        family = psutil.Process(process.pid).children(recursive=True)
        if kill_worker:
            workers = [p for p in family if "training.loop.worker" in " ".join(p.cmdline()) and "torch.distributed.run" not in " ".join(p.cmdline())]  # fmt: skip
            os.kill(workers[-1].pid, signal.SIGKILL)
            process.wait(60)
        else:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
            for p in family:
                if p.is_running():
                    p.kill()
        run(made(out), mode="local")
        assert losses(out / "run") == expected, where


@pytest.mark.long
@pytest.mark.parametrize("stage", [2, 3])
def test_trap_32_a_run_goes_on_with_fewer_workers(stage: int, tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    def made(out: Path, workers: int) -> TrainConfig:
        parallel = {"backend": "deepspeed", "workers": workers, "zero_stage": stage}
        return config(tokens, tiny_model, out, steps=8, save_every=4, micro_batch=1, parallel=parallel)

    run(made(tmp_path / "whole", 2), mode="local")
    expected = losses(tmp_path / "whole" / "run")
    run(made(tmp_path / "cut", 2), mode="local")
    for name in ("step-8", "final"):  # as if it had been killed after its first checkpoint
        import shutil

        shutil.rmtree(tmp_path / "cut" / "run" / "checkpoints" / name)
    run(made(tmp_path / "cut", 1), mode="local")
    got = metrics(tmp_path / "cut" / "run")
    assert [m["loss"] for m in got] == pytest.approx(expected, abs=1e-4)
    assert json.loads((tmp_path / "cut" / "run" / "run.json").read_text())["workers"] == 1


@pytest.mark.slow
def test_trap_07_small_updates_reach_the_float32_weights_under_bf16(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    made = config(tokens, tiny_model, tmp_path, steps=2, save_every=1, micro_batch=2, parallel={"backend": "deepspeed", "zero_stage": 2}, **{"model.dtype": "bf16", "optimizer.learning_rate": 1e-6, "optimizer.schedule": "constant", "optimizer.warmup": 0})  # fmt: skip
    run(made, mode="local")
    found = []
    for step in (1, 2):
        folder = tmp_path / "run" / "checkpoints" / f"step-{step}" / "deepspeed"
        (states,) = folder.glob("*optim_states.pt")
        held = torch.load(states, weights_only=False)["optimizer_state_dict"]["single_partition_of_fp32_groups"]
        (weights,) = folder.glob("mp_rank_*.pt")
        found.append((torch.cat(list(held)), torch.load(weights, weights_only=False)["module"]))
    (master, weights), (later, weights_later) = found
    assert master.dtype is torch.float32
    moved = (master != later).float().mean()
    same = [float((weights[k] == weights_later[k]).float().mean()) for k in weights]
    assert moved > 0.5, "an update below the step of bf16 is kept in float32"
    assert all(w.dtype is torch.bfloat16 for w in weights.values()) and np.mean(same) > 0.9, "and not yet seen in bf16"
    plain = run(config(tokens, tiny_model, tmp_path / "plain", steps=2, **{"optimizer.learning_rate": 1e-6}), say=quiet)
    assert losses(tmp_path / "run")[-1] == pytest.approx(plain.metrics["loss"], rel=0.01)


@pytest.mark.slow
def test_compiled_layers_give_the_same_losses(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    for name, compiled in (("plain", False), ("compiled", True)):
        run(config(tokens, tiny_model, tmp_path / name, steps=2, **{"model.compile": compiled}), say=quiet)
    assert losses(tmp_path / "compiled" / "run") == pytest.approx(losses(tmp_path / "plain" / "run"), abs=1e-4)
    AutoModelForCausalLM.from_pretrained(tmp_path / "compiled" / "run" / "checkpoints" / "final")


@pytest.mark.parametrize("kind", ["qwen2", "mistral"])
def test_other_models_learn_and_are_exported(kind: str, tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:  # fmt: skip
    made = config(tokens, tiny_model, tmp_path, steps=12, **{"model.shape": SHAPES[kind], "optimizer.learning_rate": 5e-3})  # fmt: skip
    loop = Loop(made, tmp_path / "run", say=quiet)
    loop.run()
    found = losses(tmp_path / "run")
    assert found[-1] < found[0] - 0.3
    exported, ids = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoints" / "final").eval(), torch.arange(5, 25)[None]  # fmt: skip
    assert exported.config.model_type == kind
    with torch.no_grad():
        assert torch.allclose(exported(input_ids=ids).logits, loop.module.model.eval()(input_ids=ids).logits, atol=1e-5)


def test_a_slow_reader_is_named() -> None:
    from training.loop.guards import Reading
    from training.model.world import World

    class Four(World):
        def __init__(self, mine: int) -> None:
            self.rank, self.size = mine, 4

        def gather(self, value: Any) -> list[Any]:
            _rank, _host, speed, seconds = value
            return [(r, f"node{r}", speed / (10 if r == 2 else 1), seconds * (10 if r == 2 else 1)) for r in range(4)]

    said: list[str] = []
    reading = Reading(every=2)
    reading.add(1000, 0.1)
    assert reading.compare(Four(0), 1, said.append) == {} and not said
    reading.add(1000, 0.1)
    found = reading.compare(Four(0), 2, said.append)
    assert found["read_median"] == pytest.approx(10_000) and found["read_slowest"] == pytest.approx(1000)
    assert len(said) == 1 and "worker 2 on node2" in said[0]


@pytest.mark.slow
def test_metrics_go_to_wandb_too(tokens: dict[str, str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run(config(tokens, tiny_model, tmp_path, steps=2, wandb="raylib-test"), say=quiet)
    (held,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-run.wandb")
    content = held.read_bytes()
    assert b"grad_norm" in content and b"raylib-test" in content


@pytest.mark.slow
@pytest.mark.cluster
def test_ray_train_starts_the_same_run(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    import ray

    ray.shutdown()
    changes: dict[str, Any] = {"steps": 4, "save_every": 2}
    run(config(tokens, tiny_model, tmp_path / "plain", **changes), say=quiet)
    parallel = {"backend": "deepspeed", "workers": 2, "zero_stage": 2, "gpus": "no"}
    try:
        result = run(config(tokens, tiny_model, tmp_path / "ray", micro_batch=1, parallel=parallel, **changes), mode="ray")  # fmt: skip
        assert result.finished and result.step == 4
        assert losses(tmp_path / "ray" / "run") == pytest.approx(losses(tmp_path / "plain" / "run"), abs=1e-4)
        with pytest.raises(TrainingError, match="no token folder"):
            run(config(tokens, tiny_model, tmp_path / "bad", micro_batch=1, parallel={**parallel, "max_failures": 0}, **{"data.train": [{"path": str(tmp_path)}]}), mode="ray")  # fmt: skip
    finally:
        ray.shutdown()
