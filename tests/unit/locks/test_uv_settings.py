"""The real uv uses the settings of a request and no others."""

import asyncio
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import uv
from factories import write_wheel
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_index import serving

from matrixci.locks.index_settings import index_environment
from matrixci.locks.lock import Lock
from matrixci.locks.resolver import Resolver
from matrixci.locks.uv_command import ResolutionRequest
from matrixci.locks.uv_settings import ignored_settings, inherited_environment

PLATFORM = "x86_64-manylinux_2_36"
REQUEST = ResolutionRequest(
    requires=("toy",), python="3.12", platform=PLATFORM, torch_backend=None, as_of=None
)
CONSTRAINTS = "tool<2\n"


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """Return a function that resolves the request in the folder `work` from an index."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "constraints.txt").write_text(CONSTRAINTS)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))

    def versions(index: str) -> dict[str, str]:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index)
        resolver = Resolver(tmp_path / "answers", PLATFORM, None, fresh=True)
        lock = asyncio.run(resolver.answer(REQUEST))
        assert isinstance(lock, Lock)
        return lock.versions

    return versions


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder, "toy-1.0", ["tool"])
    for version in ("1.0", "2.0", "3.0rc1"):
        write_wheel(folder, f"tool-{version}")
    return folder


VARIABLES = {
    "UV_PRERELEASE": "allow",
    "UV_RESOLUTION": "lowest",
    "UV_CONSTRAINT": "../constraints.txt",
    "UV_OVERRIDE": "../constraints.txt",
    "UV_EXCLUDE_NEWER": "2001-01-01",
    "UV_NO_INDEX": "1",
    "UV_OFFLINE": "1",
    "PIP_PRE": "1",
    "PIP_CONSTRAINT": "../constraints.txt",
}


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_other_than_index_settings_do_not_change_a_lock(
    resolve: Callable[[str], dict[str, str]],
    wheels: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, VARIABLES[name])
    with serving(wheels) as index:
        assert resolve(index) == {"toy": "1.0", "tool": "2.0"}


SETTINGS = {
    "constraint-dependencies": '["tool<2"]',
    "override-dependencies": '["tool<2"]',
    "prerelease": '"allow"',
    "resolution": '"lowest"',
    "exclude-newer": '"2001-01-01"',
    "no-index": "true",
}


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("file", ["work/pyproject.toml", "work/uv.toml", "home/.config/uv/uv.toml"])
def test_discovered_configuration_files_do_not_change_a_lock(
    resolve: Callable[[str], dict[str, str]], wheels: Path, tmp_path: Path, file: str, key: str
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    table = "[tool.uv]\n" if path.name == "pyproject.toml" else ""
    path.write_text(f"{table}{key} = {SETTINGS[key]}\n")
    with serving(wheels) as index:
        assert resolve(index) == {"toy": "1.0", "tool": "2.0"}


def test_an_index_in_the_users_uv_toml_is_used(
    resolve: Callable[[str], dict[str, str]], wheels: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    config = tmp_path / "home/.config/uv/uv.toml"
    config.parent.mkdir(parents=True)
    with serving(wheels) as index, serving(tmp_path / "empty") as empty:
        config.write_text(f'[[index]]\nname = "corp"\nurl = "{index}"\n')
        assert resolve(empty) == {"toy": "1.0", "tool": "2.0"}


# The variables that uv itself documents, so that a new one is noticed here.

HARMLESS = {
    "UV_CONFIG_FILE",  # its index settings are used, and the others listed
    "UV_CUSTOM_COMPILE_COMMAND",
    "UV_LINK_MODE",
    "UV_MANAGED_PYTHON",  # the interpreter is given
    "UV_NO_MANAGED_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_NO_PROGRESS",
    "UV_PROJECT",
    "UV_WORKING_DIR",
}


def names_of_uv() -> list[str]:
    """Return the variables that the help of `uv pip compile` names."""
    argv = [uv.find_uv_bin(), "help", "--no-pager", "pip", "compile"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return sorted(set(re.findall(r"env: (UV_\w+)", done.stdout)))


def test_each_variable_of_uv_is_passed_on_or_listed_as_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = names_of_uv()
    assert "UV_PRERELEASE" in names
    for name in names:
        monkeypatch.setenv(name, "1")
    passed = {*inherited_environment(), *index_environment()}
    ignored = {word.removeprefix("$") for word in ignored_settings(tmp_path)}
    assert set(names) <= passed | ignored | HARMLESS
    assert not passed & (ignored | HARMLESS)


ANY_NAME = st.from_regex(r"(UV|PIP)_[A-Z_]{1,20}", fullmatch=True) | st.sampled_from(names_of_uv())


@settings(deadline=None)
@given(ANY_NAME)
def test_a_variable_changes_the_key_or_is_hidden_from_uv(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(name, raising=False)
        key, environment = REQUEST.key(), inherited_environment()
        patch.setenv(name, "http://other.example/simple")
        assert (REQUEST.key() != key) == (name in index_environment())
        if name not in {"UV_CACHE_DIR", "UV_NO_CACHE"} and "CONCURRENT" not in name:
            assert inherited_environment() == environment


def test_another_index_gives_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = REQUEST.key()
    config = tmp_path / "uv.toml"
    config.write_text('[[index]]\nname = "corp"\nurl = "http://corp.example/simple"\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    assert REQUEST.key() != before
