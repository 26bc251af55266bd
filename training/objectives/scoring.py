"""The forward pass that all objectives share: a model that gives the losses of targets, not all logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.objectives.language_model import embedding_weight, without_adapter
from training.objectives.varlen import VARLEN, sequence_borders

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask
    from transformers import PreTrainedModel

__all__ = ["Scorer", "attention_mask"]

_CHUNK = 4096  # targets whose logits exist at once on a GPU


def attention_mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask, by which a token sees itself and earlier tokens of its own sequence.

    Sequences are told apart by segments, not by positions: two sequences of one token each have the same positions.

    Args:
        segments: Number of the sequence of each token, shape `[rows, width]`.
        dtype: Data type of the mask.

    Returns:
        The mask, shape `[rows, 1, width, width]`.
    """
    same = segments[:, :, None] == segments[:, None, :]
    width = segments.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool, device=segments.device).tril()
    allowed = same & causal
    mask = torch.zeros(allowed.shape, dtype=dtype, device=segments.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]


class Scorer(nn.Module):
    """Negative log-likelihoods of the targets of a batch, float32, shape `[targets]`.

    They are in the order of `targets.nonzero()`.
    A batch without targets gives one zero, shape `[1]`.

    Args:
        model: A causal language model of transformers, possibly inside an adapter of peft.
        compiled: Whether the loss goes through torch.compile.
    """

    model: PreTrainedModel

    def __init__(self, model: PreTrainedModel, *, compiled: bool = False) -> None:
        super().__init__()
        self.model = model
        if compiled:
            self._losses = torch.compile(self._losses, dynamic=True)  # type: ignore[method-assign]

    @property
    def plain(self) -> PreTrainedModel:
        """The transformers model, without the adapter around it."""
        return without_adapter(self.model)

    def forward(self, ids: Tensor, segments: Tensor, positions: Tensor, targets: Tensor, packed: bool) -> Tensor:
        """Losses of the targets; arguments as in `Batch`."""
        inside = self.plain
        # rows of one sequence need no mask: padding is on the right, where no token looks
        arguments = self._isolation(segments) if packed else {}
        hidden = inside.base_model(
            input_ids=ids, position_ids=positions, use_cache=False, **arguments
        ).last_hidden_state
        row, column = targets.nonzero(as_tuple=True)
        states, wanted = hidden[row, column - 1], ids[row, column]
        if len(wanted) == 0:
            # this worker has no target; its zero goes through every module, because ZeRO-3 gathers weights module by
            # module on all workers at once
            return self._losses(hidden[:1, 0], ids[:1, 1]) * 0.0
        if states.is_cuda and states.requires_grad and len(wanted) > _CHUNK:
            parts = [
                checkpoint(self._losses, states[i : i + _CHUNK], wanted[i : i + _CHUNK], use_reentrant=False)
                for i in range(0, len(wanted), _CHUNK)
            ]
            return torch.cat(parts)
        return self._losses(states, wanted)

    def _isolation(self, segments: Tensor) -> dict[str, Tensor | BlockMask | int]:
        """Arguments by which the model's kind of attention keeps the sequences of a row apart."""
        inside = self.plain
        implementation = inside.config._attn_implementation  # noqa: SLF001 - transformers has no public name for it
        if implementation == "flash_attention_2":
            return _lengths(segments)
        if implementation == VARLEN:
            return {"cu_seq_lens_q": sequence_borders(segments), "max_length_q": segments.shape[1]}
        if implementation == "flex_attention":
            return {"attention_mask": _blocks(segments)}
        dtype = embedding_weight(inside.get_input_embeddings()).dtype
        return {"attention_mask": attention_mask(segments, dtype)}

    def _losses(self, states: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy of hidden states `[n, hidden]` and the tokens that follow them, `[n]`."""
        inside = self.plain
        logits = inside.get_output_embeddings()(states).float()
        cap = getattr(inside.config, "final_logit_softcapping", None)
        if cap:
            logits = torch.tanh(logits / cap) * cap
        return nn.functional.cross_entropy(logits, wanted, reduction="none")


def _blocks(segments: Tensor) -> BlockMask:
    """The same mask as `attention_mask` for flex attention, which skips blocks that are hidden entirely."""
    from torch.nn.attention.flex_attention import create_block_mask  # noqa: PLC0415 - loads the compiler

    def sees(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (segments[row, query] == segments[row, key])

    rows, width = segments.shape
    return create_block_mask(sees, rows, None, width, width, device=segments.device.type)


def _lengths(segments: Tensor) -> dict[str, Tensor | BlockMask | int]:
    """Arguments of variable-length attention for rows of several sequences."""
    flat = segments + torch.arange(len(segments), device=segments.device)[:, None] * (int(segments.max()) + 2)
    borders = torch.nonzero(torch.diff(flat.flatten(), prepend=flat.new_tensor([-2]))).flatten().int()
    ends = torch.cat([borders, borders.new_tensor([flat.numel()])])
    longest = int(torch.diff(ends).max())
    return {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}
