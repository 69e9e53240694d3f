"""The classes of commands: order and layout of `--help`, and options that were renamed."""

from collections.abc import Sequence
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

from matrixci.cli.renamed_options import refuse_renamed

_ORDER: Final = (
    "matrix",
    "show",
    "reproduce",
    "readiness",
    "compare",
    "constraints",
    "history",
    "plan",
    "cell",
    "report",
    "issue",
    "clean",
)


class PlainCommand(TyperCommand):
    """A command whose flags are shown without a value type."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer does not export its types
        """Parse the arguments; an option of an earlier version is an error that names the new one.

        Raises:
            UsageError: there is such an option.
        """
        if not ctx.ignore_unknown_options:
            refuse_renamed(args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - typer does not export its types
        """Return the parameters of the command."""
        return _without_types(super().get_params(ctx))


class OrderedGroup(TyperGroup):
    """Commands in the order of use."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - typer does not export its types
        """Return the parameters of the group."""
        return _without_types(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer does not export its types
        """Return the names of the commands; unknown ones come last."""
        position = {name: index for index, name in enumerate(_ORDER)}
        return sorted(
            super().list_commands(ctx), key=lambda name: position.get(name, len(position))
        )


def _without_types(parameters: Sequence[Any]) -> list[Any]:
    for each in parameters:
        if getattr(each, "is_flag", False) and each.metavar is None:
            each.metavar = ""
    return list(parameters)
