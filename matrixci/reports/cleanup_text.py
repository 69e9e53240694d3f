"""Messages about what a cleanup removes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from matrixci.engine.cleanup_plan import CleanupPlan, ImageRemoval, Spared
from matrixci.util.text import several

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_STEP: Final = 1000
_SECONDS: Final = {"day": 86400, "hour": 3600, "minute": 60}


def phrase(plan: CleanupPlan, *, dry_run: bool = False) -> str:
    """Return a one-line summary of a cleanup plan."""
    gone = sum(each.whole for each in plan.images)
    counts = _counts(len(plan.containers), len(plan.volumes), gone)
    text = f"{'would remove' if dry_run else 'removed'} {counts}"
    spared = plan.spared
    if spared != Spared():
        counts = _counts(spared.containers, spared.volumes, spared.images)
        text += f"; kept {counts} in use by a run"
    if plan.others:
        text += f"; kept {several(plan.others, 'image')} of other folders (--all removes them)"
    return text


def listing(plan: CleanupPlan, now: datetime) -> Iterator[str]:
    """Yield a line for each object that a plan removes, with its age and size."""
    for container in plan.containers:
        about = f"  {container.about}" if container.about else ""
        yield f"  container  {container.id[:12]}  {age(now - container.created)} old{about}"
    for volume in plan.volumes:
        yield f"  volume     {volume.name[:12]}  {age(now - volume.created)} old"
    for removal in plan.images:
        if removal.whole:
            yield f"  image      {_image(removal, now)}"
    if any(each.whole for each in plan.images):
        yield "Sizes include layers shared between images."


def _image(removal: ImageRemoval, now: datetime) -> str:
    image = removal.image
    names = image.own_names or image.names or (image.id.removeprefix("sha256:")[:12],)
    users = {each.repository.rpartition("/")[2] for each in image.references.values()}
    cells = {each.cell for each in image.references.values()}
    used_by = f"  {', '.join(sorted(cells))} of {', '.join(sorted(users))}" if users else ""
    when = f"last used {age(now - image.used)} ago"
    return f"{names[0]}  {size(image.size)}  {when}{used_by}"


def size(number: int) -> str:
    """Return a number of bytes as the docker command prints it, such as "1.5 GB"."""
    value, unit = float(number), 0
    while value >= _STEP and unit + 1 < len(_UNITS):
        value, unit = value / _STEP, unit + 1
    return f"{value:.3g} {_UNITS[unit]}" if value < _STEP else f"{value:.0f} {_UNITS[unit]}"


def age(time: timedelta) -> str:
    """Return a duration in its largest unit, rounded down."""
    seconds = max(0, int(time.total_seconds()))
    for noun, length in _SECONDS.items():
        if seconds >= length:
            return several(seconds // length, noun)
    return several(seconds, "second")


def _counts(containers: int, volumes: int, images: int) -> str:
    counts = (containers, "container"), (volumes, "volume"), (images, "image")
    return ", ".join(several(number, noun) for number, noun in counts)
