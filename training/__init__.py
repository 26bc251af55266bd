"""Training on Ray Train and DeepSpeed: tokens, pretraining, fine-tuning, preferences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from raylib.lazy import lazy_names

if TYPE_CHECKING:
    from raylib.chat import RenderOptions
    from training.config import TrainConfig
    from training.data.token_set import TokenInfo
    from training.loop.folder import Result

__all__ = ["RenderOptions", "TrainConfig", "run", "tokenize"]

__getattr__ = lazy_names(__name__, {"RenderOptions": "raylib.chat", "TrainConfig": "training.config"})


def run(
    config: TrainConfig,
    *,
    mode: Literal["auto", "here", "local", "ray"] = "auto",
    address: str = "",
    say: Callable[[str], None] | None = None,
) -> Result:
    """Train, or continue the run of that name if it was interrupted.

    A `raylib.errors.TrainingError` says why a run cannot start or continue, whichever worker it was.

    Args:
        config: The run, for example `TrainConfig.from_file("sft.yaml")`. Without a name it gets a new folder, so it
            cannot be continued.
        mode: Where workers run. `here` is this process; `local` starts processes on this machine; `ray` uses Ray Train;
            `auto` is `here` for a single worker with the plain backend and `ray` otherwise.
        address: Address of a Ray cluster. If empty, the one of the environment is used, or a local one is started.
        say: Receives lines for people in mode `here`; by default they are logged, and shown on the console unless the
            program has set up logging.

    Returns:
        How the run ended: its folder, the last step, whether all steps were done, and the last metrics.
    """
    from training.loop.launch import run as start  # noqa: PLC0415 - loads torch

    return start(config, mode=mode, address=address, say=say)


def tokenize(
    sources: list[str],
    out: str,
    tokenizer: str,
    *,
    kind: Literal["auto", "pretrain", "sft", "preference"] = "auto",
    render: RenderOptions | None = None,
    max_tokens: int = 0,
    max_prompt: int = 1024,
    seed: int = 0,
) -> TokenInfo:
    """Tokenise the records of files or runs into a token folder; an interrupted call continues when it is repeated.

    A `raylib.errors.TrainingError` says that there are no records, or that the folder holds tokens of something else.

    Args:
        sources: Files, folders of runs, globs or URIs.
        out: Path of the token folder.
        tokenizer: Path of the tokenizer's folder.
        kind: Kind of samples; `auto` decides by the first record.
        render: How conversations are rendered and which of their answers are learnt (`raylib.chat.RenderOptions`).
        max_tokens: Largest length of a sample in tokens; longer ones are cut. 0 cuts nothing.
        max_prompt: Number of tokens that the prompt of a preference keeps when the pair is too long.
        seed: Seed of the shuffle.

    Returns:
        The content of `tokens.json`: counts of tokens and samples, by source, and what was dropped.
    """
    from training.data import tokens  # noqa: PLC0415 - loads numba

    options = tokens.TokenOptions(kind, max_tokens, max_prompt, seed)
    if render is not None:
        options = replace(options, render=render)
    return tokens.tokenize(sources, out, tokenizer, options)
