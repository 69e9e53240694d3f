"""The commands of this project; `nox -l` lists them."""

import hashlib
import os
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_venv = "yes"

INSTALL_ENGINE = "--install-engine"


def _install(session: nox.Session, *groups: str) -> None:
    """Install the project, in place, unless what it depends on is as it was."""
    wanted = hashlib.sha256(Path("pyproject.toml").read_bytes()).hexdigest()
    stamp = Path(session.virtualenv.location) / "installed.sha256"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    session.install("--quiet", "-e", ".", *(f"--group={group}" for group in groups))
    stamp.write_text(wanted)


def _become(session: nox.Session, command: str) -> None:
    """Hand this process over to matrixci.

    Its exit codes tell ready, failures, mistakes and infrastructure apart, and a Ctrl-C has to
    reach it as it is; both would be lost behind nox, which knows success and failure.
    """
    _install(session)
    # Messages print commands as the user types them; a workflow says what its users have.
    session.env.setdefault("MATRIXCI_CALLED_BY", os.environ.get("MATRIXCI_CALLED_BY", "nox"))
    _hand_over(session, "-m", "matrixci", command, *session.posargs)


def _hand_over(session: nox.Session, *arguments: str) -> None:
    """Let the session's Python take the place of this process, so that its exit status stands."""
    python = Path(session.bin) / "python"
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {name: value for name, value in {**os.environ, **session.env}.items() if value}
    os.execve(python, [str(python), *arguments], environment)  # noqa: S606


@nox.session
def matrix(session: nox.Session) -> None:
    """Resolve, build and check every cell of matrix.yaml; print the table and the verdict."""
    _become(session, "matrix")


@nox.session
def plan(session: nox.Session) -> None:
    """Resolve every cell once, for other machines to run them."""
    _become(session, "plan")


@nox.session
def cell(session: nox.Session) -> None:
    """Run one cell of a plan: ID --plan FILE --output DIR."""
    _become(session, "cell")


@nox.session
def report(session: nox.Session) -> None:
    """Put cells that ran on many machines together, and judge them: DIR..."""
    _become(session, "report")


@nox.session
def show(session: nox.Session) -> None:
    """Print the table of a run again, from its files."""
    _become(session, "show")


@nox.session
def history(session: nox.Session) -> None:
    """Keep runs in a file and ask it; after `--`: add [RUN...], list, show [CELL], prune."""
    _become(session, "history")


@nox.session
def constraints(session: nox.Session) -> None:
    """Print the known-good constraints of the cell given after `--`."""
    _become(session, "constraints")


@nox.session
def reproduce(session: nox.Session) -> None:
    """Run a cell of a run again, or one check of it, as it was: CELL [CHECK] [--shell]."""
    _become(session, "reproduce")


@nox.session
def readiness(session: nox.Session) -> None:
    """Write the report on a run that a release is decided on, and exit by its verdict."""
    _become(session, "readiness")


@nox.session
def compare(session: nox.Session) -> None:
    """Print the difference of two runs: results, locks, figures."""
    _become(session, "compare")


@nox.session
def issue(session: nox.Session) -> None:
    """Open an issue on a regression, update it, close it on recovery: REPORT.json [--link URL]."""
    _become(session, "issue")


@nox.session
def clean(session: nox.Session) -> None:
    """Remove what this folder's runs made on the engine: [--all] [--older-than 7d] [--dry-run]."""
    _install(session)
    called = {"MATRIXCI_CALLED_BY": "nox"}
    session.run("python", "-m", "matrixci", "clean", *session.posargs, env=called)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests: all of them, or the paths given after `--`."""
    _install(session, "tests")
    arguments = [word for word in session.posargs if word != INSTALL_ENGINE]
    if INSTALL_ENGINE in session.posargs:
        session.run("bash", "docker/engine.sh", "install", external=True)
    session.run("pytest", *arguments)


@nox.session
def faults(session: nox.Session) -> None:
    """Run the tests alone that inject faults: engines killed, disks full, indexes lost."""
    _install(session, "tests")
    session.run("pytest", "-m", "faults", *(session.posargs or ["tests/integration"]))


@nox.session
def chaos(session: nox.Session) -> None:
    """Throw faults at toy matrices in a row, counted: [--matrices N] [--seed N]."""
    _install(session, "tests")
    session.run("python", "-m", "chaos", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def checkup(session: nox.Session) -> None:
    """Check the checks: seeded defects have to be caught, real releases told as they are."""
    _install(session)
    session.run("python", "-m", "checkup", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed all that reads foreign bytes with damaged ones, counted: [--inputs N] [--seed N]."""
    _install(session)
    session.run("python", "-m", "fuzz", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session
def bench(session: nox.Session) -> None:
    """Time two cells, cold, against a plain loop; with `-- reports`, a large run's reports."""
    _install(session)
    match session.posargs:
        case ["reports", *rest]:
            session.run("python", "bench/reports.py", *rest)
        case rest:  # empties the engine's build cache
            session.run("python", "bench/plain_loop.py", *rest)


@nox.session
def audit(session: nox.Session) -> None:
    """Hold the dependencies against the known vulnerabilities; what can't be asked is no pass."""
    _install(session, "audit")
    _hand_over(session, ".ci/audit.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Hold the code against ruff and mypy, and the workflows against their own linters."""
    _install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("deptry", ".")
    workflows = [str(path) for path in sorted(Path(".github/workflows").glob("*.yml"))]
    session.run("actionlint", *workflows)
    strict = ("--strict-collection", "--persona=pedantic")
    session.run("zizmor", "--offline", "--quiet", *strict, *workflows)
    session.run("check-jsonschema", "--builtin-schema=vendor.github-workflows", *workflows)
