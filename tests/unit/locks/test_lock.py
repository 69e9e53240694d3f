import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from factories import digest_of_file, write_wheel
from fake_uv import DATA

from matrixci.errors import ResolverError
from matrixci.locks.lock import Lock, Pin, closure, parse_lock

REAL_LOCK = (DATA / "resolver_lock.txt").read_text(encoding="utf-8")


def test_real_output_of_uv_is_parsed() -> None:
    pins = {pin.name: pin for pin in parse_lock(REAL_LOCK)}
    assert {name: pin.version for name, pin in pins.items()} == {
        "accelerate": "1.15.0",
        "cuda-toolkit": "13.2.2",
        "my-own": "1.0+local",
        "numpy": "1.26.4",
        "nvidia-cublas": "13.4.1.3",
        "packaging": "26.3",
        "pytest": "9.2.0",
        "torch": "2.15.0",
        "triton": "3.9.0",
        "typing-extensions": "4.16.0",
    }
    assert list(pins) == sorted(pins)
    assert all(value.startswith("sha256:") for pin in pins.values() for value in pin.hashes)
    assert [len(pin.hashes) for pin in pins.values()] == [2, 1, 1, 2, 2, 2, 2, 2, 2, 2]
    assert pins["numpy"].via == ("accelerate", "transformers")
    assert pins["nvidia-cublas"].via == ("cuda-toolkit", "nvidia-cudnn-cu13", "nvidia-cusolver")
    assert pins["accelerate"].via == ()
    assert [name for name, pin in pins.items() if pin.url] == ["my-own"]


@pytest.mark.parametrize(
    ("text", "name", "pinned", "url"),
    [
        ("a==1", "a", "1", None),
        ("Foo.Bar_baz==1.0.post1 \\\n    --hash=sha256:0", "foo-bar-baz", "1.0.post1", None),
        ("torch==2.15.0+cpu", "torch", "2.15.0+cpu", None),
        ("pytest[dev,testing]==9.2.0", "pytest", "9.2.0", None),
        ("colorama==0.4.6 ; sys_platform == 'win32'", "colorama", "0.4.6", None),
        ("a==1  # via b", "a", "1", None),
        (
            "a @ file:///srv/my%20dist/a-1!2.0-py3-none-any.whl",
            "a",
            "1!2.0",
            "file:///srv/my%20dist/a-1!2.0-py3-none-any.whl",
        ),
        (
            "a @ https://host.example/a-2-py3-none-any.whl#sha256=00 \\\n    --hash=sha256:00",
            "a",
            "2",
            "https://host.example/a-2-py3-none-any.whl#sha256=00",
        ),
    ],
)
def test_each_form_of_a_line_is_parsed(text: str, name: str, pinned: str, url: str | None) -> None:
    (pin,) = parse_lock(text)
    assert (pin.name, pin.version, pin.url) == (name, pinned, url)


def test_comments_options_and_blank_lines_are_skipped() -> None:
    text = "# made by uv\n--index-url https://host.example/simple\n\na==1\n    # via b\n\nb==2\n"
    assert [pin.name for pin in parse_lock(text)] == ["a", "b"]


@pytest.mark.parametrize(
    "line",
    ["a>=1", "a", "a==1,==2", "???", "a @ https://host.example/a-1.tar.gz", "a @ file:///srv/a/"],
)
def test_a_line_without_an_exact_version_is_rejected(line: str) -> None:
    with pytest.raises(ResolverError, match="Cannot parse this line of a lock: ") as caught:
        parse_lock(f"b==1\n{line}\n")
    assert line in str(caught.value)


def test_a_written_lock_parses_to_the_same_pins() -> None:
    pins = tuple(replace(pin, via=()) for pin in parse_lock(REAL_LOCK) if pin.url is None)
    assert parse_lock(Lock(pins=pins, torch_backend=None).text) == pins


def test_an_own_wheel_is_installed_from_the_folder_of_wheels() -> None:
    (own,) = (pin for pin in parse_lock(REAL_LOCK) if pin.url)
    assert own.line().startswith("my-own==1.0+local \\\n    --hash=sha256:db9a")
    assert own.install_line("/run/wheels").splitlines()[0] == (
        "my-own @ file:///run/wheels/my_own-1.0%2Blocal-py3-none-any.whl \\"
    )


def test_the_digest_covers_requirements_hashes_and_backend() -> None:
    pins = parse_lock(REAL_LOCK)
    lock = Lock(pins=pins, torch_backend=None)
    other_hash = (replace(pins[0], hashes=("sha256:00",)), *pins[1:])
    digests = {
        lock.digest,
        replace(lock, torch_backend="cpu").digest,
        replace(lock, pins=pins[1:]).digest,
        replace(lock, pins=other_hash).digest,
    }
    assert len(digests) == 4
    other_via = (replace(pins[0], via=("x",)), *pins[1:])
    assert replace(lock, pins=other_via, fallback=True).digest == lock.digest


def test_a_closure_includes_indirect_dependencies() -> None:
    def pin(name: str, *via: str) -> Pin:
        return Pin(name=name, version="1", url=None, hashes=(), via=via)

    pins = [pin("torch"), pin("b", "a"), pin("a", "torch"), pin("c", "b", "x"), pin("x")]
    assert closure(pins, {"torch"}) == {"torch", "a", "b", "c"}
    assert closure(pins, {"x", "absent"}) == {"x", "c"}
    assert closure(pins, set()) == set()
    cycle = [pin("a", "b"), pin("b", "a")]
    assert closure(cycle, {"a"}) == {"a", "b"}


# A lock as a constraints file of pip


def pip_install(folder: Path, lock: Lock) -> subprocess.CompletedProcess[str]:
    constraints = folder / "constraints.txt"
    constraints.write_text(lock.text, encoding="utf-8")
    options = ["--dry-run", "--no-index", "--isolated", "--disable-pip-version-check"]
    options += [f"--find-links={folder}", f"--target={folder / 'target'}", "-c", str(constraints)]
    argv = [sys.executable, "-m", "pip", "install", *options, "tiny"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.parametrize("right", [True, False])
def test_pip_accepts_a_lock_as_constraints_and_checks_its_hashes(
    tmp_path: Path, *, right: bool
) -> None:
    write_wheel(tmp_path, "tiny-2.0")
    wheel = write_wheel(tmp_path, "tiny-1.0")
    digest = digest_of_file(wheel) if right else "0" * 64
    hashes = (f"sha256:{digest}",)
    pin = Pin(name="tiny", version="1.0", url="file:///elsewhere/tiny.whl", hashes=hashes, via=())
    done = pip_install(tmp_path, Lock(pins=(pin,), torch_backend=None))
    if right:
        assert done.returncode == 0, done.stderr
        assert "Would install tiny-1.0" in done.stdout
    else:
        assert done.returncode == 1
        assert "DO NOT MATCH THE HASHES" in done.stderr
