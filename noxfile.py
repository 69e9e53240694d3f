"""Commands for users and contributors of this project, listed by `nox -l`."""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False  # unit-3.* is skipped where its Python is missing

INSTALL_ENGINE = "--install-engine"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
UNIT_TESTS = ("tests/unit", "tests/workflow")
OTHER_TESTS = ("tests/browser", "tests/integration", "tests/e2e")
PARALLEL = ("--numprocesses=auto", "--timeout=300")

user_session = nox.session(tags=["user"])
contributor_session = nox.session(tags=["contributor"])


def _install(session: nox.Session, *groups: str) -> None:
    """Install the project in editable mode, unless pyproject.toml is unchanged."""
    wanted = hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest()
    stamp = Path(session.virtualenv.location) / "installed.sha256"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    session.install("--quiet", "-e", ".", *(f"--group={group}" for group in groups))
    stamp.write_text(wanted)


def _replace_with_command(session: nox.Session, command: str) -> None:
    """Replace this process with matrixci.

    Under nox, every failure would exit with 1, and Ctrl-C would not reach matrixci directly.
    """
    _install(session)
    # Messages print commands as the user types them. Workflows set the variable themselves.
    session.env.setdefault("MATRIXCI_CALLED_BY", os.environ.get("MATRIXCI_CALLED_BY", "nox"))
    _replace_with_python(session, "-m", "matrixci", command, *session.posargs)


def _replace_with_python(session: nox.Session, *arguments: str) -> None:
    """Replace this process with the session's Python, so that its exit status is kept."""
    python = Path(session.bin) / "python"
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {name: value for name, value in {**os.environ, **session.env}.items() if value}
    os.execve(python, [str(python), *arguments], environment)  # noqa: S606


@user_session
def matrix(session: nox.Session) -> None:
    """Run the matrix: resolve, build and check every cell; print the table and the verdict."""
    _replace_with_command(session, "matrix")


@user_session
def readiness(session: nox.Session) -> None:
    """Write the readiness report of a run; the exit code is the verdict."""
    _replace_with_command(session, "readiness")


@user_session
def show(session: nox.Session) -> None:
    """Print the table of an earlier run."""
    _replace_with_command(session, "show")


@user_session
def reproduce(session: nox.Session) -> None:
    """Rerun a cell of an earlier run, or one of its checks."""
    _replace_with_command(session, "reproduce")


@user_session
def compare(session: nox.Session) -> None:
    """Print the difference of two runs: results, locks, metrics."""
    _replace_with_command(session, "compare")


@user_session
def constraints(session: nox.Session) -> None:
    """Print known-good constraints: the lock of a green cell."""
    _replace_with_command(session, "constraints")


@user_session
def history(session: nox.Session) -> None:
    """Store runs in the history and query it."""
    _replace_with_command(session, "history")


@user_session
def clean(session: nox.Session) -> None:
    """Remove the images, containers and volumes that runs in this folder created."""
    _install(session)
    called = {"MATRIXCI_CALLED_BY": "nox"}
    session.run("python", "-m", "matrixci", "clean", *session.posargs, env=called)


@user_session
def plan(session: nox.Session) -> None:
    """Resolve every cell once and write a plan, for CI that runs each cell in its own job."""
    _replace_with_command(session, "plan")


@user_session
def cell(session: nox.Session) -> None:
    """Run one cell of a plan."""
    _replace_with_command(session, "cell")


@user_session
def report(session: nox.Session) -> None:
    """Merge cells that ran in separate jobs and write the reports of the run."""
    _replace_with_command(session, "report")


@user_session
def issue(session: nox.Session) -> None:
    """Open, update or close the issue of a regression."""
    _replace_with_command(session, "issue")


@contributor_session
def lint(session: nox.Session) -> None:
    """Contributors: lint the code, the scripts and the workflows."""
    _install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("codespell")
    session.run("lint-imports")
    session.run("deptry", ".")
    session.run("shellcheck", *map(str, sorted(Path("docker").glob("*.sh"))), ".ci/run")
    workflows = [str(path) for path in sorted(Path(".github/workflows").glob("*.yml"))]
    session.run("actionlint", *workflows)
    strict = ("--strict-collection", "--persona=pedantic")
    session.run("zizmor", "--offline", "--quiet", *strict, *workflows)
    session.run("check-jsonschema", "--builtin-schema=vendor.github-workflows", *workflows)


