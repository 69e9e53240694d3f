"""Options of a command, declared as the fields of frozen dataclasses.

Typer reads options from a function's signature only. A command that several options belong to, or
that shares them with other commands, takes them as one object instead::

    @dataclass(frozen=True, kw_only=True)
    class BuildOptions:
        registry: RegistryOption = None
        build_cache: BuildCacheOption = None

    @with_option_groups
    def matrix(context: typer.Context, *, build: BuildOptions) -> None: ...
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


def with_option_groups(command: Callable[..., T]) -> Callable[..., T]:
    """Replace each parameter that is a dataclass by its fields, in their order.

    Args:
        command: a function whose parameters are options, arguments or dataclasses of these.

    Returns:
        A function that builds the dataclasses and calls the command.
    """
    declared = inspect.signature(command, eval_str=True)
    groups: dict[str, type[Any]] = {
        name: parameter.annotation
        for name, parameter in declared.parameters.items()
        if _is_group(parameter.annotation)
    }

    @wraps(command)
    def call(**values: Any) -> T:  # noqa: ANN401 - of the types that the signature declares
        built = {
            name: group(**{each.name: values.pop(each.name) for each in fields(group)})
            for name, group in groups.items()
        }
        return command(**values, **built)

    parameters = [
        option.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in declared.parameters.values()
        for option in _options(parameter)
    ]
    call.__signature__ = declared.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


def _options(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    group = parameter.annotation
    if not _is_group(group):
        yield parameter
        return
    types = get_type_hints(group, include_extras=True)
    for each in fields(group):
        yield inspect.Parameter(
            each.name, parameter.kind, default=_default(each), annotation=types[each.name]
        )


def _is_group(annotation: object) -> bool:
    return isinstance(annotation, type) and is_dataclass(annotation)


def _default(field: Field[Any]) -> object:
    return inspect.Parameter.empty if field.default is MISSING else field.default
