"""Cache of the resolver's answers: one JSON file for each request."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from matrixci.locks.lock import Lock, Pin, Unsatisfiable
from matrixci.locks.uv_command import ResolutionRequest
from matrixci.util.files import write_whole

_LIFETIME: Final = 600.0  # seconds; uv itself caches an index's answer this long


class AnswerCache:
    """Answers on disk. An answer as of a past date never expires; others do after ten minutes."""

    def __init__(self, folder: Path) -> None:
        """Initialize with the folder of the answers, which may be missing."""
        self._folder = folder

    def read(self, request: ResolutionRequest) -> Lock | Unsatisfiable | None:
        """Return the cached answer to a request, or None if it is missing, expired or damaged."""
        return _read(self._path(request), expires=request.as_of is None)

    def write(self, request: ResolutionRequest, answer: Lock | Unsatisfiable) -> None:
        """Store the answer to a request.

        Raises:
            RunFilesError: the file cannot be written.
        """
        write_whole(self._path(request), json.dumps(asdict(answer)), durable=False)

    def package_names(self) -> set[str]:
        """Return the names of all packages in cached locks, expired ones included."""
        answers = (_read(path, expires=False) for path in self._folder.glob("*.json"))
        return {pin.name for answer in answers if isinstance(answer, Lock) for pin in answer.pins}

    def _path(self, request: ResolutionRequest) -> Path:
        return self._folder / f"{request.key()}.json"


def _read(path: Path, *, expires: bool) -> Lock | Unsatisfiable | None:
    try:
        # A negative age means that the clock was set back.
        if expires and not 0 <= time.time() - path.stat().st_mtime <= _LIFETIME:
            return None
        answer = json.loads(path.read_text(encoding="utf-8"))
        if "reason" in answer:
            return Unsatisfiable(**answer)
        pins = tuple(
            Pin(**{**pin, "hashes": tuple(pin["hashes"]), "via": tuple(pin["via"])})
            for pin in answer.pop("pins")
        )
        return Lock(pins=pins, **answer)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
