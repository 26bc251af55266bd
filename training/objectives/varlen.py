"""Attention of packed rows by PyTorch's own kernel for sequences of different lengths (torch >= 2.11).

It computes nothing between the sequences of a row, where a dense mask computes all of it and hides it afterwards.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["VARLEN", "has_varlen", "register_varlen", "sequence_borders"]

VARLEN = "raylib_varlen"  # name by which transformers knows this attention

_FEWEST_BORDERS = 64  # compiled layers meet few different shapes, because borders are filled up to a power of two

try:
    _KERNEL = importlib.import_module("torch.nn.attention.varlen").varlen_attn
    _OPTIONS = frozenset(inspect.signature(_KERNEL).parameters)
except ImportError:  # torch before 2.10
    _KERNEL, _OPTIONS = None, frozenset()
_GROUPS = "enable_gqa" in _OPTIONS  # otherwise keys are copied to all heads of their group


def has_varlen() -> bool:
    """Whether this torch has the kernel."""
    return {"scale", "window_size"} <= _OPTIONS


def register_varlen() -> None:
    """Make the attention known to transformers under the name `VARLEN`."""
    from transformers import AttentionInterface  # noqa: PLC0415 - only runs that ask for it need the registry

    AttentionInterface.register(VARLEN, _attend)


def sequence_borders(segments: Tensor) -> Tensor:
    """First token of each sequence, in the rows laid one behind the other, and the number of all tokens.

    Args:
        segments: Number of the sequence of each token, shape `[rows, width]`; a run of padding is a sequence as well.

    Returns:
        The borders, int32, shape `[a power of two + 1]`, filled up with the number of tokens (empty sequences).
    """
    changes = torch.ones_like(segments, dtype=torch.bool)
    changes[:, 1:] = segments[:, 1:] != segments[:, :-1]
    starts = changes.flatten().nonzero().flatten()
    size = max(_FEWEST_BORDERS, 1 << len(starts).bit_length())
    borders = torch.full((size + 1,), segments.numel(), dtype=torch.int32, device=segments.device)
    borders[: len(starts)] = starts.int()
    return borders


class _Extras(TypedDict, total=False):
    """What transformers hands to an attention besides its tensors; more than this is ignored."""

    scaling: float | None
    sliding_window: int | None
    cu_seq_lens_q: Tensor | None
    max_length_q: int


def _attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _attention_mask: Tensor | None,
    **extras: Unpack[_Extras],
) -> tuple[Tensor, None]:
    """Causal attention in each sequence; queries `[rows, heads, width, size]`, answer `[rows, width, heads, size]`.

    Without borders each row is one sequence. Padding is on its right, where no token looks. Attention weights are not
    dropped out; `build_model` refuses models that ask for it.
    """
    rows, heads, width, size = query.shape
    scaling = extras.get("scaling")
    scale = size**-0.5 if scaling is None else scaling
    borders, longest = extras.get("cu_seq_lens_q"), extras.get("max_length_q", 0)
    sliding_window = extras.get("sliding_window")
    window = sliding_window if sliding_window is not None and sliding_window < width else None
    if borders is None and window is None:
        grouped = key.shape[1] != heads
        found = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=grouped)
        return found.transpose(1, 2).contiguous(), None
    if borders is None:
        borders = torch.arange(0, rows * width + 1, width, dtype=torch.int32, device=query.device)
        longest = width
    q, k, v = (t.transpose(1, 2).reshape(rows * width, t.shape[1], size) for t in (query, key, value))
    if query.is_cuda:
        found = _by_kernel(q, k, v, borders, longest, scale, window)
    else:
        found = torch.compiler.disable(_by_loop)(q, k, v, borders, scale, window)
    return found.view(rows, width, heads, size), None


def _by_kernel(
    query: Tensor, key: Tensor, value: Tensor, borders: Tensor, longest: int, scale: float, window: int | None
) -> Tensor:
    """Attention by torch's kernel; tensors `[tokens, heads, size]`."""
    if query.dtype is torch.float32 and torch.is_autocast_enabled(query.device.type):
        # the rotation by positions leaves float32 behind, also under autocast; the kernel takes 16 bits only
        half = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(half), key.to(half), value.to(half)
    named: dict[str, object] = {"scale": scale, "window_size": (-1 if window is None else window - 1, 0)}
    if key.shape[1] != query.shape[1]:
        if _GROUPS:
            named["enable_gqa"] = True
        else:
            each = query.shape[1] // key.shape[1]
            key, value = key.repeat_interleave(each, 1), value.repeat_interleave(each, 1)
    found: Tensor = _KERNEL(query, key, value, borders, borders, longest, longest, **named)
    return found


def _by_loop(query: Tensor, key: Tensor, value: Tensor, borders: Tensor, scale: float, window: int | None) -> Tensor:
    """The same, one sequence after the other, where there is no such kernel (CPU)."""
    edges = borders.tolist()
    parts = []
    for begin, end in itertools.pairwise(edges):
        if end == begin:
            continue
        q, k, v = (t[begin:end].transpose(0, 1)[None] for t in (query, key, value))
        mask = None
        if window is not None:
            at = torch.arange(end - begin, device=query.device)
            back = at[:, None] - at[None, :]
            mask = (back >= 0) & (back < window)
        grouped = k.shape[1] != q.shape[1]
        found = scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=grouped
        )
        parts.append(found[0].transpose(0, 1))
    return torch.cat(parts)
