"""A project with its own build backend, which pip can build without an index."""

import subprocess
from pathlib import Path

PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """\
import zipfile

NAME, VERSION, FAILS = {name!r}, {version!r}, {fails!r}


def build_wheel(folder, config_settings=None, metadata_directory=None):
    if FAILS:
        raise SystemExit(FAILS)
    wheel = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    about = f"{{NAME}}-{{VERSION}}.dist-info"
    with zipfile.ZipFile(f"{{folder}}/{{wheel}}", "w") as archive:
        def write(path, text):
            archive.writestr(zipfile.ZipInfo(path), text)
        write(f"{{NAME}}.py", {code!r})
        metadata = ["Metadata-Version: 2.1", f"Name: {{NAME}}", f"Version: {{VERSION}}", ""]
        write(f"{{about}}/METADATA", "\\n".join(metadata))
        tags = ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any", ""]
        write(f"{{about}}/WHEEL", "\\n".join(tags))
        write(f"{{about}}/RECORD", "")
    return wheel
"""


def a_project(
    folder: Path, name: str = "toy", version: str = "1.0", code: str = "", fails: str = ""
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    text = BACKEND.format(name=name, version=version, code=code, fails=fails)
    (folder / "backend.py").write_text(text, encoding="utf-8")
    return folder


def commit_all(folder: Path, tag: str = "") -> str:
    """Commit all files of a folder on the branch main, with an optional tag; return the commit."""
    git = ["git", "-C", str(folder), "-c", "user.name=toy", "-c", "user.email=toy@host.example"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "toy"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    if tag:
        subprocess.run([*git, "tag", tag], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()
