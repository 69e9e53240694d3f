"""One cell of a plan: what it takes on the machine that runs it."""

from pathlib import Path

from matrixci.build_cache import BuildCache
from matrixci.errors import SubjectError, UsageError
from matrixci.invocation import called
from matrixci.model import BaseOrigin, Cell, Run, now
from matrixci.own_wheels import kept_wheels
from matrixci.pipeline import Settings
from matrixci.plan import Plan
from matrixci.subject import ResolvedSubject, kept_wheel


def run_of(plan: Plan, cell: Cell) -> Run:
    """Return the part of a planned run that is one cell's: every other one is left to others."""
    others = {each.id: each.axes for each in plan.run.cells if each.id != cell.id}
    return plan.run.model_copy(
        update={
            "began": now(),
            "plan": plan.digest,
            "cells": (cell,),
            "unselected": (*plan.run.unselected, *others),
            "unselected_axes": {**plan.run.unselected_axes, **others},
            "older": {name: why for name, why in plan.run.older.items() if name == cell.id},
        }
    )


def settings_of(  # noqa: PLR0913 - what a cell is made with
    plan: Plan,
    beside: Path,
    checks: Path,
    home: Path,
    *,
    fresh: bool = False,
    base_origin: BaseOrigin | None = None,
    registry: str | None = None,
    build_cache: BuildCache | None = None,
    keep_wheels: bool = True,
    require_limits: bool = False,
) -> Settings:
    """Return what a cell of a plan is made with.

    Args:
        plan: the plan.
        beside: the folder of the plan, where the wheels of our own lie.
        checks: the folder of checks.
        home: where caches lie.
        fresh: an earlier result of the same cell is not taken.
        base_origin: how base images must come to be; None: as planned.
        registry: the repository through which images are shared.
        build_cache: where BuildKit's own cache is kept.
        keep_wheels: wheels are kept on the engine, for other builds.
        require_limits: an engine that can't enforce every limit is refused, as the plan may ask.

    Raises:
        UsageError: the checks are not those of the plan, or a wheel of our own is not there.
    """
    try:
        wheel = kept_wheel(plan.run.subject, home, beside)
    except SubjectError as error:
        msg = f"The plan's subject is not here: {error}"
        raise UsageError(msg) from error
    own_wheels = kept_wheels(plan.run.own_wheels, home, beside)
    setup = plan.run.setup
    settings = Settings(
        matrix=plan.matrix,
        subject=ResolvedSubject(subject=plan.run.subject, wheel=wheel),
        own_wheels=own_wheels,
        checks=checks,
        home=home,
        check_filter=plan.run.check_filter,
        as_of=plan.run.as_of,
        jobs=None,
        fresh=fresh,
        base_origin=base_origin or (setup.base_origin if setup else None),
        registry=registry,
        build_cache=build_cache,
        keep_wheels=keep_wheels,
        require_limits=require_limits or plan.run.require_limits,
    )
    if setup is None or settings.setup.checks_digest != setup.checks_digest:
        msg = (
            f"The checks in {checks}, or what runs them, are not those of the plan: it was made "
            f"with matrixci {plan.run.matrixci}, commit {plan.run.commit or 'unknown'}.\n"
            f"Run the cell with that commit, or plan anew: {called('plan')}"
        )
        raise UsageError(msg)
    return settings
