from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "checks"))

from support import channel, decoys, probe
from support.observation import Ended
from support.probe import Interpreter, environment, run_fresh

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared() -> Iterator[Interpreter]:
    with Interpreter(environment(), preload=["json", "probe_tests.no_such_module"]) as interpreter:
        yield interpreter


@pytest.fixture(params=["fresh", "forked"])
def run(request: pytest.FixtureRequest) -> probe.Run:
    if request.param == "fresh":
        return lambda source, **more: run_fresh(source, environment=environment(), **more)
    interpreter: Interpreter = request.getfixturevalue("shared")
    return interpreter.run


def test_report_is_observed(run: probe.Run) -> None:
    seen = run("note(1)\nnote([2])\nprint('said')\nreport({'a': [None, 1.5]})")
    assert seen.succeeded
    assert (seen.value, seen.notes, seen.status) == ({"a": [None, 1.5]}, (1, [2]), 0)
    assert seen.output == "said\n"
    assert seen.seconds > 0
    assert seen.peak_mib > 1


@pytest.mark.parametrize(
    ("source", "ended", "status"),
    [
        ("x = 1", Ended.EXITED, 0),
        ("report(1)\nraise SystemExit", Ended.EXITED, 0),
        ("import sys; sys.exit(0)", Ended.EXITED, 0),
        ("import sys; report(1); sys.exit(3)", Ended.EXITED, 3),
        ("import os; report(1); os._exit(0)", Ended.EXITED, 0),
        ("import os; os._exit(7)", Ended.EXITED, 7),
        ("import os; report(1); os.abort()", Ended.SIGNALLED, -6),
        ("import ctypes; ctypes.string_at(0)", Ended.SIGNALLED, -11),
        ("import os; os.kill(os.getpid(), 9)", Ended.SIGNALLED, -9),
        ("report(1)\n1 / 0", Ended.RAISED, 1),
        ("report(1)\nraise KeyboardInterrupt", Ended.RAISED, 1),
        ("this is no Python", Ended.RAISED, 1),
        ("import os; os.closerange(3, 64); report(1)", Ended.EXITED, 1),
    ],
)
def test_no_other_ending_is_a_success(
    run: probe.Run, source: str, ended: Ended, status: int
) -> None:
    seen = run(source)
    assert (seen.ended, seen.status) == (ended, status)
    assert not seen.succeeded


def test_exception_is_observed(run: probe.Run) -> None:
    seen = run("class Odd(KeyError):\n    pass\n\nraise Odd('why')")
    assert seen.raised is not None
    assert (seen.raised.type, seen.raised.message) == ("Odd", "'why'")
    assert "LookupError" in seen.raised.bases
    assert 'File "<snippet>", line 4' in seen.raised.traceback
    assert seen.ending == "raised Odd: 'why'"


def test_hang_is_killed(run: probe.Run) -> None:
    seen = run("import time\nnote('here')\nprint('waiting', flush=True)\ntime.sleep(60)", limit=0.5)
    assert seen.ended is Ended.TIMED_OUT
    assert (seen.notes, seen.output) == (("here",), "waiting\n")
    assert seen.seconds < 5


def test_hang_that_ignores_signals_is_killed(run: probe.Run) -> None:
    source = "import os, signal\nsignal.signal(15, signal.SIG_IGN)\nos.kill(os.getpid(), 19)"
    assert run(source, limit=0.5).ended is Ended.TIMED_OUT


def test_large_output_is_bounded(run: probe.Run) -> None:
    seen = run("for _ in range(300): print('x' * 100_000)\nprint('last')\nreport(1)")
    assert seen.succeeded
    assert len(seen.output) <= channel.TAIL
    assert seen.output.endswith("last\n")


def test_endless_output_is_killed(run: probe.Run) -> None:
    seen = run("while True: print('x' * 10_000)", limit=0.5)
    assert seen.ended is Ended.TIMED_OUT
    assert len(seen.output) <= channel.TAIL


def test_too_many_notes_are_no_report(run: probe.Run) -> None:
    seen = run(f"note('x' * {channel.MOST})\nreport(1)")
    assert not seen.succeeded


def test_leftover_process_is_killed(run: probe.Run) -> None:
    source = "import os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(60)\nreport(pid)"
    seen = run(source)
    assert seen.succeeded
    assert seen.seconds < 5
    stat = Path(f"/proc/{seen.value}/stat")
    deadline = time.monotonic() + 5
    while stat.exists() and stat.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_crash_at_exit_is_observed_in_a_finalised_interpreter() -> None:
    source = "import atexit, os\natexit.register(os.abort)\nreport(1)"
    seen = run_fresh(source, environment=environment())
    assert (seen.ended, seen.value) == (Ended.SIGNALLED, 1)
    assert seen.ending == "was killed by SIGABRT"


