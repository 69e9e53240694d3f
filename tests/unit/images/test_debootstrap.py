import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from matrixci.errors import BaseImageError
from matrixci.images.debootstrap import make_root, package_source, run_logged
from matrixci.util.invocation import called

AddProgram = Callable[[str, str], Path]

APT = """\
trixie|http://mirror.example/debian|/usr/share/keyrings/new.gpg
bookworm-security|http://security.example|/usr/share/keyrings/a.gpg
bookworm|http://mirror.example/debian|/usr/share/keyrings/a.gpg
bookworm|http://other.example/debian|
sid|http://mirror.example/sid|$(SIGNED_BY)
"""


@pytest.mark.parametrize(
    ("release", "source"),
    [
        ("bookworm", ("http://mirror.example/debian", "/usr/share/keyrings/a.gpg")),
        ("sid", ("http://mirror.example/sid", "")),
    ],
)
def test_mirror_is_the_one_that_apt_uses(
    programs: AddProgram, release: str, source: tuple[str, str]
) -> None:
    programs("apt-get", f"cat <<'END'\n{APT}END")
    assert asyncio.run(package_source(release)) == source


@pytest.mark.parametrize(("release", "shown"), [("jammy", "jammy"), ("", "this system")])
def test_release_without_an_apt_source_is_reported(
    programs: AddProgram, release: str, shown: str
) -> None:
    programs("apt-get", f"cat <<'END'\n{APT}END")
    with pytest.raises(BaseImageError, match=f"apt has no source for {shown}, "):
        asyncio.run(package_source(release))


@pytest.mark.parametrize(("user", "tool"), [(1000, True), (0, False)])
def test_missing_root_or_debootstrap_is_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: AddProgram,
    user: int,
    *,
    tool: bool,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    if tool:
        programs("debootstrap", "exit 0")
    else:
        monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BaseImageError) as caught:
        asyncio.run(make_root("bookworm", tmp_path, tmp_path / "log"))
    first, second = str(caught.value).splitlines()
    assert "debootstrap and root are needed" in first
    assert second.startswith(f"Run {called('matrix', '--install-engine')} as root, or name a ")


def test_root_is_made_of_the_release_and_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: AddProgram
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    programs("apt-get", f"cat <<'END'\n{APT}END")
    programs(
        "debootstrap",
        f'echo "$@" >{tmp_path}/called; for root; do case $root in */root) '
        "mkdir -p $root/usr/share/doc $root/etc; touch $root/usr/share/doc/a $root/etc/b;; "
        "esac; done",
    )
    archive = asyncio.run(make_root("bookworm", tmp_path, tmp_path / "log"))
    assert (tmp_path / "called").read_text(encoding="utf-8").split() == [
        "--variant=minbase",
        "--include=netbase,tzdata",
        "--keyring=/usr/share/keyrings/a.gpg",
        "bookworm",
        str(tmp_path / "root"),
        "http://mirror.example/debian",
    ]
    content = archive.read_bytes()
    assert b"./etc/b" in content
    assert b"./usr/share/doc/a" not in content


def test_failed_command_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "base-system.log"
    script = "for n in 1 2 3 4 5 6 7 8 9 10; do echo line $n; done; exit 3"
    with pytest.raises(BaseImageError) as caught:
        asyncio.run(run_logged(["sh", "-c", script], log))
    first, *end = str(caught.value).splitlines()
    assert first == "sh failed while assembling a base image:"
    assert end == [f"line {number}" for number in range(3, 11)]
    assert log.read_text(encoding="utf-8").startswith("line 1\n")


@pytest.mark.parametrize("status", [0, 1])
def test_credentials_of_a_mirror_are_redacted(tmp_path: Path, status: int) -> None:
    log = tmp_path / "base-system.log"
    command = ["sh", "-c", f"echo http://me:pw@mirror.example/debian; exit {status}"]
    for _ in range(2):
        if status:
            with pytest.raises(BaseImageError) as caught:
                asyncio.run(run_logged(command, log))
            assert "pw" not in str(caught.value)
        else:
            asyncio.run(run_logged(command, log))
    assert log.read_text(encoding="utf-8") == "http://***@mirror.example/debian\n" * 2
