"""The stage `ifd`: instruction-following difficulty, from Cherry LLM (Li et al., NAACL 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from quality.models.language_model import LanguageModel, Scored, check_model
from quality.models.rendering import Chats, check_template
from quality.models.stage import ModelStage
from quality.models.tokenizer import Template
from quality.text.turns import exchanges
from raylib.errors import ParameterError
from raylib.paths import PathName
from raylib.stage import Outcome, keep_all, stage, with_columns

__all__ = ["Ifd"]


class _Asked(NamedTuple):
    """A causal model, and what writes its chats."""

    model: LanguageModel
    chats: Chats


@stage("ifd", kind="score")
@dataclass(frozen=True)
class Ifd(ModelStage[_Asked]):
    """Instruction-following difficulty: how little the instruction helps a model to predict the response.

    Adds `ifd` = loss of the response given the instruction / loss of the response alone, both the mean over the
    same response tokens; `ifd_loss`, the former loss (nats per token); `ifd_misaligned`, true where ifd >= 1: the
    instruction makes the response less likely, as a wrong or unrelated answer does; and `response_tokens`. All but
    the last are null where there is no instruction or no response. All are null where the template refuses the record;
    the report counts these by reason.

    The last answer of a conversation counts, of a preference the chosen one: its reasoning where the template writes
    any, its content and its calls of tools. All turns before it are the instruction, results of tools included, with
    the tools of the record; all are rendered as `raylib tokenize` renders them, so that a model is asked as it was
    taught. The end of the response and then the start of the instruction are cut to fit `max_tokens`.
    Source: Li et al., "From Quantity to Quality", NAACL 2024.

    Attributes:
        model: Folder of a causal transformers model.
        max_tokens: Number of tokens of the longest sequence, at least 8.
        template: How the conversation is written: `chat` (the tokenizer's template), `plain` (every message and a
            newline), `auto` (`chat` if the tokenizer has a template), or a template of training by its name.
        template_options: Variables of the template, such as `enable_thinking: false`.
        batch_tokens: Number of tokens in a batch; 0 means 2,048 on a CPU and 32,768 on a GPU.
        device: Device of torch; `auto` means a GPU if there is one.
        min_parameters: Least number of the model's weights; a smaller one is refused before any work.

    Raises:
        ParameterError: If `max_tokens` is too small, or `template_options` sets what is not for users to set.
    """

    model: PathName
    max_tokens: int = 2048
    template: Template = "auto"
    template_options: dict[str, object] | None = None
    batch_tokens: int = 0
    device: str = "auto"
    min_parameters: int = 0

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise ParameterError(f"max_tokens must be at least 8, is {self.max_tokens}")
        check_template(self.template, self.template_options)

    def check(self) -> None:
        """Check that the model is there. Raises ParameterError."""
        check_model(self.model, "ifd", self.min_parameters)

    def load(self) -> _Asked:
        """Load the model. Raises ParameterError if its tokenizer lacks the template that is wanted."""
        model = LanguageModel.load(self.model, device=self.device, batch_tokens=self.batch_tokens)
        return _Asked(model, Chats.of(model.tokenizer, self.template, self.template_options, self.model))

    def notes(self) -> Mapping[str, float]:
        """Tokens scored, padding and seconds in the model since the last call, and records that were not rendered."""
        return {**self.loaded.model.take_usage(), **self.loaded.chats.take_refused()} if self.is_loaded else {}

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the columns."""
        sequences, tokens = self._sequences(table) if len(table) else ([], [])
        losses = self.loaded.model.losses(sequences) if sequences else np.zeros(0)
        given, alone = losses[0::2], losses[1::2]
        with np.errstate(divide="ignore", invalid="ignore"):
            ifd = given / alone
        known = np.isfinite(ifd)
        columns = {
            "ifd": pa.array(np.round(ifd, 6), pa.float64(), mask=~known),
            "ifd_loss": pa.array(np.round(given, 6), pa.float64(), mask=~np.isfinite(given)),
            "ifd_misaligned": pa.array(ifd >= 1.0, pa.bool_(), mask=~known),
            "response_tokens": pa.array(tokens, pa.int32()),
        }
        return keep_all(with_columns(table, columns))

    def _sequences(self, table: pa.Table) -> tuple[list[Scored], list[int | None]]:
        """For each record two sequences with the same targets, and the number of tokens of its response."""
        model, chats = self.loaded
        sequences: list[Scored] = []
        tokens: list[int | None] = []
        for found in chats.prompted(exchanges(table)):
            tokens.append(None if found is None else len(found.response))
            sequences += self._given_and_alone(model, *((found.prompt, found.response) if found else ([], [])))
        return sequences, tokens

    def _given_and_alone(self, model: LanguageModel, prompt: list[int], response: list[int]) -> list[Scored]:
        """The response after the instruction, and alone; without targets where either is missing."""
        limit, prefix = min(self.max_tokens, model.limit), model.prefix
        answer = response[: max(limit // 2, limit - len(prompt) - len(prefix))]
        room = max(0, limit - len(answer) - len(prefix))
        asked = prompt[len(prompt) - room :] if room else []
        if asked[: len(prefix)] == prefix:  # the template added it already
            asked = asked[len(prefix) :]
        # without a token for the beginning the first token of the response alone cannot be predicted:
        # it counts in neither
        skip = 0 if prefix else 1
        if not asked or len(answer) <= skip:
            return [Scored([], 0), Scored([], 0)]
        return [
            Scored([*prefix, *asked, *answer], len(prefix) + len(asked) + skip),
            Scored([*prefix, *answer], len(prefix) + skip),
        ]
