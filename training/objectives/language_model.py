"""Parts of a transformers model that training touches, with or without an adapter around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["embedding_weight", "without_adapter"]


def without_adapter(model: PreTrainedModel) -> PreTrainedModel:
    """The transformers model inside an adapter of peft, or the model itself."""
    inside = getattr(model, "get_base_model", None)
    plain: PreTrainedModel = model if inside is None else inside()
    return plain


def embedding_weight(part: nn.Module) -> Tensor:
    """Weight of an input or output embedding, shape `[vocabulary, hidden]`."""
    weight = part.weight
    assert isinstance(weight, Tensor)
    return weight
