"""Cache of green results, by a digest of everything that could change them."""

import shutil
from pathlib import Path
from typing import Final

from matrixci.model import CellResult
from matrixci.util.files import write_whole

_RESULT: Final = "result.json"
_LOG: Final = "container.log"


class ResultStore:
    """Green results of earlier runs with their logs, one folder per key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, log: Path) -> CellResult | None:
        """Return the result for a key and copy its log, or return None if it is not readable."""
        kept = self._folder / key
        try:
            result = CellResult.model_validate_json((kept / _RESULT).read_bytes())
            if result.reuse_key != key:
                return None
            shutil.copyfile(kept / _LOG, log)
        except (OSError, ValueError):
            return None
        return result

    def keep(self, result: CellResult, log: Path) -> None:
        """Store a green result under its key, with its log.

        Raises:
            RunFilesError: the files cannot be written.
        """
        kept = self._folder / str(result.reuse_key)
        write_whole(kept / _LOG, log.read_text(encoding="utf-8", errors="replace"))
        write_whole(kept / _RESULT, result.model_dump_json())
