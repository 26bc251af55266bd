"""Hook of mkdocs: pages of the site that are files outside `docs`, and links that work both on GitHub and on the site."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# file of the repository, seen from its root -> page of the site
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
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=_relinked(text, posixpath.dirname(source))))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let links of pages in `docs` that lead out of it lead to the site's pages."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return _relinked(markdown, posixpath.join("docs", posixpath.dirname(page.file.src_uri)))


def _relinked(markdown: str, folder: str) -> str:
    """Replace links to files of the repository by links to pages of the site; `folder` is where the text lies."""

    def link(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        if "://" in target or target.startswith("mailto:"):
            return found.group()
        path = posixpath.normpath(posixpath.join(folder, target))
        page = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if page is None:
            return found.group()
        here = posixpath.dirname(folder and posixpath.relpath(folder, "docs") + "/") if folder.startswith("docs") else ""
        return f"{before}{posixpath.relpath(page, here or '.')}{after}"

    return _LINK.sub(link, markdown)
