"""How `--help` shows commands and options: commands in the order of use, flags without a value."""

from collections.abc import Sequence
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

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
    """A command whose flags are shown without the type of a value, as they take none."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - typer keeps its types to itself
        """Return the parameters of the command."""
        return _without_types(super().get_params(ctx))


class OrderedGroup(TyperGroup):
    """The commands in the order in which one needs them."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401 - typer keeps its types to itself
        """Return the parameters of the group."""
        return _without_types(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - typer keeps its types to itself
        """Return the names of the commands; those of no known place come last."""
        place = {name: index for index, name in enumerate(_ORDER)}
        return sorted(super().list_commands(ctx), key=lambda name: place.get(name, len(place)))


def _without_types(parameters: Sequence[Any]) -> list[Any]:
    for each in parameters:
        if getattr(each, "is_flag", False) and each.metavar is None:
            each.metavar = ""
    return list(parameters)
