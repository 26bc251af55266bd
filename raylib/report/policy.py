"""The content security policy of `report.html`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from raylib.content_policy import page_policy, script_source

__all__ = ["report_policy"]


@cache
def report_policy() -> str:
    """The policy of `report.html`, by the script of its template, in which there are no values."""
    template = files("raylib.report").joinpath("report.html.j2").read_text("utf-8")
    return page_policy(script_source(template.partition("<script>")[2].partition("</script>")[0]))
