"""The public Python API: every path that users may rely on, as of the first release."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

PUBLIC = {
    "raylib": (
        "Dataset RaylibError Recipe RecipeError RecordError ShardError SourceError __version__ open_index read run"
    ),
    "raylib.engine": ("Progress RunResult run"),
    "raylib.recipe": ("EngineOptions InputOptions OutputOptions Recipe StageSpec source_chain source_names"),
    "raylib.dataset": ("Dataset read"),
    "raylib.stage": (
        "GlobalStage LocalStage Outcome Round Shuffled SketchStore StageError StageInfo nearest no_verdicts "
        "register rounds_of split_rejected stage_info stage_names"
    ),
    "raylib.schema": ("KINDS MESSAGES SCHEMAS map_texts single_chunk text_of"),
    "raylib.errors": ("RaylibError RecipeError RecordError ShardError SourceError TrainingError"),
    "raylib.cli": ("app main"),
    "cleaning.rules": (
        "ad_classifier advertising alphanumeric_ratio alternating_scripts bullet_ratio character_repetition "
        "chinese_full_stop chinese_ratio collapse_newlines collapse_punctuation common_character_ratio "
        "cut_boilerplate_ends cut_ends cut_partial_ends digit_ratio drop_lines drop_short_sentences "
        "drop_unfinished_tail ellipsis_ratio fix_encoding garbled join_han_spaces keep_valid_characters language "
        "length lexicon line_length lottery no_sentence_punctuation normalise_characters normalise_whitespace "
        "rare_characters remove_counters remove_mentions remove_personal_data remove_phrases remove_repeats "
        "remove_urls remove_wiki_references repetition sensitive strip_markup symbol_ratio table_of_contents "
        "table_page to_simplified trim_punctuation unify_quotes unwrap_lines"
    ),
    "quality": (
        "Classify Cluster Deita DifficultyFeatures DropColumns Embed Ifd InstructionFeatures Judge KeepWhere "
        "Perplexity PerplexityBuckets Resample RewardModel SafetyScreen Select SplitStages classify deita "
        "difficulty evaluate ifd judge perplexity reward_model safety"
    ),
    "quality.scorers": ("classify deita difficulty ifd judge perplexity reward_model safety"),
    "dedup": ("AgainstIndex Decontaminate ExactDedup LineDedup MinHashDedup MinHashIndex SemanticDedup SubstringDedup"),
    "training": ("TrainConfig run tokenize"),
    "training.config": (
        "DataConfig DpoConfig ModelConfig OptimizerConfig ParallelConfig PhaseConfig SourceConfig TrainConfig"
    ),
    "training.objectives": ("Causal Dpo Scorer"),
    "training.loop": ("Loop"),
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_there(module: str) -> None:
    loaded = importlib.import_module(module)
    missing = [name for name in PUBLIC[module].split() if not hasattr(loaded, name)]
    assert missing == []


@pytest.mark.parametrize("module", [m for m in PUBLIC if m not in ("cleaning.rules", "raylib")])
def test_public_names_are_announced(module: str) -> None:
    """`from module import *`, editors and the reference go by `__all__`."""
    announced = set(importlib.import_module(module).__all__)
    assert set(PUBLIC[module].split()) - announced == set()


def test_the_package_announces_what_it_loads_on_first_use() -> None:
    import raylib

    assert set(PUBLIC["raylib"].split()) == set(raylib.__all__) == set(dir(raylib))


def loaded_by(code: str) -> set[str]:
    """Top-level modules that are loaded after some code ran in a new interpreter."""
    ask = f"{code}; import sys; print('\\n' + ' '.join({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(done.stdout.rsplit("\n", 2)[-2].split())


def test_importing_raylib_is_light() -> None:
    loaded = loaded_by("import raylib")
    assert not loaded & {"ray", "torch", "transformers", "pyarrow", "numpy", "pandas", "typer", "numba", "sklearn"}


def test_help_is_light() -> None:
    code = (
        "from typer.testing import CliRunner; from raylib.cli import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    )
    loaded = loaded_by(code)
    assert not loaded & {"ray", "torch", "transformers", "numba", "sklearn", "pyarrow", "numpy", "pydantic", "fsspec"}


def test_a_worker_loads_no_driver_and_no_report_and_stages_load_no_numba() -> None:
    assert not loaded_by("import raylib.engine.worker") & {"ray", "jinja2", "rapidfuzz", "rich", "typer", "pandas"}
    loaded = loaded_by("from raylib.stage import stage_names; stage_names()")
    assert not loaded & {"ray", "torch", "transformers", "numba", "sklearn", "scipy", "pandas"}
