"""The environment of a run: what a reader needs to trust it or to reproduce it."""

import shlex
from collections import Counter

from matrixci.model import EngineFacts, Run
from matrixci.util.text import several
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.reproduce_command import run_command
from matrixci.verdict.unenforced import unenforced_words
from matrixci.verdict.versions import shown_versions


def environment(judged: JudgedRun) -> list[tuple[str, str]]:
    """Return labels and values. Indexes are described by kind, never by host name."""
    run = judged.run
    versions = shown_versions(judged)
    facts = [
        ("run", f"{run.id}, {run.began:%Y-%m-%d %H:%M} UTC, {_took(run)}"),
        ("subject", _with_commit(run.subject.spec, run.subject.commit)),
        ("versions", " · ".join(f"{name} {version}" for name, version in versions.items())),
        ("index as of", str(run.as_of or "the day of the run")),
        ("resolver", run.resolver),
        ("indexes", _indexes(judged)),
        ("index settings", ", ".join(run.index_settings)),
        ("engine", _engine(judged)),
        ("limits not enforced", unenforced_words(judged)),
        ("base images", _bases(judged)),
        ("matrixci", _with_commit(run.matrixci, run.commit)),
        ("matrix", f"SHA-256 {run.matrix_digest}"),
    ]
    return [(label, value) for label, value in facts if value]


def reproduce_all(judged: JudgedRun) -> str:
    """Return the command that reproduces the whole run."""
    return shlex.join(run_command(judged.run))


def _with_commit(text: str, commit: str | None) -> str:
    return f"{text}, commit {commit}" if commit else text


def _took(run: Run) -> str:
    if run.ended is None:
        return "did not finish"
    minutes, seconds = divmod(max(0, round((run.ended - run.began).total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return f"took {' '.join([*parts, f'{seconds} s'])}"


def _engine(judged: JudgedRun) -> str:
    # Machines of the same type may differ in a few bytes of memory, which rounding hides.
    engines = dict.fromkeys(map(_engine_words, judged.run.served_by))
    return "; ".join(engines) or "not recorded"


def _engine_words(engine: EngineFacts) -> str:
    gpu = f"GPU via {engine.gpu}" if engine.gpu else "no GPU"
    memory = f"{engine.memory / 2**30:.0f} GiB"
    security = f", {', '.join(engine.security)}" if engine.security else ""
    return (
        f"{engine.version}, buildx {engine.buildx}, {engine.architecture}, {engine.cpus} CPUs, "
        f"{memory}, {engine.storage}, {gpu}{security}"
    )


def _indexes(judged: JudgedRun) -> str:
    kinds: Counter[str] = Counter()
    for cell in judged.cells:
        if cell.result is None or (lock := cell.result.lock) is None:
            continue
        if lock.fallback:
            kinds["default index (PyTorch's index was unreachable)"] += 1
        elif lock.torch_backend is None:
            kinds["default index"] += 1
        else:
            kinds[f"default index and PyTorch's index ({lock.torch_backend})"] += 1
    return "; ".join(f"{kind}: {several(count, 'cell')}" for kind, count in kinds.items())


def _bases(judged: JudgedRun) -> str:
    images = (cell.result.image for cell in judged.cells if cell.result)
    origins = Counter(
        f"{image.base} ({image.base_origin}, {image.base_digest[:19]})" for image in images if image
    )
    return "; ".join(f"{base}: {several(count, 'cell')}" for base, count in sorted(origins.items()))
