"""The command `clean`: remove containers, volumes and images of runs."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from matrixci.cli.console import console
from matrixci.cli.options import WORK_DIR, WorkDirOption
from matrixci.engine.build_cache import build_cache_size, prune_build_cache
from matrixci.engine.cleanup_plan import Scope
from matrixci.engine.client import Engine
from matrixci.engine.image_references import WorkDirId
from matrixci.execution.work_dir_use import in_use
from matrixci.model import now
from matrixci.reports.cleanup_text import listing, phrase

_AGE: Final = re.compile(r"(\d{1,5})([hdw]?)")
_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks", "": "days"}


def parse_age(text: str) -> timedelta:
    """Return a duration from text such as 7, 7d, 12h or 2w; the default unit is days.

    Raises:
        typer.BadParameter: the text is not a duration.
    """
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        msg = f"{text!r} is not an age. Write a number of days, or 12h, 7d, 2w."
        raise typer.BadParameter(msg)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def clean(
    *,
    work_dir: WorkDirOption = WORK_DIR,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Also remove those of other work directories, base images and the build cache.",
        ),
    ] = False,
    older_than: Annotated[
        timedelta | None,
        typer.Option(
            metavar="AGE",
            parser=parse_age,
            help="Remove only what was not used for this long, such as 7d or 12h.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed without removing it.")
    ] = False,
) -> None:
    """Remove containers, volumes and images of this work directory; its runs are kept."""
    lines = asyncio.run(
        _clean(work_dir, everything=everything, older_than=older_than, dry_run=dry_run)
    )
    for line in lines:
        console().print(Text(line), soft_wrap=True)


async def _clean(
    work_dir: Path, *, everything: bool, older_than: timedelta | None, dry_run: bool
) -> list[str]:
    engine = await Engine.connect()
    with in_use(work_dir) as use, use.alone() as alone:
        own = WorkDirId.of(work_dir)
        scope = Scope(
            work_dir=None if everything else own,
            unused_since=None if older_than is None else now() - older_than,
            busy=None if alone else own,
        )
        plan = await engine.cleanup.clean(scope, dry_run=dry_run)
    first = phrase(plan, dry_run=dry_run)
    if everything:
        asked = build_cache_size if dry_run else prune_build_cache
        first += f", build cache: {await asked(engine, older_than)}"
    return [first, *(listing(plan, now()) if dry_run else ())]
