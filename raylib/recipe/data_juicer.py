"""data-juicer recipes converted to recipes of raylib."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pydantic
import yaml

from raylib.errors import RecipeError
from raylib.recipe.converted import Converted
from raylib.recipe.recipe import Recipe
from raylib.user_yaml import read_document

__all__ = ["RECOGNISED_BY", "convert", "matches", "operators", "operators_markdown"]

RECOGNISED_BY = "a data-juicer recipe (a mapping with the list `process`)"
_NO_LIMIT = 1 << 31  # theirs is sys.maxsize

Parameters = Mapping[str, object]
Stage = str | dict[str, object]
Made = tuple[list[Stage], str]  # stages, and a note about what differs


class _Read(Mapping[str, object]):
    """Parameters of an operator that remember which of them a rule has looked at."""

    def __init__(self, given: Parameters) -> None:
        self._given, self.seen = given, set[str]()

    def __getitem__(self, name: str) -> object:
        self.seen.add(name)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def left(self) -> list[str]:
        """Parameters that no rule has read and that are set to a non-default (truthy) value."""
        return sorted(n for n, v in self._given.items() if n not in self.seen and n not in _HOW_IT_RUNS and v)


# parameters about how an operator runs, not about what it does
_HOW_IT_RUNS = {"batch_size", "num_proc", "text_key", "cpu_required", "mem_required", "accelerator", "skip_op_error"}


@dataclass(frozen=True)
class Operator:
    """An operator and what it becomes; an entry of `data_juicer.yaml`, where the fields are explained."""

    stage: str = ""
    names: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, object] = field(default_factory=dict)
    rule: str = ""
    note: str = ""
    example: dict[str, object] = field(default_factory=dict)

    def convert(self, parameters: Parameters) -> Made:
        """Stages for the operator with these parameters, and a note about what differs."""
        if self.rule:
            return _RULES[self.rule](parameters)
        if not self.stage:
            return [], self.note
        return [_renamed(self.stage, parameters, self.names, self.defaults)], self.note


def operators() -> dict[str, Operator]:
    """The operators that have a counterpart, by name."""
    known = read_document(Path(__file__).with_name("data_juicer.yaml"), RecipeError).data
    return pydantic.TypeAdapter(dict[str, Operator]).validate_python(known)


def _renamed(stage: str, given: Parameters, names: Mapping[str, str], defaults: Parameters) -> Stage:
    """A stage whose parameters have other names there."""
    made = dict(defaults)
    for ours, theirs in names.items():
        value = given.get(theirs)
        if value is not None and not (isinstance(value, (int, float)) and value >= _NO_LIMIT):
            made[ours] = value
    return {stage: made} if made else stage


def _number(given: Parameters, name: str, default: float) -> float:
    """A number among the parameters of an operator."""
    value = given.get(name, default)
    try:
        return float(value) if isinstance(value, (int, float)) else float(str(value))
    except ValueError:
        raise RecipeError(f"{name} should be a number, is {value!r}") from None


def _language(p: Parameters) -> Made:
    """`language` for a language or a list of these."""
    lang = p.get("lang") or []
    wanted = list(lang) if isinstance(lang, (list, tuple)) else [lang]
    if not wanted:
        return [], "without `lang` it filters nothing"
    note = "our detector has no `min_score`: short texts are judged by script" if "min_score" in p else ""
    return [{"language": {"allowed": wanted}}], note


def _chinese_convert(p: Parameters) -> Made:
    """`to_simplified`, in the direction that the mode names."""
    mode = str(p.get("mode", "s2t"))
    return [{"to_simplified": {"direction": mode}} if mode != "t2s" else "to_simplified"], ""


def _repetition(p: Parameters) -> Made:
    """`character_repetition` by n-grams."""
    made: dict[str, object] = {"n": int(_number(p, "rep_len", 10)), "max": _number(p, "max_ratio", 0.5)}
    note = "the share of n-grams that occurred before, in place of the share of the most frequent ones"
    return [{"character_repetition": made}], note


def _letters(p: Parameters) -> Made:
    """`alphanumeric_ratio` of characters."""
    stage = _renamed("alphanumeric_ratio", p, {"min": "min_ratio", "max": "max_ratio"}, {})
    by_token = "letters and digits among characters, not among a tokenizer's tokens"
    return [stage], by_token if p.get("tokenization") else ""


def _perplexity(p: Parameters) -> Made:
    """Nothing: a language model has to be named first."""
    limit = p.get("max_ppl", 1500)
    return [], f"needs a model of yours: `- perplexity: {{model: FOLDER}}`, then `- keep_where: perplexity < {limit}`"


def _exact(p: Parameters) -> Made:
    """`exact_dedup` of folded texts."""
    folded = p.get("lowercase") and p.get("ignore_non_character")
    note = "texts that differ in width, case, white space and punctuation between words only count as equal here"
    return ["exact_dedup"], "" if folded else note


# bands are chosen by the threshold, texts are folded, and the shuffle has no such settings
_MINHASH_INTERNALS = (
    "num_bands",
    "num_rows_per_band",
    "lowercase",
    "ignore_pattern",
    "hash_func",
    "union_find_parallel_num",
    "union_threshold",
    "max_pending_edge_buffer_task",
    "num_edge_buffer_task_returns",
    "max_pending_filter_tasks",
    "num_filter_task_returns",
    "merge_batch_size",
    "hashtable_memory_limit",
)


def _minhash(p: Parameters) -> Made:
    """`minhash_dedup` with the same threshold, length of shingles and number of permutations."""
    made: dict[str, object] = {
        "threshold": _number(p, "jaccard_threshold", 0.7),
        "ngram": int(_number(p, "window_size", 5)),
    }
    if p.get("num_permutations"):
        made["permutations"] = int(_number(p, "num_permutations", 0))
    for name in _MINHASH_INTERNALS:
        p.get(name)  # counts as read
    by_character = p.get("tokenization", "space") == "character"
    note = "shingles are characters here (`unit: word` for words), which Chinese needs"
    return [{"minhash_dedup": made}], "" if by_character else note


def _field(name: str) -> str:
    """A field of theirs as an expression of ours: whatever is not one of our columns is in `meta`."""
    for prefix in ("meta.", "__dj__stats__.", "__dj__meta__."):
        name = name.removeprefix(prefix)
    if name in ("text", "source", "id", ""):
        return name
    parts = (f".{p}" if p.isidentifier() else f"[{json.dumps(p, ensure_ascii=False)}]" for p in name.split("."))
    return "meta" + "".join(parts)


def _number_field(p: Parameters) -> Made:
    """`keep_where` with the limits of a number."""
    name = _field(str(p.get("field_key", "")))
    tests = []
    for sign, key in ((">=", "min_value"), ("<=", "max_value")):
        limit = p.get(key)
        if isinstance(limit, (int, float)) and abs(limit) < _NO_LIMIT:
            tests.append(f"{name} {sign} {limit}")
    if not name or not tests:
        return [], "without a field and a limit it filters nothing"
    return [{"keep_where": " and ".join(tests)}], ""


def _value_field(p: Parameters) -> Made:
    """`keep_where` with the allowed values of a field."""
    name, given = _field(str(p.get("field_key", ""))), p.get("target_value")
    values = given if isinstance(given, list) else []
    if not name or not values:
        return [], "without a field and values it filters nothing"
    shown = (repr(v) if isinstance(v, (int, float)) else json.dumps(str(v), ensure_ascii=False) for v in values)
    return [{"keep_where": f"{name} in ({', '.join(shown)},)"}], ""


_RULES: dict[str, Callable[[Parameters], Made]] = {
    "chinese_convert": _chinese_convert,
    "exact": _exact,
    "language": _language,
    "letters": _letters,
    "minhash": _minhash,
    "number_field": _number_field,
    "perplexity": _perplexity,
    "repetition": _repetition,
    "value_field": _value_field,
}


def operators_markdown() -> str:
    """The table of operators for docs/migration.md: theirs, the stages that they become, what differs."""
    lines = ["| data-juicer | raylib | what differs |", "|---|---|---|"]
    for name, operator in sorted(operators().items()):
        made, note = operator.convert(operator.example)
        stages = ", ".join(_on_one_line(stage) for stage in made)
        stages = stages.removeprefix("{").removesuffix("}") if stages.startswith("{") else stages
        lines.append(f"| {name} | {f'`{stages}`' if stages else ''} | {note} |")
    return "\n".join(lines) + "\n"


def _on_one_line(stage: Stage) -> str:
    """A stage as YAML."""
    text: str = yaml.safe_dump(stage, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


_CARRIED_OVER = {"project_name", "dataset_path", "export_path", "np", "text_keys", "process"}
_IRRELEVANT = {
    "open_tracer",
    "use_cache",
    "ds_cache_dir",
    "executor_type",
    "ray_address",
    "open_monitor",
    "use_checkpoint",
    "temp_dir",
    "op_fusion",
    "cache_compress",
    "keep_stats_in_res_ds",
    "keep_hashes_in_res_ds",
    "trace_num",
    "export_shard_size",
    "export_in_parallel",
    "suffixes",
}


def matches(data: object) -> bool:
    """Whether a parsed YAML file looks like a data-juicer recipe."""
    return isinstance(data, dict) and isinstance(data.get("process"), list)


def convert(data: Mapping[str, object], where: str) -> Converted:
    """Convert a data-juicer recipe.

    Args:
        data: The recipe as YAML gives it; `matches(data)` holds.
        where: Name of its file, for errors and the first note.

    Returns:
        A valid recipe, with a note for everything that was not, or not exactly, carried over.

    Raises:
        RecipeError: A parameter of an operator is wrong.
    """
    process = data["process"]
    stages, notes = _stages(process if isinstance(process, list) else [], where)
    recipe: dict[str, object] = {
        "name": str(data.get("project_name", "imported")),
        "input": _input(data),
        "output": _output(data),
        "stages": stages,
    }
    if data.get("np"):
        recipe["engine"] = {"actors": int(_number(data, "np", 0))}
    unknown = sorted(set(data) - _CARRIED_OVER - _IRRELEVANT)
    if unknown:
        notes.append(f"not carried over: {', '.join(unknown)}")
    Recipe.from_dict(recipe, where)
    return Converted("recipe", recipe, [f"made from {where} by `raylib import`", *notes])


def _stages(process: list[object], where: str) -> tuple[list[Stage], list[str]]:
    """Our stages for a list of operators, and notes."""
    known = operators()
    stages: list[Stage] = []
    notes: list[str] = []
    for item in process:
        name, given = next(iter(item.items())) if isinstance(item, dict) and item else (item, {})
        if not isinstance(name, str) or not isinstance(given or {}, dict):
            raise RecipeError(f"{where}: an operator is `- name` or `- name: {{parameter: value}}`, got {item!r}")
        if name not in known:
            notes.append(f"{name}: no counterpart; `raylib rules` lists all stages")
            continue
        parameters = _Read(given or {})
        try:
            made, note = known[name].convert(parameters)
        except RecipeError as error:
            raise RecipeError(f"{where}: {name}: {error}") from None
        stages += made
        if note:
            notes.append(f"{name}: {note}")
        if parameters.left():
            notes.append(f"{name}: not carried over: {', '.join(parameters.left())}")
    return stages, notes


def _input(data: Mapping[str, object]) -> dict[str, object]:
    """The `input` section of the converted recipe."""
    made: dict[str, object] = {"path": data.get("dataset_path", "IN"), "kind": "document"}
    text = data.get("text_keys")
    if text and text not in ("text", ["text"]):
        made["text"] = text
    return made


def _output(data: Mapping[str, object]) -> dict[str, object]:
    """The `output` section of the converted recipe."""
    export = str(data.get("export_path", "out"))
    made: dict[str, object] = {"path": export.rsplit(".jsonl", 1)[0]}
    if ".jsonl" in export:
        made["format"] = "jsonl"
    return made
