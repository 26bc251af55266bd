"""Every cleaning rule under one name, for notebooks: `from cleaning import rules; rules.length(table, min=100)`."""

from cleaning.boundaries import (
    cut_boilerplate_ends,
    cut_ends,
    cut_partial_ends,
    drop_short_sentences,
    drop_unfinished_tail,
)
from cleaning.characters import (
    chinese_full_stop,
    collapse_punctuation,
    keep_valid_characters,
    trim_punctuation,
    unify_quotes,
)
from cleaning.chinese_scripts import to_simplified
from cleaning.classifier import ad_classifier
from cleaning.garbled import garbled
from cleaning.genre import Genre
from cleaning.language import language
from cleaning.lexicons import lexicon, sensitive
from cleaning.lines import drop_lines
from cleaning.links import remove_mentions, remove_urls
from cleaning.main_text import extract_main
from cleaning.markup import strip_markup
from cleaning.normalise import fix_encoding, normalise_characters
from cleaning.patterns import advertising, lottery
from cleaning.personal_data import remove_personal_data
from cleaning.ratios import (
    alphanumeric_ratio,
    chinese_ratio,
    common_character_ratio,
    digit_ratio,
    length,
    rare_characters,
    symbol_ratio,
)
from cleaning.repeats import drop_repeated_lines, remove_repeats
from cleaning.repetition import character_repetition, repetition
from cleaning.residue import remove_counters, remove_phrases, remove_watermarks, remove_wiki_references
from cleaning.spacing import collapse_newlines, join_han_spaces, normalise_whitespace, unwrap_lines
from cleaning.structure import (
    alternating_scripts,
    bullet_ratio,
    ellipsis_ratio,
    line_length,
    no_sentence_punctuation,
    table_of_contents,
    table_page,
)
from cleaning.textquality import text_quality

__all__ = [
    "Genre",
    "ad_classifier",
    "advertising",
    "alphanumeric_ratio",
    "alternating_scripts",
    "bullet_ratio",
    "character_repetition",
    "chinese_full_stop",
    "chinese_ratio",
    "collapse_newlines",
    "collapse_punctuation",
    "common_character_ratio",
    "cut_boilerplate_ends",
    "cut_ends",
    "cut_partial_ends",
    "digit_ratio",
    "drop_lines",
    "drop_repeated_lines",
    "drop_short_sentences",
    "drop_unfinished_tail",
    "ellipsis_ratio",
    "extract_main",
    "fix_encoding",
    "garbled",
    "join_han_spaces",
    "keep_valid_characters",
    "language",
    "length",
    "lexicon",
    "line_length",
    "lottery",
    "no_sentence_punctuation",
    "normalise_characters",
    "normalise_whitespace",
    "rare_characters",
    "remove_counters",
    "remove_mentions",
    "remove_personal_data",
    "remove_phrases",
    "remove_repeats",
    "remove_urls",
    "remove_watermarks",
    "remove_wiki_references",
    "repetition",
    "sensitive",
    "strip_markup",
    "symbol_ratio",
    "table_of_contents",
    "table_page",
    "text_quality",
    "to_simplified",
    "trim_punctuation",
    "unify_quotes",
    "unwrap_lines",
]
