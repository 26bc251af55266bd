"""The stages `reward_model` and `deita`: scores by models that were trained to score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality.models.language_model import LanguageModel, check_model
from quality.models.rendering import Chats, check_template
from quality.models.sequence_classifier import SequenceClassifier
from quality.models.stage import ModelStage
from quality.models.tokenizer import Template
from quality.text.turns import Exchange, exchanges
from raylib.errors import ParameterError
from raylib.paths import PathName
from raylib.stage import Outcome, keep_all, stage, with_columns

__all__ = ["Deita", "RewardModel"]


class _Rewarding(NamedTuple):
    """A reward model, and what writes its chats."""

    model: SequenceClassifier
    chats: Chats


@stage("reward_model", kind="score")
@dataclass(frozen=True)
class RewardModel(ModelStage[_Rewarding]):
    """Add the score of a reward model for the last answer of each record.

    The logit of a model with one output is the reward; of two outputs it is the log-odds of the second. Longer
    conversations are cut at their start. Null where there is no answer, and where the template refuses the record; the
    report counts these by reason. The model sees the whole conversation up to that answer with the tools of the record:
    reasoning where the template writes it, calls of tools and what they returned. Of a preference the chosen answer
    counts.

    Attributes:
        model: Folder of a transformers sequence classification model with one or two outputs.
        column: Name of the new column.
        max_tokens: Number of tokens of a conversation that are kept, from its end.
        batch_tokens: Number of tokens in a batch; 0 means 4,096 on a CPU and 32,768 on a GPU.
        template: How the conversation is written: `chat` (the tokenizer's template), `plain` (every message and a
            newline), `auto` (`chat` if the tokenizer has a template), or a template of training by its name.
        template_options: Variables of the template, such as `enable_thinking: false`.
        device: Device of torch; `auto` means a GPU if there is one.

    Raises:
        ParameterError: If `template_options` sets what is not for users to set.
    """

    model: PathName
    column: str = "reward"
    max_tokens: int = 2048
    batch_tokens: int = 0
    template: Template = "auto"
    template_options: dict[str, object] | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        check_template(self.template, self.template_options)

    def check(self) -> None:
        """Check that the model is there. Raises ParameterError."""
        check_model(self.model, "reward_model")

    def load(self) -> _Rewarding:
        """Load the model. Raises ParameterError if its tokenizer lacks the template that is wanted."""
        model = SequenceClassifier.load(self.model, device=self.device, batch_tokens=self.batch_tokens)
        return _Rewarding(model, Chats.of(model.tokenizer, self.template, self.template_options, self.model))

    def notes(self) -> Mapping[str, float]:
        """Records that were not rendered since the last call."""
        return self.loaded.chats.take_refused() if self.is_loaded else {}

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the column."""
        values = self._rewards(list(exchanges(table))) if len(table) else np.zeros(0)
        column = pa.array(np.round(values, 5), pa.float64(), mask=~np.isfinite(values))
        return keep_all(with_columns(table, {self.column: column}))

    def _rewards(self, pairs: Sequence[Exchange]) -> npt.NDArray[np.float64]:
        """Rewards of all exchanges, `[N]`; NaN where there is no answer."""
        model, chats = self.loaded
        limit = model.limit(self.max_tokens)
        known = {i: ids[-limit:] for i, ids in enumerate(chats.whole(pairs)) if ids}
        return model.scores(known, len(pairs))


# The prompts that the published scorers were trained on: with other words their answers mean nothing.
_DEITA = {
    "quality": (
        "You are a helpful assistant. Please identify the quality score of the Response corresponding to the Question. "
        "\n #Question#:\n{instruction}\n#Response#:\n{response} \n##Quality: "
    ),
    "complexity": (
        "You are a helpful assistant. Please identify the complexity score of the following user query. "
        "\n##Query: {instruction}  \n##Complexity: "
    ),
}


class _Scorer(NamedTuple):
    """A causal model and its tokens for the digits 1 to 6."""

    model: LanguageModel
    digits: list[int]


@stage("deita", kind="score")
@dataclass(frozen=True)
class Deita(ModelStage[_Scorer]):
    """Add `quality` or `complexity` from 1 to 6 by a Deita-style scorer: a causal model that answers with one digit.

    The score is the expectation over the probabilities of the digits 1 to 6 as the next token. Null where there is
    no instruction. The prompt is that of the published scorers, no chat template. It holds what system, developer and
    user said, and the last answer without its reasoning, its calls of tools as `[tool call] name(arguments)`.
    Source: Liu et al., "What Makes Good Data for Alignment?", ICLR 2024.

    Attributes:
        model: Folder of a causal transformers model.
        of: Score that is wanted: `quality` of the response, or `complexity` of the instruction.
        column: Name of the new column; empty means the name of the score.
        prompt: Prompt in place of that of the published scorers. It may hold {instruction} and {response}.
        max_tokens: Number of tokens of a prompt; longer ones are cut before their end.
        batch_tokens: Number of tokens in a batch; 0 means 2,048 on a CPU and 32,768 on a GPU.
        device: Device of torch; `auto` means a GPU if there is one.

    Raises:
        ParameterError: If `prompt` holds neither {instruction} nor {response}.
    """

    model: PathName
    of: Literal["quality", "complexity"] = "quality"
    column: str = ""
    prompt: str = ""
    max_tokens: int = 2048
    batch_tokens: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.prompt and "{instruction}" not in self.prompt and "{response}" not in self.prompt:
            raise ParameterError("prompt must hold {instruction} or {response}")

    def check(self) -> None:
        """Check that the model is there. Raises ParameterError."""
        check_model(self.model, "deita")

    def load(self) -> _Scorer:
        """Load the model and look up its digits. Raises ParameterError if they are not tokens."""
        model = LanguageModel.load(self.model, device=self.device, batch_tokens=self.batch_tokens)
        digits = [ids[-1:] for ids in model.encode([str(d) for d in range(1, 7)])]
        if len({tuple(d) for d in digits}) != 6 or not all(digits):
            raise ParameterError(f"deita: the tokenizer of {self.model} needs a separate token for each digit 1 to 6")
        return _Scorer(model, [d[0] for d in digits])

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the column."""
        values = self._expected(list(exchanges(table))) if len(table) else np.zeros(0)
        column = pa.array(np.round(values, 5), pa.float64(), mask=~np.isfinite(values))
        return keep_all(with_columns(table, {self.column or self.of: column}))

    def _expected(self, pairs: Sequence[Exchange]) -> npt.NDArray[np.float64]:
        """Expected scores of all exchanges, `[N]`; NaN where there is no instruction."""
        model, digits = self.loaded
        prompt = self.prompt or _DEITA[self.of]
        limit = min(self.max_tokens, model.limit)
        # replace, not format: braces in the data are data
        texts = [prompt.replace("{instruction}", p.instruction).replace("{response}", p.response) for p in pairs]
        tail = model.encode([prompt[-20:]])[0]
        sequences = []
        for pair, ids in zip(pairs, model.encode(texts), strict=True):
            ids = [*model.prefix, *ids]
            if len(ids) > limit:  # the question for the score must stay at the end
                ids = [*ids[: limit - len(tail)], *tail]
            sequences.append(ids if pair.instruction.strip() else [])
        logits = model.last_logits(sequences, digits)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True) @ np.arange(1.0, 7.0))
