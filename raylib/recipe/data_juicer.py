"""data-juicer recipes converted to recipes of raylib."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from raylib.recipe.converted import Converted

__all__ = ["RECOGNISED_BY", "convert", "matches", "operators_markdown"]

RECOGNISED_BY = "a data-juicer recipe (a mapping with the list `process`)"


Parameters = Mapping[str, Any]
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


def matches(data: object) -> bool:
    """Whether a parsed YAML file looks like a data-juicer recipe."""
    return isinstance(data, dict) and isinstance(data.get("process"), list)


def convert(data: Mapping[str, Any], where: str) -> Converted:
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
