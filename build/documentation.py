"""The documentation as a site in .build/site/html: `make site`.

The rule it keeps: a link that works in the checkout works on the site, and a page that no menu names is an error. So
the pages keep their places, and every file that one links to lies beside them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
CONFIGURATION: Final = ROOT / "docs" / "zensical.toml"
FOLDER: Final = ROOT / ".build" / "site"
_LINK: Final = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


class SiteError(Exception):
    """The site cannot be built. The message says which page or link, and what to do."""


def main() -> int:
    """Build the site anew; 1 with the reason on standard error where a page, a link or the builder says no."""
    try:
        stage(ROOT, FOLDER)
    except SiteError as error:
        print(f"build/documentation.py: {error}", file=sys.stderr)
        return 1
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict", "--clean"]
    code = subprocess.run(command, cwd=FOLDER, check=False).returncode
    if not code:
        print(f"open {FOLDER.relative_to(ROOT)}/html/index.html")
    return code


def stage(root: Path, folder: Path) -> None:
    """Lay configuration, pages and what they link to into `folder`. Raises SiteError."""
    configuration = tomllib.loads((root / "docs" / "zensical.toml").read_text())["project"]
    named = list(pages(configuration["nav"]))
    if twice := sorted({page for page in named if named.count(page) > 1}):
        raise SiteError(f"docs/zensical.toml names {', '.join(twice)} twice")
    if forgotten := sorted({f"docs/{page.name}" for page in (root / "docs").glob("*.md")} - set(named)):
        raise SiteError(f"docs/zensical.toml has no place for {', '.join(forgotten)}")
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "source"
    waiting = [*named, *configuration.get("extra_javascript", [])]
    while waiting:
        name = waiting.pop()
        if (source / name).exists():
            continue
        if not (root / name).is_file():
            raise SiteError(f"{name} is named or linked to, and is no file")
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, source / name)
        if name.endswith(".md"):
            waiting += linked(root, name)
    shutil.copyfile(root / "docs" / "zensical.toml", folder / "zensical.toml")


def pages(nav: list[dict[str, Any]]) -> Iterator[str]:
    """The pages of a menu and its parts, by their path in the checkout."""
    for entry in nav:
        for value in entry.values():
            yield from pages(value) if isinstance(value, list) else [value]


def linked(root: Path, page: str) -> Iterator[str]:
    """The files that a page links to, by their path in the checkout. Raises SiteError for a path outside of it."""
    for target in _LINK.findall((root / page).read_text()):
        if not re.match(r"[a-z]+:", target):
            path = (root / page).parent.joinpath(target).resolve()
            if not path.is_relative_to(root):
                raise SiteError(f"{page} links to {target}, outside of the checkout")
            yield path.relative_to(root).as_posix()


if __name__ == "__main__":
    sys.exit(main())
