"""`python -m raylib.reference [--check]`: write the generated pages, or name those that are out of date."""

from __future__ import annotations

import argparse
import sys

from raylib.reference.pages import differing, pages, write


def main() -> None:
    """Write all pages; with `--check` write none and exit with 1 if any of them would change."""
    parser = argparse.ArgumentParser(prog="python -m raylib.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="Write nothing; exit with 1 if a page is out of date.")
    check = parser.parse_args().check
    made = pages()
    changed = differing(made)
    if not check:
        write({path: made[path] for path in changed})
    for path in changed:
        sys.stdout.write(f"{'out of date' if check else 'written'}: {path}\n")
    if check and changed:
        sys.exit("run: python -m raylib.reference")


if __name__ == "__main__":
    main()
