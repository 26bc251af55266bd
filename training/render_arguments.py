"""Options of commands about how conversations are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from raylib.chat import RenderOptions
    from raylib.chat.options import Developer, Learn, Reasoning

__all__ = [
    "DeveloperArgument",
    "EndToken",
    "LearnArgument",
    "LearnReasoning",
    "MaxSamples",
    "ReasoningArgument",
    "TemplateArgument",
    "TemplateOptions",
    "render_options",
]

TemplateArgument = Annotated[
    str,
    typer.Option(
        help="Template of conversations: plain, chatml, qwen, llama2, llama3 or mistral. With auto, the tokenizer's "
        "own."
    ),
]
TemplateOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--template-option", help="Variable of the chat template, such as --template-option enable_thinking=false."
    ),
]
LearnArgument = Annotated[
    str, typer.Option(help="Answers of a conversation that are learnt: all of them, or only the last.")
]
LearnReasoning = Annotated[
    bool, typer.Option(help="Whether the reasoning before an answer is learnt, or only what follows it.")
]
ReasoningArgument = Annotated[
    str,
    typer.Option(
        help="Place of reasoning: where the chat template writes it (template), or between <think> and </think> at the "
        "start of the answer (inline), or nowhere (drop)."
    ),
]
DeveloperArgument = Annotated[
    str, typer.Option(help="Role of developer messages: developer, or system for templates without that role.")
]
EndToken = Annotated[
    str,
    typer.Option(help="Token that ends an answer if the template writes none. If empty, the model's own is taken."),
]
MaxSamples = Annotated[
    int,
    typer.Option(
        min=0,
        help="Largest number of samples of a conversation whose template rewrites earlier turns: the last ones. 0 sets "
        "no limit.",
    ),
]


def render_options(
    template: str = "auto",
    template_options: list[str] | None = None,
    learn: str = "all",
    learn_reasoning: bool = True,
    reasoning: str = "template",
    developer: str = "developer",
    end_token: str = "",
    max_samples: int = 0,
) -> RenderOptions:
    """The options of a command as `RenderOptions`. Raises ParameterError if one has no valid value."""
    from raylib.chat import RenderOptions  # noqa: PLC0415 - the help has to be light
    from raylib.cli.settings import overrides  # noqa: PLC0415 - as above

    return RenderOptions(
        template=template,
        template_options=dict(overrides(template_options or [], "--template-option")),
        learn=cast("Learn", learn),
        learn_reasoning=learn_reasoning,
        reasoning=cast("Reasoning", reasoning),
        developer=cast("Developer", developer),
        end_token=end_token,
        max_samples_a_record=max_samples,
    )
