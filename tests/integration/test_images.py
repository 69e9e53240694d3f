"""Cell images, and the outcome of cells without one."""

import io
import json
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from engine_state import docker
from toy import PASSED, PASSING, Ran, Toy

from matrixci.model import CellOutcome, Reason, StepName

BLOCKED = (CellOutcome.BLOCKED, Reason.BUILD)


@pytest.fixture
def tag(engine: None) -> Iterator[str]:  # noqa: ARG001
    """Return the name of an image that is removed after the test."""
    name = f"matrixci-tests/base:{secrets.token_hex(8)}"
    yield name
    docker("image", "rm", name)


def import_empty_image(tag: str) -> None:
    """Create an image without an interpreter."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    subprocess.run(["docker", "import", "-", tag], input=archive.getvalue(), check=True)


def test_cells_with_the_same_lock_share_an_image(first_run: Ran) -> None:
    plain, other = (first_run.cells[mode] for mode in ("plain", "other"))
    assert plain.lock is not None
    assert other.lock is not None
    assert plain.lock.digest == other.lock.digest
    assert plain.image is not None
    assert plain.image == other.image
    assert not plain.image.reused
    # It was built once: both cells record the end of the same build.
    cells = first_run.cells.values()
    builds = [step for cell in cells for step in cell.steps if step.name is StepName.BUILD]
    assert len(builds) == 2
    assert builds[0].ended == builds[1].ended
    logs = (first_run.stored.folder / "logs").glob("image-*.log")
    assert [f"logs/{path.name}" for path in logs] == [plain.image.log]
    existing = docker("image", "inspect", "--format", "{{.Id}} {{.Config.User}}", plain.image.tag)
    assert existing.split() == [plain.image.id, "65532:65532"]


def test_bill_of_materials_lists_the_interpreter_and_system_packages(
    first_run: Ran,
) -> None:
    cell = first_run.cells["plain"]
    assert cell.image is not None
    assert cell.attestation is not None
    document = json.loads(first_run.file(cell.sbom))
    found = {each["purl"] for each in document["components"] if "purl" in each}
    assert f"pkg:generic/python@{cell.attestation.python}" in found
    inside = ["run", "--rm", "--network", "none", cell.image.tag]
    form = "${Package}@${Version}?arch=${Architecture}\\n"
    packages = docker(*inside, "dpkg-query", "--show", f"--showformat={form}").splitlines()
    listed = {
        unquote(purl.removeprefix("pkg:deb/").partition("/")[2]).partition("&")[0]
        for purl in found
        if purl.startswith("pkg:deb/")
    }
    assert listed == set(packages)


def test_cell_is_built_on_the_base_image_that_it_names(toy: Toy, first_run: Ran, tag: str) -> None:
    usual = first_run.cells["plain"].image
    assert usual is not None
    docker("image", "tag", usual.base, tag)

    ran = toy.run(PASSING, {"plain": {}, "own": {"base": tag}})

    assert ran.outcomes == {"plain": PASSED, "own": PASSED}
    assert {mode: cell.image and cell.image.base for mode, cell in ran.cells.items()} == {
        "plain": usual.base,
        "own": tag,
    }


def test_missing_base_image_of_a_cell_is_not_replaced(toy: Toy) -> None:
    ran = toy.run(PASSING, {"plain": {}, "own": {"base": "127.0.0.1:9/nothing:1"}})

    assert ran.outcomes == {"plain": PASSED, "own": (CellOutcome.ERROR, Reason.BASE)}
    assert ran.exit_code == 3
    assert "127.0.0.1:9/nothing:1" in ran.cells["own"].message
    assert ran.cells["own"].image is None


def test_failed_build_blocks_only_its_own_cells(toy: Toy, tag: str) -> None:
    import_empty_image(tag)

    ran = toy.run(PASSING, {"plain": {}, "broken": {"base": tag}, "also": {"base": tag}})

    assert ran.outcomes == {"plain": PASSED, "broken": BLOCKED, "also": BLOCKED}
    assert ran.exit_code == 1
    for mode in ("broken", "also"):
        cell = ran.cells[mode]
        assert "no such file" in cell.message.splitlines()[0]
        assert (cell.image, cell.log, cell.attestation, cell.checks) == (None, None, None, ())


def test_build_timeout_blocks_the_cell(toy: Toy) -> None:
    secret = secrets.token_hex(8)
    printing = f"print('see http://toyuser:{secret}@index.example/', flush=True)"
    blocked_build = "import time; time.sleep(600)"

    ran = toy.run(PASSING, limits={"build-timeout": 6}, precompile=[printing, blocked_build])

    assert ran.outcomes == {"plain": BLOCKED}
    assert ran.exit_code == 1
    message = ran.cells["plain"].message
    assert message.startswith("The build took longer than 6 s.")
    assert secret not in message


def test_unreachable_index_is_an_infrastructure_error(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(toy.folder / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    ran = toy.run(PASSING)

    assert ran.outcomes == {"plain": (CellOutcome.ERROR, Reason.INDEX)}
    assert ran.exit_code == 3
    assert "Connection refused" in ran.cells["plain"].message
    assert ran.cells["plain"].image is None
