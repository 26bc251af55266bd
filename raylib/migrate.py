"""Recipes and training configurations out of those of data-juicer and LLaMA-Factory: `raylib import FILE`.

What has a counterpart is carried over, with its values; what has none is told in a comment, with what to use instead.
Nothing is passed over in silence. Names and meanings are those of the programs' documentation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from raylib.errors import RecipeError

__all__ = ["Converted", "convert", "convert_file", "operators_markdown"]

Parameters = Mapping[str, Any]


@dataclass
class Converted:
    """kind: recipe or training. data: as YAML holds it. notes: what was not, or not exactly, carried over."""

    kind: str
    data: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def to_yaml(self) -> str:
        """The file, notes first."""
        head = "".join(f"# {line}\n" for note in self.notes for line in note.splitlines())
        return head + yaml.safe_dump(self.data, sort_keys=False, allow_unicode=True, width=120)


def convert_file(path: str | Path) -> Converted:
    """Read and convert. Raises RecipeError when it is neither program's, with what it should hold."""
    try:
        data = yaml.safe_load(Path(path).read_text("utf-8-sig"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML: {error}") from None
    return convert(data, str(path))


def convert(data: Any, where: str = "configuration") -> Converted:
    """Convert a configuration; see `convert_file`."""
    if isinstance(data, dict) and isinstance(data.get("process"), list):
        return _data_juicer(data, where)
    if isinstance(data, dict) and "model_name_or_path" in data:
        return _llama_factory(data)
    raise RecipeError(f"{where}: neither a recipe of data-juicer (with `process`) nor a configuration of LLaMA-Factory (with `model_name_or_path`)")  # fmt: skip


# ---- data-juicer ----------------------------------------------------------------------------------

Stage = Any
Rule = Callable[[Parameters], tuple[list[Stage], str]]


class _Read(Mapping[str, Any]):
    """Parameters of an operator that remember which of them a rule has looked at."""

    def __init__(self, given: Parameters) -> None:
        self._given, self.seen = given, set[str]()

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def left(self) -> list[str]:
        """Those that nobody has looked at and that say something (nulls, zeros and false are off)."""
        return sorted(n for n, v in self._given.items() if n not in self.seen and n not in _JUICER_SILENT and v)  # fmt: skip


# parameters about how an operator runs, not about what it does
_JUICER_SILENT = {"batch_size", "num_proc", "text_key", "cpu_required", "mem_required", "accelerator", "skip_op_error"}


def _as(name: str, note: str = "", defaults: Parameters | None = None, **names: str) -> Rule:
    """A stage with some parameters under other names; `defaults` are theirs where ours differ."""

    def rule(p: Parameters) -> tuple[list[Stage], str]:
        made = dict(defaults or {})
        for ours, theirs in names.items():
            value = p.get(theirs)
            if value is not None and not (isinstance(value, int | float) and value >= 1 << 31):  # sys.maxsize: no limit
                made[ours] = value
        return [{name: made} if made else name], note

    return rule


def _without(note: str) -> Rule:
    """No stage: the note says what to use."""
    return lambda p: ([], note)


def _language(p: Parameters) -> tuple[list[Stage], str]:
    wanted = p.get("lang") or []
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    if not wanted:
        return [], "without `lang` it filters nothing"
    note = "our detector has no `min_score`: short texts are judged by script" if "min_score" in p else ""
    return [{"language": {"allowed": wanted}}], note


def _convert_chinese(p: Parameters) -> tuple[list[Stage], str]:
    mode = str(p.get("mode", "s2t"))
    return [{"to_simplified": {"direction": mode}}] if mode != "t2s" else ["to_simplified"], ""


def _personal(kind: str) -> Rule:
    return lambda p: ([{"remove_personal_data": {"kinds": [kind]}}], "")


def _repetition(p: Parameters) -> tuple[list[Stage], str]:
    made = {"n": int(p.get("rep_len", 10)), "max": float(p.get("max_ratio", 0.5))}
    return [
        {"character_repetition": made}
    ], "the share of n-grams that occurred before, in place of the share of the most frequent ones"


def _letters(p: Parameters) -> tuple[list[Stage], str]:
    stages, _ = _as("alphanumeric_ratio", min="min_ratio", max="max_ratio")(p)
    return stages, "letters and digits among characters, not among a tokenizer's tokens" if p.get(
        "tokenization"
    ) else ""


def _exact(p: Parameters) -> tuple[list[Stage], str]:
    folded = p.get("lowercase") and p.get("ignore_non_character")
    return [
        "exact_dedup"
    ], "" if folded else "texts that differ in width, case, white space and punctuation only count as equal here"


def _minhash(p: Parameters) -> tuple[list[Stage], str]:
    made: dict[str, Any] = {"threshold": float(p.get("jaccard_threshold", 0.7)), "ngram": int(p.get("window_size", 5))}
    if p.get("num_permutations"):
        made["permutations"] = int(p["num_permutations"])
    for name in ("num_bands", "num_rows_per_band", "lowercase", "ignore_pattern", "hash_func", "union_find_parallel_num", "union_threshold", "max_pending_edge_buffer_task", "num_edge_buffer_task_returns", "max_pending_filter_tasks", "num_filter_task_returns", "merge_batch_size", "hashtable_memory_limit"):  # fmt: skip
        p.get(name)  # bands are chosen by the threshold, texts are folded, and the shuffle has no knobs of this kind
    note = "" if p.get("tokenization", "space") == "character" else "shingles are characters here (`unit: word` for words), which Chinese needs"  # fmt: skip
    return [{"minhash_dedup": made}], note


def _field(name: str) -> str:
    """A field of theirs as an expression of ours: what is no column of ours is in `meta`."""
    for prefix in ("meta.", "__dj__stats__.", "__dj__meta__."):
        name = name.removeprefix(prefix)
    if name in ("text", "source", "id", ""):
        return name
    return "meta" + "".join(
        f".{p}" if p.isidentifier() else f"[{json.dumps(p, ensure_ascii=False)}]" for p in name.split(".")
    )


def _number(p: Parameters) -> tuple[list[Stage], str]:
    name = _field(str(p.get("field_key", "")))
    tests = [f"{name} {sign} {p[key]}" for sign, key in ((">=", "min_value"), ("<=", "max_value")) if p.get(key) is not None and abs(p[key]) < 1 << 31]  # fmt: skip
    return (
        ([{"keep_where": " and ".join(tests)}], "")
        if name and tests
        else ([], "without a field and a limit it filters nothing")
    )


def _values(p: Parameters) -> tuple[list[Stage], str]:
    name, values = _field(str(p.get("field_key", ""))), list(p.get("target_value") or [])
    if not name or not values:
        return [], "without a field and values it filters nothing"
    return [{"keep_where": f"{name} in ({', '.join(repr(v) if isinstance(v, int | float) else json.dumps(str(v), ensure_ascii=False) for v in values)},)"}], ""  # fmt: skip


_OPERATORS: dict[str, Rule] = {
    "chinese_convert_mapper": _convert_chinese,
    "fix_unicode_mapper": _as("fix_encoding"),
    "punctuation_normalization_mapper": _as("normalise_characters"),
    "whitespace_normalization_mapper": _as("normalise_whitespace"),
    "clean_links_mapper": _as("remove_urls", placeholder="repl"),
    "clean_html_mapper": _as("strip_markup"),
    "clean_email_mapper": _personal("email"),
    "clean_ip_mapper": _personal("ip"),
    "remove_repeat_sentences_mapper": _as("remove_repeats", "repeated phrases go, at least `min_length` characters long"),
    "remove_table_text_mapper": _as("table_page", "rejects pages that are tables, rather than cutting tables out"),
    "remove_specific_chars_mapper": _as("keep_valid_characters", "keeps what is text, rather than dropping a list"),
    "remove_non_chinese_character_mapper": _as("keep_valid_characters", "keeps Latin letters and digits too"),
    "remove_bibliography_mapper": _as("cut_boilerplate_ends", "cuts known endings of pages"),
    "text_length_filter": _as("length", defaults={"min": 10}, min="min_len", max="max_len"),
    "language_id_score_filter": _language,
    "alphanumeric_filter": _letters,
    "special_characters_filter": _as("symbol_ratio", "ordinary punctuation, digits and spaces do not count as special here", {"max": 0.25}, max="max_ratio"),
    "average_line_length_filter": _as("line_length", "lines without text do not count", {"min_mean": 10}, min_mean="min_len", max_mean="max_len"),
    "maximum_line_length_filter": _as("line_length", "", {"min_longest": 10, "min_mean": 0}, min_longest="min_len"),
    "character_repetition_filter": _repetition,
    "word_repetition_filter": _as("repetition", "duplicate lines and paragraphs, and n-grams of characters, in place of n-grams of words"),
    "flagged_words_filter": _as("sensitive", "by words found, not by their share; point `lexicon` at your own list"),
    "stopwords_filter": _without("no list of stop words: `garbled` and `common_character_ratio` find text that is no language"),
    "perplexity_filter": lambda p: ([], f"needs a model of yours: `- perplexity: {{model: FOLDER}}`, then `- keep_where: perplexity < {p.get('max_ppl', 1500)}`"),
    "llm_quality_score_filter": _without("`- judge: {model: NAME, base_url: ADDRESS}`, then `- keep_where: quality >= 4`"),
    "llm_difficulty_score_filter": _without("`- difficulty_features` needs no model; `- ifd: {model: FOLDER}` measures with one"),
    "specified_numeric_field_filter": _number,
    "specified_field_filter": _values,
    "document_deduplicator": _exact,
    "ray_document_deduplicator": _exact,
    "document_minhash_deduplicator": _minhash,
    "ray_bts_minhash_deduplicator": _minhash,
    "document_simhash_deduplicator": _as("minhash_dedup", "MinHash in place of SimHash: Jaccard of shingles, not Hamming distance"),
    "document_line_deduplicator": _as("line_dedup"),
    "topk_specified_field_selector": _without("`- select: {k: NUMBER, by: COLUMN}`, and with `diverse: true` not only the best but different ones"),
    "random_selector": _without("`raylib run --limit N` for a look; `- resample` for a share of each domain"),
}  # fmt: skip


def operators_markdown() -> str:
    """The table of operators for docs/migration.md: theirs, ours with the values that follow from theirs, what differs."""
    lines = ["| data-juicer | raylib | what differs |", "|---|---|---|"]
    examples: dict[str, Parameters] = {
        "language_id_score_filter": {"lang": "zh"},
        "specified_numeric_field_filter": {"field_key": "meta.score", "min_value": 4},
        "specified_field_filter": {"field_key": "source", "target_value": ["wiki", "news"]},
        "chinese_convert_mapper": {"mode": "t2s"},
    }
    for name in sorted(_OPERATORS):
        made, note = _OPERATORS[name](examples.get(name, {}))
        stages = ", ".join(yaml.safe_dump(s, default_flow_style=True, width=1000, allow_unicode=True).removesuffix("...\n").strip() for s in made)  # fmt: skip
        stages = stages.removeprefix("{").removesuffix("}") if stages.startswith("{") else stages
        lines.append(f"| {name} | {f'`{stages}`' if stages else ''} | {note} |")
    return "\n".join(lines) + "\n"


_JUICER_KEYS = {"project_name", "dataset_path", "export_path", "np", "text_keys", "process"}
_JUICER_IRRELEVANT = {"open_tracer", "use_cache", "ds_cache_dir", "executor_type", "ray_address", "open_monitor", "use_checkpoint", "temp_dir", "op_fusion", "cache_compress", "keep_stats_in_res_ds", "keep_hashes_in_res_ds", "trace_num", "export_shard_size", "export_in_parallel", "suffixes"}  # fmt: skip


def _data_juicer(data: Mapping[str, Any], where: str) -> Converted:
    stages: list[Stage] = []
    notes = [f"made from {where} by `raylib import`"]
    for item in data["process"]:
        name, given = (item, {}) if isinstance(item, str) else next(iter(item.items()))
        rule = _OPERATORS.get(name)
        if rule is None:
            notes.append(f"{name}: no counterpart; `raylib rules` lists what there is")
            continue
        parameters = _Read(given or {})
        made, note = rule(parameters)
        stages += made
        if note:
            notes.append(f"{name}: {note}")
        if parameters.left():
            notes.append(f"{name}: not carried over: {', '.join(parameters.left())}")
    text = data.get("text_keys")
    source: dict[str, Any] = {"path": data.get("dataset_path", "IN"), "kind": "document"}
    if text and text not in ("text", ["text"]):
        source["text"] = text
    export = str(data.get("export_path", "out"))
    out: dict[str, Any] = {"path": export.rsplit(".jsonl", 1)[0]}
    if ".jsonl" in export:
        out["format"] = "jsonl"
    made_recipe = {"name": str(data.get("project_name", "imported")), "input": source, "output": out, "stages": stages}
    if data.get("np"):
        made_recipe["engine"] = {"actors": int(data["np"])}
    unknown = sorted(set(data) - _JUICER_KEYS - _JUICER_IRRELEVANT)
    if unknown:
        notes.append(f"not carried over: {', '.join(unknown)}")
    from raylib.recipe import Recipe

    Recipe.from_dict(made_recipe, where)
    return Converted("recipe", made_recipe, notes)


# ---- LLaMA-Factory --------------------------------------------------------------------------------

_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant", "constant_with_warmup": "constant", "cosine_with_min_lr": "cosine", "warmup_stable_decay": "wsd"}  # fmt: skip
_LOSSES = {"sigmoid": "sigmoid", "ipo": "ipo", "hinge": "hinge"}
_TEMPLATES = {"qwen": "qwen", "qwen3": "auto", "llama3": "llama3", "llama2": "llama2", "mistral": "mistral", "chatml": "chatml", "default": "plain"}  # fmt: skip


def _llama_factory(data: Mapping[str, Any]) -> Converted:
    left = dict(data)

    def take(name: str, default: Any = None) -> Any:
        return left.pop(name, default)

    notes = ["made from a configuration of LLaMA-Factory by `raylib import`"]
    stage = take("stage", "sft")
    objective = {"pt": "pretrain", "sft": "sft", "dpo": "dpo"}.get(stage)
    if objective is None:
        raise RecipeError(f"stage {stage!r}: pt, sft and dpo have a counterpart")
    model: dict[str, Any] = {"path": take("model_name_or_path")}
    half, brain = take("fp16", False), take("bf16", True)
    model["dtype"] = "fp16" if half else "bf16" if brain else "fp32"
    model["checkpointing"] = not take("disable_gradient_checkpointing", False)
    attention = take("flash_attn", "auto")
    if attention == "fa2":
        model["attention"] = "flash"
    if take("enable_liger_kernel", False):
        model["kernels"] = "liger"
    if take("resize_vocab", False):
        model["extend_vocabulary"] = True
    kind = take("finetuning_type", "lora")
    rank, alpha, dropout, target = take("lora_rank", 8), take("lora_alpha"), take("lora_dropout", 0.0), take("lora_target", "all")  # fmt: skip
    if kind == "lora":
        model |= {"lora_rank": int(rank), "lora_alpha": int(alpha or 2 * int(rank))}
        if dropout:
            model["lora_dropout"] = float(dropout)
        names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] if target == "all" else [t.strip() for t in str(target).split(",")]  # fmt: skip
        model["lora_targets"] = names
    elif kind != "full":
        notes.append(f"finetuning_type {kind}: not there; everything is trained")
    length = int(take("cutoff_len", 2048))
    sets = [s.strip() for s in str(take("dataset", "train")).split(",")]
    held = [s.strip() for s in str(take("eval_dataset", "") or "").split(",") if s.strip()]
    template = _TEMPLATES.get(str(take("template", "default")), "auto")
    take("dataset_dir")
    for name in (*sets, *held):
        extra = "" if objective == "pretrain" else f" --template {template} --max-tokens {length}"
        notes.append(f"first: raylib tokenize FILES_OF_{name} -o tokens/{name} --tokenizer {model['path']}{extra}")
    settings: dict[str, Any] = {"train": [{"path": f"tokens/{n}"} for n in sets], "sequence_length": length}
    if held:
        settings["evaluation"] = [{"path": f"tokens/{n}"} for n in held]
    packing = take("packing", objective == "pretrain")
    take("neat_packing")
    settings["packing"] = bool(packing)
    weights = take("interleave_probs")
    if weights:
        for source, share in zip(settings["train"], str(weights).split(","), strict=False):
            source["share"] = float(share)
    steps_of_warmup, share_of_warmup = take("warmup_steps", 0), take("warmup_ratio", 0.0)
    schedule = str(take("lr_scheduler_type", "linear"))
    if schedule not in _SCHEDULES:
        notes.append(f"lr_scheduler_type {schedule}: not there; cosine is used")
    optimizer = {
        "learning_rate": float(take("learning_rate", 5e-5)), "betas": [float(take("adam_beta1", 0.9)), float(take("adam_beta2", 0.999))],
        "weight_decay": float(take("weight_decay", 0.0)), "clip": float(take("max_grad_norm", 1.0)),
        "schedule": _SCHEDULES.get(schedule, "cosine"), "warmup": float(steps_of_warmup or share_of_warmup or 0),
    }  # fmt: skip
    micro, accumulation = int(take("per_device_train_batch_size", 8)), int(take("gradient_accumulation_steps", 1))
    zero = str(take("deepspeed", "") or "")
    level = next((int(c) for c in "3210" if f"z{c}" in zero or f"zero{c}" in zero), 2)
    made: dict[str, Any] = {
        "objective": objective, "output": str(take("output_dir", "out/train")), "model": model, "data": settings, "optimizer": optimizer,
        "parallel": {"workers": 1, "zero_stage": level, **({"offload": True} if "offload" in zero else {})},
        "batch": micro * accumulation, "micro_batch": micro,
    }  # fmt: skip
    notes.append("batch is for one worker: with N workers set parallel.workers to N and batch to N times as much")
    limit = int(take("max_steps", -1) or -1)
    epochs = float(take("num_train_epochs", 3.0))
    made |= {"steps": limit} if limit > 0 else {"epochs": epochs}
    for theirs, ours in (("save_steps", "save_every"), ("eval_steps", "evaluate_every"), ("logging_steps", "log_every"), ("save_total_limit", "keep"), ("seed", "seed")):  # fmt: skip
        if theirs in left:
            made[ours] = int(take(theirs))
    if take("report_to") == "wandb":
        made["wandb"] = "raylib"
    run = take("run_name")
    if run:
        made["name"] = str(run)
    if objective == "dpo":
        loss = str(take("pref_loss", "sigmoid"))
        if loss not in _LOSSES:
            notes.append(f"pref_loss {loss}: not there; sigmoid is used")
        made["dpo"] = {"beta": float(take("pref_beta", 0.1)), "loss": _LOSSES.get(loss, "sigmoid"), "sft_weight": float(take("pref_ftx", 0.0))}  # fmt: skip
        smoothing = float(take("dpo_label_smoothing", 0.0))
        if smoothing:
            made["dpo"]["label_smoothing"] = smoothing
    for name in ("do_train", "do_eval", "overwrite_output_dir", "overwrite_cache", "preprocessing_num_workers", "dataloader_num_workers", "plot_loss", "ddp_timeout", "tokenized_path", "eval_strategy", "evaluation_strategy", "save_only_model", "resume_from_checkpoint", "per_device_eval_batch_size", "ref_model"):  # fmt: skip
        left.pop(name, None)
    if left.pop("trust_remote_code", False):
        notes.append("trust_remote_code: never; the model must be one that transformers knows")
    if left.pop("val_size", None):
        notes.append("val_size: hold records out before tokenising, and name them in data.evaluation")
    if left:
        notes.append(f"not carried over: {', '.join(sorted(left))}")
    from training.config import TrainConfig

    TrainConfig.from_dict(made, "converted")
    return Converted("training", made, notes)
