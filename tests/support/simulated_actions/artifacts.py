"""Artifacts of a workflow run, with the rules of the upload and download actions."""

import fnmatch
import re
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FORBIDDEN: Final = re.compile(r'["\x3a<>|*?\r\n\\/]')
_MOST: Final = "1000"


class ActionError(Exception):
    """An action failed, and so did its step."""


class Artifacts:
    """The artifacts of one workflow run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def upload(self, inputs: Mapping[str, str], workspace: Path) -> None:
        """Store files as actions/upload-artifact does."""
        unknown = {*inputs} - {"name", "path", "if-no-files-found", "overwrite", "archive"}
        assert not unknown, unknown
        path = workspace / inputs["path"]
        if not path.exists():
            if inputs.get("if-no-files-found") == "error":
                msg = f"No files were found with the provided path: {path}"
                raise ActionError(msg)
            return
        if inputs.get("archive") == "false":
            assert path.is_file(), "only a single file can be stored without an archive"
            name = path.name
        else:
            name = inputs.get("name", "artifact")
        if _FORBIDDEN.search(name):
            msg = f"The artifact name is not valid: {name}"
            raise ActionError(msg)
        with self._lock:
            target = self.folder / name
            if target.exists():
                if inputs.get("overwrite") != "true":
                    msg = f"an artifact with this name already exists on the workflow run: {name}"
                    raise ActionError(msg)
                shutil.rmtree(target)
            if path.is_file():
                target.mkdir()
                shutil.copyfile(path, target / path.name)
            else:
                hidden = shutil.ignore_patterns(".*")
                shutil.copytree(path, target, ignore=hidden, symlinks=False)

    def download(
        self, inputs: Mapping[str, str], environment: Mapping[str, str], workspace: Path
    ) -> None:
        """Copy artifacts to a folder as actions/download-artifact does."""
        unknown = {*inputs} - {"name", "pattern", "path"}
        assert not unknown, unknown
        path = workspace / inputs["path"]
        path.mkdir(parents=True, exist_ok=True)
        # The real action lists only this many artifacts and warns about the others.
        most = int(environment.get("ACTIONS_ARTIFACT_MAX_ARTIFACT_COUNT", _MOST))
        listed = self.names()[:most]
        if name := inputs.get("name"):
            if name not in listed:
                msg = f"Artifact '{name}' not found"
                raise ActionError(msg)
            self._copy(name, path)
            return
        found = fnmatch.filter(listed, inputs["pattern"])
        for one in found:
            # A single artifact does not get its own folder.
            self._copy(one, path if len(found) == 1 else path / one)

    def _copy(self, name: str, path: Path) -> None:
        shutil.copytree(self.folder / name, path, dirs_exist_ok=True)
