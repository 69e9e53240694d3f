"""The commands and their options, read from the command line's own definition."""

from collections.abc import Iterator
from typing import Any

import typer.main

from matrixci.cli.main import app
from reference_pages.markdown import code, table


def commands() -> str:
    """Return a section for each command, in the order of `matrixci --help`."""
    return "\n".join(_sections(typer.main.get_command(app), "matrixci"))


def _sections(group: Any, name: str) -> Iterator[str]:  # noqa: ANN401 - typer does not export its command types
    context = group.context_class(group, info_name=name)
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        full = f"{name} {each}"
        if hasattr(command, "commands"):
            yield f"## {full}\n\n{command.help}\n"
            yield from _sections(command, full)
        else:
            yield _section(command, full)


def _section(command: Any, name: str) -> str:  # noqa: ANN401 - see above
    context = command.context_class(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage:").strip()
    records = [each.get_help_record(context) for each in command.get_params(context)]
    rows = [(code(names.strip()), text) for names, text in filter(None, records)]
    level = "#" * (name.count(" ") + 1)
    parts = [
        f"{level} {name}",
        command.help or "",
        f"```text\n{usage}\n```",
        command.epilog or "",
        table(("argument or option", "meaning"), rows),
    ]
    return "\n\n".join(filter(None, parts))
