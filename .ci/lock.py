"""Write the locks of `make demo` and CI: every package with its version, and the SHA-256 of its files.

    .venv/bin/python .ci/lock.py

Versions are those of constraints.txt. What packages need is read from an environment that has all of them, hashes from
the pages of the package indexes that pip is configured for. A lock covers Python 3.11 to 3.13 on Linux and macOS; that
of CI has torch for CPUs, and so fits the Python and the system of the machine that wrote it.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pip._internal.commands import create_command
from pip._internal.index.collector import LinkCollector, parse_links
from pip._internal.models.link import Link

ROOT = Path(__file__).parents[1]
PROJECT = "raylib-data"
TOOLS = ("pip", "setuptools")
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"))
NOT_INSTALLED = re.compile(
    r"win32|win_amd64|win_arm64|musllinux|ppc64le|s390x|armv7l|i686|riscv64|loongarch64|wasm32|ios_|android|graalpy|pp3"
    r"|-cp3(?:6|7|8|9|10|14|15)t?-(?!abi3)|-cp313-cp313t|\.egg$|\.exe$|\.msi$|\.metadata$"
)


def environments() -> Iterator[dict[str, str]]:
    """What markers of requirements are evaluated for."""
    for python in PYTHONS:
        for platform, system, machine in PLATFORMS:
            here = {key: str(value) for key, value in default_environment().items()}
            yield {
                **here,
                "python_version": python,
                "python_full_version": f"{python}.0",
                "sys_platform": platform,
                "platform_system": system,
                "platform_machine": machine,
            }


def needed(extras: tuple[str, ...]) -> tuple[dict[str, str], set[str]]:
    """Versions of all packages that the project with these extras needs, and names of those that are not here."""
    found: dict[str, str] = {}
    missing: set[str] = set()
    done: set[tuple[str, tuple[str, ...]]] = set()
    queue: list[tuple[str, tuple[str, ...]]] = [(PROJECT, extras)]
    while queue:
        name, wanted = queue.pop()
        if (name, wanted) in done:
            continue
        done.add((name, wanted))
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            missing.add(name)
            continue
        if name != PROJECT:
            found[name] = package.version  # torch for CPUs names itself 2.13.0+cpu, and needs nothing of CUDA
        for line in package.requires or ():
            one = Requirement(line)
            if any(_holds(one, {**place, "extra": extra}) for place in environments() for extra in ("", *wanted)):
                queue.append((canonicalize_name(one.name), tuple(sorted(one.extras))))
    return found, missing


def _holds(requirement: Requirement, environment: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(environment)


def hashes(collector: LinkCollector, name: str, version: str) -> list[str]:
    """Hashes of the files of a version: in all indexes by their pages, in local folders by content."""
    wanted = re.compile(rf"[-_]{re.escape(version)}(?:[-+.](?!post|dev|rc)|$)")
    found = set()
    for place in collector.search_scope.get_index_urls_locations(name):
        page = collector.fetch_response(Link(place))
        for link in parse_links(page) if page is not None else ():
            digest = (link._hashes or {}).get("sha256")
            if digest and wanted.search(link.filename) and not NOT_INSTALLED.search(link.filename):
                found.add(digest)
    for folder in map(Path, collector.find_links):
        own = f"{name.replace('-', '_')}-{version}-"
        files = folder.glob("*.whl") if folder.is_dir() else ()
        found |= {hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.name.lower().startswith(own)}
    return sorted(found)


def write(path: Path, packages: dict[str, str], collector: LinkCollector) -> None:
    """Write a lock."""
    lines = ["# Made by .ci/lock.py from constraints.txt, for Python 3.11 to 3.13 on Linux and macOS."]
    for name, version in sorted(packages.items()):
        digests = hashes(collector, name, version)
        if not digests:
            sys.exit(f"{name} {version}: no index has a file with a hash")
        lines.append(f"{name}=={version} \\\n" + " \\\n".join(f"    --hash=sha256:{digest}" for digest in digests))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{path.relative_to(ROOT)}: {len(packages)} packages")


def main() -> None:
    """Write the three locks."""
    command = create_command("install")
    with command.main_context():
        options, _ = command.parse_args(["--quiet", *TOOLS])
        collector = LinkCollector.create(command.get_default_session(options), options=options)
        locks = ROOT / "locks"
        tools = {name: metadata.version(name) for name in TOOLS}
        write(locks / "tools.txt", tools, collector)
        for name, extras in (("demo", ()), ("ci", ("test", "docs"))):
            packages, missing = needed(extras)
            write(locks / f"{name}.txt", {k: v for k, v in packages.items() if k not in TOOLS}, collector)
            if missing:
                print(f"{name}: not here, and not in the lock: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main()
