"""A fake uv executable, recorded answers of the real one, and helpers to resolve with it."""

import asyncio
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from matrixci.locks.lock import Lock, Unsatisfiable
from matrixci.locks.resolver import Resolver
from matrixci.locks.uv_command import ResolutionRequest

DATA = Path(__file__).parents[1] / "unit/data"
PLATFORM = "x86_64-manylinux_2_36"

ATTRS = "attrs==26.1.0 \\\n    --hash=sha256:c6\n    # via pytest\n"
OK = (0, ATTRS, "")


def said(name: str) -> str:
    """Return the recorded standard error of the real uv."""
    return (DATA / f"resolver/{name}.txt").read_text(encoding="utf-8").partition("\n\n")[2]


NO_SOLUTION = (1, "", said("no-such-version"))
UNREACHABLE = (2, "", said("backend-unreachable"))


def a_request(*requires: str, **fields: object) -> ResolutionRequest:
    plain = ResolutionRequest(
        requires=requires or ("attrs",),
        python="3.12",
        platform=PLATFORM,
        torch_backend=None,
        as_of=None,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


class FakeUv:
    """A fake uv executable that records each call and prints prepared answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "uv"
        self.program.write_text(
            f"""#!/bin/sh
cd {folder}
case " $* " in *" --torch-backend "*) which=backend ;; *) which=plain ;; esac
echo "$which UV_HTTP_RETRIES=$UV_HTTP_RETRIES $*" >>calls
cat >>stdin
. ./$which.delay
cat $which.out
cat $which.err >&2
exit $(cat $which.status)
""",
            encoding="utf-8",
        )
        self.program.chmod(0o755)
        self.answer("plain", *OK)
        self.answer("backend", *OK)

    def answer(self, which: str, status: int, out: str, err: str, delay: str = "") -> None:
        texts = {"status": str(status), "out": out, "err": err, "delay": delay}
        for part, text in texts.items():
            (self.folder / f"{which}.{part}").write_text(text, encoding="utf-8")

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    @property
    def stdin(self) -> list[str]:
        return (self.folder / "stdin").read_text(encoding="utf-8").splitlines()


def install_fake_uv(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    """Make the resolver run a fake uv, stored in a new folder below `folder`."""
    (folder / "bin").mkdir()
    fake = FakeUv(folder / "bin")
    monkeypatch.setattr("uv.find_uv_bin", lambda: str(fake.program))
    monkeypatch.delenv("UV_HTTP_RETRIES", raising=False)
    return fake


def ask(
    cache: Path, *requests: ResolutionRequest, fresh: bool = False, as_of: date | None = None
) -> list[Lock | Unsatisfiable]:
    """Return the answers of a new resolver to concurrent requests."""

    async def answers() -> list[Lock | Unsatisfiable]:
        resolver = Resolver(cache, PLATFORM, as_of, fresh=fresh)
        try:
            return list(await asyncio.gather(*(resolver.answer(each) for each in requests)))
        finally:
            await resolver.close()

    return asyncio.run(answers())
