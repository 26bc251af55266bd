"""Content security policies of pages that are one file: their own scripts run, by hash, and no others.

The texts of a page are escaped. Should that ever fail, what they hold still does not run.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["page_policy", "script_source"]


def script_source(script: str) -> str:
    """A script in a page as `script-src` names it.

    Args:
        script: What stands between `<script>` and `</script>`.
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def page_policy(*sources: str) -> str:
    """The policy of a page that is one file: it loads nothing, sends nothing, and runs these scripts.

    Args:
        sources: What `script-src` allows.

    Returns:
        The value of `Content-Security-Policy`. Styles are allowed, because the widths of bars are styles.
    """
    return (
        f"default-src 'none'; script-src {' '.join(sources)}; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )
