import asyncio
import hashlib
import io
import json
import shlex
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Done, run_command
from factories import (
    RUN,
    a_cell,
    a_check,
    a_lock,
    a_result,
    a_run,
    an_engine,
    an_image,
    an_own_wheel,
    digest_of_file,
)

from matrixci.engine.client import Engine
from matrixci.engine.container_spec import ContainerEnd, ContainerSpec
from matrixci.engine.gpu import GpuAccess
from matrixci.engine.image_references import WorkDirId, reference
from matrixci.errors import ExitCode, NotReproducibleError, RunFilesError, UsageError
from matrixci.execution import reproduce
from matrixci.execution.reproduce import (
    ChecksChoice,
    Reproduction,
    image_of,
    open_shell,
    prepare_reproduction,
    run_again,
)
from matrixci.images.base_images import BaseImages
from matrixci.images.buildx import BuildError
from matrixci.images.cell_images import BuiltImage, CellImages
from matrixci.images.image_settings import ImageRequest, ImageSettings
from matrixci.locks.lock import Lock, Pin
from matrixci.locks.own_wheels import wheel_path
from matrixci.model import (
    Cell,
    CellLimits,
    CellOutcome,
    CellResult,
    CheckOutcome,
    EngineFacts,
    Reason,
    Run,
    Setup,
    now,
)
from matrixci.runs.folder import RunFolder, read_run
from matrixci.runs.stored_checks import checks_file, store_checks
from matrixci.sandbox.files import read_sources
from matrixci.verdict.reproduce_command import anew_command, reproduce_command

CELL = a_cell(requires=(), environment={"OF_THE_CELL": "1"})
NAME = "20261122T100000Z-def456"
LOCK = Lock(
    pins=(
        Pin(name="pytest", version="8.4.0", url=None, hashes=("sha256:b",), via=()),
        Pin(name="transformers", version="5.23.0", url=None, hashes=("sha256:a",), via=("x",)),
    ),
    torch_backend=None,
)
CHECKS = ("test_a.py::test_one", "test_a.py::test_x[a]", "test_a.py::test_x[b]")
LIMITS = CellLimits(
    check_timeout=60,
    cell_timeout=300,
    build_timeout=600,
    memory=2**28,
    pids=128,
    cpus=1,
    tmp_size=2**26,
    log_size=2**20,
    result_size=2**20,
)
FACTS = an_engine()


def setup_of(checks: Path, **fields: object) -> Setup:
    return Setup.model_validate(
        {
            "limits": LIMITS,
            "environment": {"HOME": "/tmp/home"},  # noqa: S108
            "system": "debian:bookworm-slim",
            "python": "python:{python}-slim",
            "precompile": ("import torch",),
            "base_origin": None,
            "checks": str(checks),
            "checks_digest": read_sources(checks).digest,
            **fields,
        }
    )


@pytest.fixture(autouse=True)
def checks(tmp_path: Path) -> Path:
    folder = tmp_path / "checks"
    folder.mkdir()
    (folder / "test_a.py").write_text("def test_one(): ...\n", encoding="utf-8")
    return folder


def store(tmp_path: Path, *results: CellResult, **fields: object) -> Path:
    """Store a run; its cells are those of the results, and one that never reported."""
    of = [*dict.fromkeys(result.cell.id for result in results)]
    cells = [next(r.cell for r in results if r.cell.id == name) for name in of]
    checks = tmp_path / "checks"
    folder = RunFolder.create(tmp_path / ".matrixci", RUN)
    run = {"setup": setup_of(checks), "check_filter": "not slow", **fields}
    folder.write_run(a_run([*cells, a_cell("3.9")], **run))
    for result in results:
        file = folder.write_lock(result.cell.id, LOCK.annotated)
        lock = a_lock(LOCK.versions, digest=LOCK.digest, file=file)
        stored = result if result.lock is None else result.model_copy(update={"lock": lock})
        folder.write_cell(stored)
    folder.point_latest()
    return folder.path


def failed(cell: Cell = CELL, **fields: object) -> CellResult:
    outcomes = (CheckOutcome.FAILED, CheckOutcome.PASSED, CheckOutcome.PASSED)
    each = [a_check(name, outcome) for name, outcome in zip(CHECKS, outcomes, strict=True)]
    facts = {"checks": each, "reason": Reason.CHECKS, "image": an_image(), **fields}
    return a_result(cell, CellOutcome.FAILED, **facts)  # type: ignore[arg-type]


def prepared(
    folder: Path, check: str | None = None, cell: str = CELL.id, given: Path | None = None
) -> Reproduction:
    def named(name: str | None) -> Path:
        assert name is not None
        return Path(name)

    return prepare_reproduction(
        read_run(folder), cell, check, ChecksChoice(given=given, named=named), NAME
    )


# What is prepared, from the run's files alone


def test_cell_is_prepared_as_in_the_run(tmp_path: Path) -> None:
    what = prepared(store(tmp_path, failed()))
    assert (what.lock, what.only, what.remark) == (LOCK, None, None)
    message = what.sandbox.cell_json(CELL, what.record)
    assert {key: message[key] for key in ("run", "cell", "select", "only", "lock")} == {
        "run": NAME,
        "cell": CELL.id,
        "select": "not slow",
        "only": None,
        "lock": LOCK.versions,
    }
    spec = what.sandbox.container(CELL, message, "image", None)
    assert spec.environment == {"HOME": "/tmp/home", "OF_THE_CELL": "1"}  # noqa: S108
    assert [spec.memory, spec.tmp_size, spec.log_size, spec.result_size] == [
        2**28,
        2**26,
        2**20,
        2**20,
    ]
    assert [spec.pids, spec.cpus, spec.time_limit] == [128, 1, 300]
    assert spec.labels == {
        "org.matrixci.run": NAME,
        "org.matrixci.cell": CELL.id,
        "org.matrixci.folder": "",
    }
    with tarfile.open(fileobj=io.BytesIO(spec.files)) as archive:
        assert {"cell.json", "checks/checks/test_a.py", "harness/supervise.py", "results"} <= set(
            archive.getnames()
        )
        file = archive.extractfile("cell.json")
        assert file is not None
        assert json.load(file) == message


@pytest.mark.parametrize(
    ("check", "only"),
    [
        (CHECKS[0], CHECKS[:1]),
        (CHECKS[1], CHECKS[1:2]),
        ("test_a.py::test_x*", CHECKS[1:]),
        ("*[b]", CHECKS[2:]),
        ("*", CHECKS),
    ],
)
def test_a_check_is_named_by_its_id_or_by_a_glob(
    tmp_path: Path, check: str, only: Sequence[str]
) -> None:
    what = prepared(store(tmp_path, failed()), check)
    assert what.only == tuple(only)
    assert what.sandbox.cell_json(CELL, what.record)["only"] == list(only)


def test_cell_without_results_has_the_checks_of_other_cells(tmp_path: Path) -> None:
    lost = failed(a_cell("3.13"), checks=(), reason=Reason.OOM)
    folder = store(tmp_path, lost, failed())
    assert prepared(folder, CHECKS[0], lost.cell.id).only == CHECKS[:1]


def test_any_id_is_accepted_if_no_check_is_known(tmp_path: Path) -> None:
    folder = store(tmp_path, failed(checks=(), reason=Reason.OOM))
    assert prepared(folder, "test_a.py::test_one").only == ("test_a.py::test_one",)
    with pytest.raises(UsageError, match="has no check test_one"):
        prepared(folder, "test_one")


@pytest.mark.parametrize(
    ("cell", "check", "message"),
    [
        ("py3.21-numpy2-cpu", None, f'no cell py3.21-numpy2-cpu. Did you mean "{CELL.id}"'),
        (
            CELL.id,
            "test_a.py::test_won",
            f'no check test_a.py::test_won. Did you mean "{CHECKS[0]}"',
        ),
    ],
)
def test_unknown_cell_or_check_is_reported(
    tmp_path: Path, cell: str, check: str | None, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        prepared(store(tmp_path, failed()), check, cell)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (
            a_result(CELL, CellOutcome.UNSATISFIABLE, message="no wheel of numpy<2"),
            "ended as unsatisfiable before it had a lock, .*: no wheel of numpy<2",
        ),
        (
            a_result(CELL, CellOutcome.ERROR, reason=Reason.INDEX, message="No answer."),
            "ended as error before it had a lock, .*: No answer.",
        ),
    ],
)
def test_cell_without_a_lock_cannot_be_reproduced(
    tmp_path: Path, result: CellResult, why: str
) -> None:
    folder = store(tmp_path, result)
    for cell, reason in ((CELL.id, why), ("py3.9-numpy2-cpu", "it was not resolved")):
        with pytest.raises(NotReproducibleError, match=reason) as caught:
            prepared(folder, None, cell)
        assert f"matrixci matrix --cell {cell} --subject transformers" in str(caught.value)


def test_run_without_setup_cannot_be_reproduced(tmp_path: Path) -> None:
    with pytest.raises(NotReproducibleError, match="made by an older matrixci"):
        prepared(store(tmp_path, failed(), setup=None))


def test_changed_checks_are_reported(tmp_path: Path, checks: Path) -> None:
    folder = store(tmp_path, failed())
    (checks / "test_a.py").write_text("def test_one(): assert False\n", encoding="utf-8")
    assert prepared(folder).remark == "the checks have changed since the run"


def test_stored_checks_run_even_if_the_folder_has_changed(tmp_path: Path, checks: Path) -> None:
    folder = store(tmp_path, failed())
    before = read_sources(checks)
    store_checks(folder, before)
    archive = (folder / checks_file(before.digest)).read_bytes()
    (checks / "test_a.py").unlink()
    checks.rmdir()
    what = prepared(folder)
    assert what.remark is None
    assert what.sandbox.checks == before
    (folder / checks_file(before.digest)).unlink()
    store_checks(folder, what.sandbox.checks)
    assert (folder / checks_file(before.digest)).read_bytes() == archive


def test_other_checks_are_named(tmp_path: Path, checks: Path) -> None:
    folder = store(tmp_path, failed())
    store_checks(folder, read_sources(checks))
    other = tmp_path / "other"
    other.mkdir()
    (other / "test_b.py").write_text("def test_two(): ...\n", encoding="utf-8")
    what = prepared(folder, given=other)
    assert what.remark == f"with the checks in {other}"
    assert list(what.sandbox.checks.files["checks"]) == ["test_b.py"]


@pytest.mark.parametrize("name", ["../test_a.py", "/test_a.py", "damaged"])
def test_invalid_archive_of_checks_is_refused(tmp_path: Path, checks: Path, name: str) -> None:
    folder = store(tmp_path, failed())
    path = folder / checks_file(read_sources(checks).digest)
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    if name == "damaged":
        path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(RunFilesError, match="Cannot read the checks"):
        prepared(folder)


def test_a_lock_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = store(tmp_path, failed())
    path = folder / f"locks/{CELL.id}.txt"
    path.write_text(path.read_text().replace("5.23.0", "5.22.0"), encoding="utf-8")
    with pytest.raises(RunFilesError, match="was changed"):
        prepared(folder)


# The image


class Names(set[str]):
    """Names of images, and which were given to an image besides its own."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__(names)
        self.added: list[tuple[str, str]] = []

    async def tag(self, name: str, other: str) -> None:
        self.added.append((name, other))

    async def digest(self, name: str) -> str | None:
        return name if name in self else None


@dataclass
class FakeEngine:
    """Has images, and keeps what it is asked to run."""

    images: Names = field(default_factory=Names)
    ends: Mapping[str, CheckOutcome] = field(default_factory=dict)
    """Outcomes of the checks."""
    ran: list[ContainerSpec] = field(default_factory=list)
    way: GpuAccess | None = None
    facts: EngineFacts = FACTS
    host: str = "unix:///nowhere"
    unenforced: tuple[str, ...] = ()

    @property
    def containers(self) -> "FakeEngine":
        return self

    async def gpu(self, image: str) -> GpuAccess | None:
        assert image
        return self.way

    async def run(
        self, spec: ContainerSpec, log: Path, follow: Callable[[bytes], None]
    ) -> ContainerEnd:
        self.ran.append(spec)
        for piece in (b"caf\xc3", b"\xa9\x1b[31m\nsecond", b" line\n"):
            follow(piece)
        log.write_text("the log\n", encoding="utf-8")
        return ContainerEnd(
            exit_status=0,
            oom_killed=False,
            timed_out=False,
            started=now(),
            ended=now(),
            archive=left_behind(spec, self.ends),
            kept="0123456789ab" if spec.keep else None,
            unenforced=self.unenforced,
        )

    async def attach(self, spec: ContainerSpec) -> int:
        self.ran.append(spec)
        return 7


def left_behind(spec: ContainerSpec, ends: Mapping[str, CheckOutcome]) -> bytes:
    """Return the files of a container whose checks had these outcomes."""
    with tarfile.open(fileobj=io.BytesIO(spec.files)) as given:
        file = given.extractfile("cell.json")
        assert file is not None
        cell = json.load(file)
    at = now().isoformat()
    plain = {"claim": "", "reference": None, "severity": "error"}
    empty: dict[str, Any] = {"reason": "", "need": None, "message": "", "detail": "", "metrics": {}}
    attested: dict[str, Any] = {
        "python": "3.12.7",
        "machine": "x86_64",
        "modules": {},
        "torch_cuda": None,
        "gpus": 0,
    }
    lines: list[dict[str, Any]] = [
        {"kind": "header", "schema": 1, **{key: cell[key] for key in ("nonce", "run", "cell")}},
        {"kind": "attestation", **attested, "torch_cuda": None, "distributions": cell["lock"]},
        {"kind": "collected", "checks": [{"id": name, **plain} for name in ends]},
    ]
    for name, outcome in ends.items():
        lines.append({"kind": "begin", "id": name})
        lines.append({"kind": "end", "id": name, **empty, "outcome": outcome})
    lines.append({"kind": "footer", "checks": len(ends), "ended": len(ends)})
    content = "".join(json.dumps({"at": at, **line}) + "\n" for line in lines).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("results/results.jsonl")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def as_engine(engine: FakeEngine) -> Engine:
    return engine  # type: ignore[return-value]


def image(what: Reproduction, engine: FakeEngine, work_dir: Path) -> tuple[str, list[str]]:
    said: list[str] = []
    tag = asyncio.run(image_of(as_engine(engine), what, work_dir, work_dir, said.append))
    return tag, said


@dataclass
class Builds:
    """What was asked to be built, and what comes of it."""

    tag: str = an_image().tag
    fails: str | None = None
    asked: list[tuple[ImageRequest, ImageSettings]] = field(default_factory=list)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    found = Builds()

    class FakeImages(CellImages):
        async def image(self, request: ImageRequest) -> BuiltImage:
            assert isinstance(self._bases, BaseImages)
            found.asked.append((request, self._settings))
            if found.fails:
                raise BuildError(found.fails)
            return BuiltImage(
                record=an_image(tag=found.tag), system="sha256:22", began=now(), ended=now()
            )

    monkeypatch.setattr(reproduce, "CellImages", FakeImages)
    return found


def test_the_image_of_the_run_is_used_by_its_digest(tmp_path: Path, builds: Builds) -> None:
    what = prepared(store(tmp_path, failed()))
    engine = FakeEngine(images=Names({an_image().id}))
    assert image(what, engine, tmp_path) == (an_image().id, [])
    assert builds.asked == []


@pytest.mark.parametrize("standing", [set(), {an_image().tag}])
def test_missing_image_is_rebuilt_from_the_stored_lock(
    tmp_path: Path, builds: Builds, standing: set[str]
) -> None:
    what = prepared(store(tmp_path, failed()))
    engine = FakeEngine(images=Names(standing))
    tag, said = image(what, engine, tmp_path)
    assert tag == builds.tag
    # It is the folder's: its next run, or `clean`, can remove it.
    used = reference(WorkDirId.of(tmp_path), what.run, CELL.id, tag)
    assert engine.images.added == [(tag, used.tag)]
    assert said == ["the image of the run is missing; rebuilding it from the stored lock"]
    ((request, settings),) = builds.asked
    assert request == ImageRequest(lock=LOCK, python="3.12", base="python:3.12-slim")
    assert settings == ImageSettings(
        system="debian:bookworm-slim",
        tools_python="3.12",
        tools_base="python:3.12-slim",
        precompile=("import torch",),
        wheels={},
        jobs=1,
        time_limit=600,
    )


def test_different_rebuilt_image_is_reported(tmp_path: Path, builds: Builds) -> None:
    builds.tag = "matrixci/cell:other"
    what = prepared(store(tmp_path, failed()))
    tag, said = image(what, FakeEngine(), tmp_path)
    assert tag == "matrixci/cell:other"
    assert "the new image differs" in said[-1]


def wheel_run(wheel: Path) -> Run:
    digest = digest_of_file(wheel)
    subject = {
        "name": "transformers",
        "spec": "./x",
        "wheel": wheel.name,
        "digest": digest,
        "requirement": f"transformers @ {wheel.as_uri()}#sha256={digest}",
    }
    return a_run(subject=subject)


@pytest.mark.parametrize("place", ["where it was", "kept", "gone", "another"])
def test_the_subjects_own_wheel_is_found(tmp_path: Path, builds: Builds, place: str) -> None:
    wheel = tmp_path / "a b/transformers-5.23.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(b"wheel")
    subject = wheel_run(wheel).subject
    what = prepared(store(tmp_path, failed(), subject=subject))
    expected = wheel
    if place == "kept":
        expected = tmp_path / "home/subjects/0123/transformers-5.23.0-py3-none-any.whl"
        expected.parent.mkdir(parents=True)
        wheel.rename(expected)
    elif place != "where it was":
        wheel.write_bytes(b"other") if place == "another" else wheel.unlink()
        with pytest.raises(NotReproducibleError, match="so is the wheel"):
            image(what, FakeEngine(), tmp_path / "home")
        return
    image(what, FakeEngine(), tmp_path / "home")
    ((request, settings),) = builds.asked
    assert settings.wheels == {subject.digest: expected}
    assert request.lock.pins[1].install_line("/w").startswith("transformers @ file:///w/transf")


@pytest.mark.parametrize("gone", [False, True])
def test_the_wheels_of_requirements_are_found(
    tmp_path: Path, builds: Builds, *, gone: bool
) -> None:
    own = an_own_wheel("pytest", digest=hashlib.sha256(b"wheel").hexdigest())
    kept = tmp_path / "home" / wheel_path(own)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"other" if gone else b"wheel")
    of_another_cell = an_own_wheel("pytest", spec="pytest @ file:///p.whl")
    what = prepared(store(tmp_path, failed(), own_wheels=[own, of_another_cell]))
    pins = (replace(LOCK.pins[0], hashes=(f"sha256:{own.digest}",)), LOCK.pins[1])
    what = replace(what, lock=replace(LOCK, pins=pins))
    if gone:
        with pytest.raises(NotReproducibleError, match="so is the wheel"):
            image(what, FakeEngine(), tmp_path / "home")
        return
    image(what, FakeEngine(), tmp_path / "home")
    ((_, settings),) = builds.asked
    assert settings.wheels == {own.digest: kept}


# Running it


def test_a_cell_is_run_again(tmp_path: Path) -> None:
    what = prepared(store(tmp_path, failed()), CHECKS[0])
    engine = FakeEngine(ends={CHECKS[0]: CheckOutcome.PASSED})
    pieces: list[bytes] = []
    result, kept = asyncio.run(
        run_again(as_engine(engine), what, "sha256:00", tmp_path / "log", pieces.append)
    )
    assert (result.outcome, result.run, kept) == (CellOutcome.PASSED, NAME, None)
    assert [check.id for check in result.checks] == [CHECKS[0]]
    (spec,) = engine.ran
    assert (spec.image, spec.keep, spec.interactive, spec.gpu) == ("sha256:00", False, False, None)


def test_container_without_results_is_not_a_pass(tmp_path: Path) -> None:
    what = prepared(store(tmp_path, failed()))
    result, _ = asyncio.run(
        run_again(as_engine(FakeEngine()), what, "i", tmp_path / "log", lambda _: None)
    )
    assert result.outcome is CellOutcome.FAILED


def test_limits_can_be_required(tmp_path: Path) -> None:
    what = replace(prepared(store(tmp_path, failed())), require_limits=True)
    engine = FakeEngine(unenforced=("memory",))
    run = run_again(as_engine(engine), what, "image", tmp_path / "log", lambda _: None)
    assert asyncio.run(run)[0].unenforced == ("memory",)
    asyncio.run(open_shell(as_engine(engine), what, "image", terminal=True))
    assert [spec.require_limits for spec in engine.ran] == [True, True]


def test_gpu_is_requested_for_a_cell_with_a_gpu(tmp_path: Path) -> None:
    cuda = a_cell(device="cuda", requires=())
    what = prepared(store(tmp_path, failed(cuda)), None, cuda.id)
    engine = FakeEngine(way=GpuAccess.CDI)
    assert asyncio.run(open_shell(as_engine(engine), what, "image", terminal=True)) == 7
    assert engine.ran[0].gpu is GpuAccess.CDI


def test_a_shell_is_opened_in_the_same_container(tmp_path: Path) -> None:
    what = prepared(store(tmp_path, failed()), CHECKS[0])
    engine = FakeEngine(ends={CHECKS[0]: CheckOutcome.PASSED})
    asyncio.run(run_again(as_engine(engine), what, "image", tmp_path / "log", lambda _: None))
    assert asyncio.run(open_shell(as_engine(engine), what, "image", terminal=True)) == 7
    checks_run, shell = (vars(spec) for spec in engine.ran)
    other = {name for name in shell if shell[name] != checks_run[name]}
    assert other == {"command", "interactive", "terminal", "files"}  # the files' nonce is its own
    assert shell["command"] == reproduce.SHELL


# The command


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    found = FakeEngine(images=Names({an_image().id}))

    async def connect() -> Engine:
        return as_engine(found)

    monkeypatch.setattr(Engine, "connect", connect)
    return found


Command = Callable[..., Done]


@pytest.fixture
def command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    return lambda *words: run_command(monkeypatch, capsys, tmp_path, "reproduce", *words)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [(CheckOutcome.PASSED, ExitCode.READY), (CheckOutcome.FAILED, ExitCode.FAILURES)],
)
def test_the_command_shows_all_and_exits_by_the_outcome(
    command: Command, engine: FakeEngine, tmp_path: Path, outcome: CheckOutcome, code: ExitCode
) -> None:
    store(tmp_path, failed())
    engine.ends = {CHECKS[0]: outcome}
    done = command(CELL.id, CHECKS[0])
    assert done.code == code, done.err
    lines = done.out.splitlines()
    assert lines[:2] == ["café\\x1b[31m", "second line"]
    assert f"{outcome}  {CHECKS[0]}  (in the run: failed)" in lines[3]
    (folder,) = (tmp_path / ".matrixci/reproductions").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        *("run.json", f"{CELL.id}.log", f"{CELL.id}.json"),
    }
    assert str(folder.relative_to(tmp_path)) in done.err


def test_result_of_a_whole_cell_is_compared_with_the_run(
    command: Command, engine: FakeEngine, tmp_path: Path
) -> None:
    store(tmp_path, failed())
    engine.ends = dict.fromkeys(CHECKS, CheckOutcome.PASSED)
    done = command(CELL.id)
    assert done.out.splitlines()[-1] == f"✓ {CELL.id}: passed; in the run: failed"


def test_known_issues_apply_to_reproductions(
    command: Command, engine: FakeEngine, tmp_path: Path
) -> None:
    issue = {"check": CHECKS[0], "reference": "a/b#1", "reason": "later", "expires": "2099-01-01"}
    store(tmp_path, failed(), known_issues=(issue,))
    engine.ends = {CHECKS[0]: CheckOutcome.FAILED}
    done = command(CELL.id, CHECKS[0])
    assert done.code == ExitCode.READY
    assert f"≈ known-issue  {CHECKS[0]}  (in the run: known-issue)" in done.out


@pytest.mark.parametrize("option", [(), ("--require-limits",)])
def test_unenforced_limits_are_reported_or_refused(
    command: Command, engine: FakeEngine, tmp_path: Path, option: tuple[str, ...]
) -> None:
    store(tmp_path, failed())
    engine.facts = FACTS.model_copy(update={"unenforced": ("memory", "swap")})
    engine.ends = {CHECKS[0]: CheckOutcome.PASSED}
    done = command(CELL.id, CHECKS[0], *option)
    assert "cannot enforce limits on memory, swap" in done.err
    assert len(engine.ran) == (0 if option else 1)
    assert done.code == (ExitCode.INFRASTRUCTURE if option else ExitCode.READY)


def test_failed_build_is_reported(
    command: Command, engine: FakeEngine, builds: Builds, tmp_path: Path
) -> None:
    store(tmp_path, failed())
    engine.images.clear()
    builds.fails = "#12 ERROR: exit code 1"
    done = command(CELL.id)
    assert done.code == ExitCode.FAILURES
    assert f"■ {CELL.id}: blocked (build); in the run: failed" in done.out
    assert "#12 ERROR: exit code 1" in done.out
    assert "rebuilding it from the stored lock" in done.err


def test_container_is_kept_on_request(command: Command, engine: FakeEngine, tmp_path: Path) -> None:
    store(tmp_path, failed())
    engine.ends = {CHECKS[0]: CheckOutcome.PASSED}
    done = command(CELL.id, CHECKS[0], "--keep")
    assert engine.ran[0].keep
    assert "docker cp 0123456789ab:/matrixci/results" in done.err
    assert "matrixci clean" in done.err


def test_the_shells_status_is_the_commands(
    command: Command, engine: FakeEngine, tmp_path: Path
) -> None:
    store(tmp_path, failed())
    done = command(CELL.id, "--shell", "--run", RUN)
    assert (done.code, done.out) == (7, "")
    assert engine.ran[0].interactive
    assert "`check` runs its checks" in done.err


def test_other_folder_of_checks_is_reported(
    command: Command, engine: FakeEngine, tmp_path: Path
) -> None:
    store(tmp_path, failed())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/test_a.py").write_text("def test_mine(): ...\n", encoding="utf-8")
    done = command(CELL.id, "--shell", "--checks", "mine")
    assert "note: with the checks in mine" in done.err
    with tarfile.open(fileobj=io.BytesIO(engine.ran[0].files)) as archive:
        file = archive.extractfile("checks/test_a.py")
        assert file is not None
        assert b"test_mine" in file.read()


# The commands that reports print


def test_the_command_that_reproduces_is_short() -> None:
    run = a_run(command=("matrix", "--cell", "x"))
    assert shlex.join(reproduce_command(run, "py3.12", "t.py::t[a b]")) == (
        f"matrixci reproduce py3.12 't.py::t[a b]' --run {RUN}"
    )
    assert reproduce_command(run, "py3.12")[-3:] == ("py3.12", "--run", RUN)


@pytest.mark.parametrize("given", [("--work-dir", "else where"), ("--work-dir=else where",)])
def test_reproduce_command_names_another_work_dir(given: tuple[str, ...]) -> None:
    run = a_run(command=("matrix", *given))
    assert reproduce_command(run, "c")[-2:] == ("--work-dir", "else where")
    assert anew_command(run, "c")[-2:] == ("--work-dir", "else where")


def test_rerun_command_repeats_the_options_of_the_run() -> None:
    words = ("matrix", "--matrix", "m.yaml", "--jobs", "4", "--checks=mine", "--base", "registry")
    run = a_run(command=words, as_of="2026-08-01")
    assert anew_command(run, "c")[4:] == (
        *("--subject", "transformers", "--as-of", "2026-08-01"),
        *("--matrix", "m.yaml", "--checks", "mine", "--base", "registry"),
    )
