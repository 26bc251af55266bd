"""The forward pass that all objectives share: a model wrapped so that it gives losses of targets, not logits of everything."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["Scorer", "attention_mask"]

_CHUNK = 4096  # targets whose logits exist at once on a GPU


def attention_mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask, shape (rows, 1, width, width): a token sees earlier ones of its own sequence, and itself.

    By segments, not by positions: two sequences of one token each have the same positions and still are two.
    """
    same = segments[:, :, None] == segments[:, None, :]
    width = segments.shape[1]
    causal = torch.ones(width, width, dtype=torch.bool, device=segments.device).tril()
    allowed = same & causal
    mask = torch.zeros(allowed.shape, dtype=dtype, device=segments.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)[:, None]


class Scorer(nn.Module):
    """Negative log-likelihoods of the targets of a batch, float32, shape (targets,), in the order of `targets.nonzero()`.

    A batch without targets gives one zero, shape (1,). compiled: the loss too goes through torch.compile.
    """

    def __init__(self, model: Any, *, compiled: bool = False) -> None:
        super().__init__()
        self.model = model
        if compiled:
            self._losses = torch.compile(self._losses, dynamic=True)  # type: ignore[method-assign]

    @property
    def plain(self) -> Any:
        """The transformers model inside of an adapter, if there is one."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    def forward(self, ids: Tensor, segments: Tensor, positions: Tensor, targets: Tensor, packed: bool) -> Tensor:
        inside = self.plain
        arguments: dict[str, Any] = {"input_ids": ids, "position_ids": positions, "use_cache": False}
        if packed and inside.config._attn_implementation == "flash_attention_2":
            arguments |= _lengths(segments)
        elif packed and inside.config._attn_implementation == "flex_attention":
            arguments["attention_mask"] = _blocks(segments)
        elif packed:
            arguments["attention_mask"] = attention_mask(segments, inside.get_input_embeddings().weight.dtype)
        # rows of one sequence need no mask: padding stands on the right, where no token looks
        hidden = inside.base_model(**arguments).last_hidden_state
        row, column = targets.nonzero(as_tuple=True)
        states, wanted = hidden[row, column - 1], ids[row, column]
        if len(wanted) == 0:
            # no target on this worker: a zero that went through every module, as ZeRO-3 gathers weights module by
            # module on all workers at once
            return self._losses(hidden[:1, 0], ids[:1, 1]) * 0.0
        if states.is_cuda and states.requires_grad and len(wanted) > _CHUNK:
            parts = [
                checkpoint(self._losses, states[i : i + _CHUNK], wanted[i : i + _CHUNK], use_reentrant=False)
                for i in range(0, len(wanted), _CHUNK)
            ]
            return torch.cat(parts)
        return self._losses(states, wanted)

    def _losses(self, states: Tensor, wanted: Tensor) -> Tensor:
        inside = self.plain
        logits = inside.get_output_embeddings()(states).float()
        cap = getattr(inside.config, "final_logit_softcapping", None)
        if cap:
            logits = torch.tanh(logits / cap) * cap
        return nn.functional.cross_entropy(logits, wanted, reduction="none")


def _blocks(segments: Tensor) -> Any:
    """The same mask as `attention_mask` for flex attention, which leaves out blocks that it hides entirely."""
    from torch.nn.attention.flex_attention import create_block_mask

    def sees(row: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (segments[row, query] == segments[row, key])

    rows, width = segments.shape
    return create_block_mask(sees, rows, None, width, width, device=segments.device.type)


def _lengths(segments: Tensor) -> dict[str, Any]:
    """What variable-length attention wants for rows of several sequences."""
    flat = segments + torch.arange(len(segments), device=segments.device)[:, None] * (int(segments.max()) + 2)
    borders = torch.nonzero(torch.diff(flat.flatten(), prepend=flat.new_tensor([-2]))).flatten().int()
    ends = torch.cat([borders, borders.new_tensor([flat.numel()])])
    longest = int(torch.diff(ends).max())
    return {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}