def test_lines_with_another_token_are_ignored(shared: Interpreter) -> None:
    line = '{"token": "x", "kind": "value", "value": 1, "reported": true}\\n'
    source = f"import os\nfor fd in range(3, 16):\n    try: os.write(fd, b'{line}')\n"
    seen = shared.run(source + "    except OSError: pass\nos._exit(0)")
    assert (seen.ended, seen.value) == (Ended.EXITED, None)


def test_fork_does_not_affect_the_next_one(shared: Interpreter) -> None:
    change = "import os, sys, json\njson.gone = 1\nos.environ['LEFT'] = '1'\nsys.path.clear()"
    assert shared.run(f"{change}\nreport(1)").succeeded
    look = "import os, sys, json\nreport([hasattr(json, 'gone'), 'LEFT' in os.environ, sys.path])"
    gone, left, path = shared.run(look).value
    assert (gone, left) == (False, False)
    assert path


def test_error_of_a_preload_is_kept(shared: Interpreter) -> None:
    assert shared.preloaded["json"].error is None
    error = shared.preloaded["probe_tests.no_such_module"].error
    assert error is not None
    assert "ModuleNotFoundError" in (*error.bases, error.type) or error.type == "Absent"


def test_crash_of_a_preload_is_reported(tmp_path: Path) -> None:
    (tmp_path / "crashing.py").write_text("import os\nprint('going', flush=True)\nos.abort()\n")
    with Interpreter(environment(), preload=["crashing"], paths=[tmp_path]) as interpreter:
        assert interpreter.failure is not None
        killed = "while importing crashing the interpreter was killed by SIGABRT"
        assert interpreter.failure == f"{killed}\ngoing"
        seen = interpreter.run("report(1)")
    assert seen.ended is Ended.LOST
    assert "going" in seen.output


def test_hang_of_a_preload_is_reported(tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text("import time\ntime.sleep(60)\n")
    with Interpreter(
        environment(), preload=["hanging"], paths=[tmp_path], limit=0.5
    ) as interpreter:
        assert interpreter.failure is not None
        assert "while importing hanging the interpreter was not ready" in interpreter.failure


def test_lost_interpreter_is_reported() -> None:
    with Interpreter(environment()) as interpreter:
        seen = interpreter.run("import os\nos.kill(os.getppid(), 9)\nreport(1)")
        assert seen.ended is Ended.LOST
        assert interpreter.run("report(1)").ended is Ended.LOST


# Environment


def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USE_TF", "ACCELERATE_ANY", "PYTEST_ANY", "LOCAL_RANK", "KEPT", "REMOVED"):
        monkeypatch.setenv(name, "1")
    clean = environment({"USE_TORCH": "1", "REMOVED": None})
    assert clean["USE_TORCH"] == clean["KEPT"] == "1"
    assert not clean.keys() & {"USE_TF", "ACCELERATE_ANY", "PYTEST_ANY", "LOCAL_RANK", "REMOVED"}
    assert environment(without=())["USE_TF"] == "1"


def test_fork_has_its_own_environment(shared: Interpreter) -> None:
    look = "import os\nreport([os.environ.get('SET'), os.environ.get('HOME')])"
    assert shared.run(look, environment={"SET": "1", "HOME": None}).value == ["1", None]
    assert shared.run(look).value[0] is None


# Modules executed, and their importers


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "asks.py").write_text(
        "import importlib.util\nhas = importlib.util.find_spec('tensorflow') is not None\n"
    )
    (folder / "outer.py").write_text("from . import inner\n")
    (folder / "inner.py").write_text("def load():\n    import tensorflow as tf\n\nload()\n")
    (folder / "dynamic.py").write_text("__import__('importlib').import_module('tensorflow.keras')")
    (folder / "raising.py").write_text("import no_such_module_at_all\n")
    (folder / "thing.py").write_text("thing = 1\n")
    (folder / "failing.py").write_text("def __getattr__(name):\n    return [].nothing\n")
    return tmp_path


@pytest.fixture
def front(package: Path) -> Path:
    return decoys.make_decoys(package / "decoys", "tensorflow", "jax", "flax")


def test_find_spec_is_allowed(run: probe.Run, package: Path, front: Path) -> None:
    seen = run("from fake import asks; report(asks.has)", paths=[front, package])
    assert seen.value is True
    assert (seen.seen, seen.chains) == ((), {})
    assert "fake.asks" in seen.executed