@contributor_session
def unit(session: nox.Session) -> None:
    """Contributors: run the unit tests, which need no container engine."""
    _unit_tests(session)


def _unit_on(session: nox.Session) -> None:
    """Contributors: run the unit tests on this version of Python."""
    _unit_tests(session)


for _python in PYTHONS:
    _register = nox.session(
        name=f"unit-{_python}", python=_python, download_python="never", tags=["contributor"]
    )
    _register(_unit_on)


@contributor_session
def integration(session: nox.Session) -> None:
    """Contributors: run the integration tests on the container engine."""
    _install(session, "tests")
    session.run("pytest", *_options_and_paths(session.posargs, ("tests/integration",)))


@contributor_session
def tests(session: nox.Session) -> None:
    """Contributors: run all tests, or those at the paths given after --."""
    _install(session, "tests")
    arguments = [word for word in session.posargs if word != INSTALL_ENGINE]
    if INSTALL_ENGINE in session.posargs:
        session.run("bash", "docker/engine.sh", "install", external=True)
    if arguments:
        session.run("pytest", *arguments)
        return
    session.run("pytest", *PARALLEL, "--cov=matrixci", *UNIT_TESTS)
    session.run("pytest", *OTHER_TESTS)


@contributor_session
def docs(session: nox.Session) -> None:
    """Contributors: build the documentation into site/."""
    _install(session, "docs")
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", *(session.posargs or ("build", "--strict")), env=quiet)


@contributor_session
def faults(session: nox.Session) -> None:
    """Contributors: run the tests that inject faults."""
    _install(session, "tests")
    session.run("pytest", "-m", "faults", *(session.posargs or ["tests/integration"]))


@contributor_session
def chaos(session: nox.Session) -> None:
    """Contributors: inject random faults into toy matrices."""
    _install(session, "tests")
    path = {"PYTHONPATH": "tests:tests/support"}
    session.run("python", "-m", "chaos", *session.posargs, env=path)


@contributor_session
def checkup(session: nox.Session) -> None:
    """Contributors: check that the built-in checks detect seeded defects."""
    _install(session)
    session.run("python", "-m", "checkup", *session.posargs, env={"PYTHONPATH": "tests"})


@contributor_session
def mutants(session: nox.Session) -> None:
    """Contributors: change the code of the verdict, and list the changes that no test notices."""
    _install(session, "mutants")
    session.run("mutmut", "run", *session.posargs)
    session.run("mutmut", "results")


@contributor_session
def fuzz(session: nox.Session) -> None:
    """Contributors: feed damaged input to everything that reads files."""
    _install(session)
    session.run("python", "-m", "fuzz", *session.posargs, env={"PYTHONPATH": "tests"})


@contributor_session
def bench(session: nox.Session) -> None:
    """Contributors: time cold cells against a plain loop, or the reports of a large run."""
    _install(session)
    match session.posargs:
        case ["reports", *rest]:
            session.run("python", "bench/reports.py", *rest)
        case rest:  # empties the engine's build cache
            session.run("python", "bench/plain_loop.py", *rest)


@contributor_session
def audit(session: nox.Session) -> None:
    """Contributors: check the dependencies for known vulnerabilities."""
    _install(session, "audit")
    _replace_with_python(session, ".ci/audit.py")


def _unit_tests(session: nox.Session) -> None:
    _install(session, "tests")
    session.run("pytest", *PARALLEL, *_options_and_paths(session.posargs, UNIT_TESTS))


def _options_and_paths(arguments: Sequence[str], default: Sequence[str]) -> Sequence[str]:
    """Return arguments for pytest, with the default paths added unless a path is given."""
    has_path = any(Path(word.partition("::")[0]).exists() for word in arguments)
    return arguments if has_path else (*arguments, *default)
