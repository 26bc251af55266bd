"""Conversations as tokens: what is learnt is what is served."""

from __future__ import annotations

from raylib.chat.named import TEMPLATES
from raylib.chat.options import RenderOptions
from raylib.chat.renderer import Renderer, Sample, TextSample
from raylib.chat.tokenizer import ChatTokenizer, stop_ids

__all__ = ["TEMPLATES", "ChatTokenizer", "RenderOptions", "Renderer", "Sample", "TextSample", "stop_ids"]