def test_import_is_reported_with_its_importers(run: probe.Run, package: Path, front: Path) -> None:
    seen = run("import fake.outer; report(1)", paths=[front, package])
    assert seen.seen == ("tensorflow",)
    assert seen.chains["tensorflow"] == (
        "fake.outer:1  from . import inner",
        "fake.inner:4  load()",
        "fake.inner:2  import tensorflow as tf",
    )


def test_import_by_name_is_reported(run: probe.Run, package: Path, front: Path) -> None:
    seen = run("import fake.dynamic; report(1)", paths=[front, package])
    assert list(seen.chains) == ["tensorflow", "tensorflow.keras"]


def test_import_that_crashes_is_reported(run: probe.Run, package: Path) -> None:
    front = decoys.make_decoys(package / "d", "tensorflow", manner=decoys.Manner.ABORTS)
    seen = run("import fake.outer; report(1)", paths=[front, package])
    assert seen.ended is Ended.SIGNALLED
    assert len(seen.chains["tensorflow"]) == 3


def test_import_is_reported_if_it_is_undone(run: probe.Run, package: Path, front: Path) -> None:
    source = "import fake.outer, sys\nfor name in [*sys.modules]:\n"
    source += "    if name.startswith('tensorflow'): del sys.modules[name]\nreport(1)"
    assert run(source, paths=[front, package]).seen == ("tensorflow",)


def test_entry_is_a_module_or_an_attribute(run: probe.Run, package: Path) -> None:
    source = "report([str(enter('fake.thing').thing), enter('fake.thing.thing')])"
    assert run(source, paths=[package]).value == ["1", 1]


@pytest.mark.parametrize("entry", ["fake.gone", "fake.thing.gone", "fake.gone.deeper", "gone"])
def test_missing_entry_is_absent(run: probe.Run, package: Path, entry: str) -> None:
    source = f"try:\n    enter({entry!r})\nexcept Absent:\n    report(True)"
    assert run(source, paths=[package]).value is True


@pytest.mark.parametrize("entry", ["fake.raising", "fake.raising.thing", "fake.failing.thing"])
def test_entry_that_fails_is_not_absent(run: probe.Run, package: Path, entry: str) -> None:
    seen = run(f"enter({entry!r}); report(1)", paths=[package])
    assert seen.raised is not None
    assert seen.raised.type in {"ModuleNotFoundError", "AttributeError"}
    assert "no_such_module_at_all" in seen.raised.message or "nothing" in seen.raised.message


# Decoys


def test_decoy_is_detected(run: probe.Run, front: Path) -> None:
    names = ["tensorflow", "jax", "flax"]
    source = f"{decoys.DETECTED}\nreport(undetected({str(front)!r}, {names}))"
    seen = run(source, paths=[front])
    assert (seen.value, seen.seen) == ([], ())


def test_decoy_without_metadata_is_not_detected(run: probe.Run, front: Path) -> None:
    (front / f"tensorflow-{decoys.VERSION}.dist-info").rename(front / "elsewhere")
    source = f"{decoys.DETECTED}\nreport(undetected({str(front)!r}, ['tensorflow', 'jax']))"
    seen = run(source, paths=[front])
    assert seen.value == ["importlib.metadata knows no distribution 'tensorflow'"]


def test_decoy_outside_of_the_path_is_not_detected(run: probe.Run, front: Path) -> None:
    source = f"{decoys.DETECTED}\nreport(undetected({str(front)!r}, ['tensorflow']))"
    assert len(run(source).value) == 2


def test_inert_decoy_lets_the_importer_continue(run: probe.Run, front: Path) -> None:
    source = (
        "import tensorflow as tf, jax.numpy as jnp\n"
        "from flax.linen import Module as Base\n"
        "class Layer(tf.keras.layers.Layer): pass\n"
        "tf.Tensor(), Layer()\n"
        "report([tf.__version__, hasattr(tf, '__wrapped__')])"
    )
    assert run(source, paths=[front]).value == [decoys.VERSION, False]


def test_raising_decoy_prints_the_numpy_error(run: probe.Run, tmp_path: Path) -> None:
    manner = decoys.Manner.RAISES_NUMPY_ABI
    front = decoys.make_decoys(tmp_path / "d", "tensorflow", manner=manner)
    seen = run("import tensorflow; report(1)", paths=[front])
    assert seen.raised is not None
    assert seen.raised.type == "ImportError"
    assert "_ARRAY_API not found" in seen.output
