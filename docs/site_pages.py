"""A hook of mkdocs: it adds pages from outside `docs` and adapts links, so that one link works on GitHub and here."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# path in the repository -> page of the site
PAGES = {
    "README.md": "index.md",
    "README.zh.md": "index.zh.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "results.md",
}
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages of `PAGES` to the site."""
    for source, page in PAGES.items():
        text = _relinked((ROOT / source).read_text("utf-8"), folder=posixpath.dirname(source), here=".")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace links from pages in `docs` to files outside it by links to the site's pages."""
    if page.file.src_uri in PAGES.values():
        return markdown
    here = posixpath.dirname(page.file.src_uri)
    return _relinked(markdown, folder=posixpath.join("docs", here), here=here or ".")


def _relinked(markdown: str, *, folder: str, here: str) -> str:
    """Replace links to files of the repository by links to pages of the site.

    Args:
        markdown: The text of a page.
        folder: Folder of the text in the repository; its links are relative to it.
        here: Folder of the page on the site.
    """

    def link(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        page = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        return f"{before}{posixpath.relpath(page, here)}{after}" if page else found.group()

    return _LINK.sub(link, markdown)
