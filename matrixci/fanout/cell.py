"""Runs one cell of a plan on this machine."""

from dataclasses import replace
from pathlib import Path

from matrixci.engine.client import Engine
from matrixci.errors import DiskFullError, EngineError, SubjectError, UsageError
from matrixci.execution.cell_recorder import CellRecorder
from matrixci.execution.execute import preflight, run_and_judge, use_threads
from matrixci.execution.listener import Listener
from matrixci.execution.pipeline_factory import build_pipeline
from matrixci.execution.run_context import RunContext
from matrixci.execution.settings import ExecutionOptions, Settings
from matrixci.fanout.locks import PlannedLocks
from matrixci.fanout.plan import Plan
from matrixci.locks.own_wheels import stored_wheels
from matrixci.locks.subject import ResolvedSubject, subject_wheel
from matrixci.model import Cell, CellOutcome, Reason, Run, now
from matrixci.runs.folder import RunFolder
from matrixci.runs.stored_checks import store_checks
from matrixci.util.invocation import called
from matrixci.verdict.judged import JudgedRun
from matrixci.verdict.load import judge_folder


async def execute_cell(
    plan: Plan, cell: Cell, settings: Settings, folder: RunFolder, listener: Listener
) -> JudgedRun:
    """Run one cell of a plan in its own folder, and return the judged run.

    If this machine's engine cannot be used, the cell's result is an error with the reason.

    Args:
        plan: the plan.
        cell: one of its cells.
        settings: the cell's settings.
        folder: an empty folder for the result.
        listener: receives the progress.

    Raises:
        UsageError: the plan is for another architecture, or a lock is damaged.
        RunFilesError: the folder cannot be written.
    """
    use_threads()
    run = run_of(plan, cell)
    with folder.held():
        folder.write_run(run)
        store_checks(folder.path, settings.sources)
        try:
            engine = await Engine.connect()
            await preflight(settings, engine, listener)
        except (EngineError, DiskFullError) as error:
            recorder = CellRecorder(run=run.id, cell=cell, listener=listener)
            folder.write_cell(recorder.end(CellOutcome.ERROR, Reason.ENGINE, str(error)))
            folder.write_run(run.model_copy(update={"ended": now()}))
            return judge_folder(folder.path)
        if engine.facts.architecture != plan.architecture:
            msg = (
                f"The plan is for {plan.architecture}, and the container engine at {engine.host} "
                f"is {engine.facts.architecture}."
            )
            raise UsageError(msg)
        # Shared layers depend on all cells of the plan, not only on this one.
        whole = plan.run.model_copy(update={"plan": plan.digest})
        locks = PlannedLocks.of(plan, cell)
        context = RunContext(
            settings=settings, run=whole, folder=folder, engine=engine, listener=listener
        )
        return await run_and_judge(run, build_pipeline(context, locks))


def run_of(plan: Plan, cell: Cell) -> Run:
    """Return the planned run, reduced to one cell."""
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


def cell_settings(
    plan: Plan, plan_folder: Path, checks: Path, work_dir: Path, options: ExecutionOptions
) -> Settings:
    """Return the settings of a cell of a plan.

    Args:
        plan: the plan.
        plan_folder: the plan's folder, which also has the wheels that were built.
        checks: the folder of checks.
        work_dir: the folder of caches.
        options: how the cell is built and run; where they leave something open, as planned.

    Raises:
        UsageError: the checks are not those of the plan, or a wheel is missing.
    """
    try:
        wheel = subject_wheel(plan.run.subject, work_dir, plan_folder)
    except SubjectError as error:
        msg = f"The subject of the plan is missing: {error}"
        raise UsageError(msg) from error
    own_wheels = stored_wheels(plan.run.own_wheels, work_dir, plan_folder)
    setup = plan.run.setup
    settings = Settings(
        matrix=plan.matrix,
        subject=ResolvedSubject(subject=plan.run.subject, wheel=wheel),
        own_wheels=own_wheels,
        checks=checks,
        work_dir=work_dir,
        check_filter=plan.run.check_filter,
        as_of=plan.run.as_of,
        options=replace(
            options,
            base_origin=options.base_origin or (setup.base_origin if setup else None),
            require_limits=options.require_limits or plan.run.require_limits,
        ),
    )
    if setup is None or settings.setup.checks_digest != setup.checks_digest:
        msg = (
            f"The checks in {checks}, or matrixci's harness, differ from the plan, which was made "
            f"with matrixci {plan.run.matrixci}, commit {plan.run.commit or 'unknown'}.\n"
            f"Use that commit, or make a new plan: {called('plan')}"
        )
        raise UsageError(msg)
    return settings
