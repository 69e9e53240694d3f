"""Validators of single values: requirements, sizes, images, names and statements.

Each function takes a value from matrix.yaml and returns it in the form that later steps use. It
raises ValueError for an invalid value, with a message that says what to write.
"""

import ast
import re
import warnings
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

_UNITS: Final = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
SIZE_PATTERN: Final = r"^([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|KiB|MiB|GiB|TiB)$"
_LEAST_MEMORY: Final = 6 * 2**20  # minimum of the container engine
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DISTRIBUTION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
BACKEND_PATTERN: Final = r"^(cpu|xpu|cu[0-9]{2,3}|rocm[0-9]+(\.[0-9]+)*)$"
_IMAGE: Final = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::\d+)?/)?"  # registry
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"  # name
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"  # tag
    r"(?:@sha256:[0-9a-f]{64})?"  # digest
)
_URL: Final = re.compile(
    r"(?:(?:git|hg|svn|bzr)\+[a-z]+|https?)://[^/]|(?:(?:git|hg|svn|bzr)\+)?file:(?://(?:localhost)?)?/[^/]",
    re.IGNORECASE,
)
_OPERATOR: Final = re.compile(r"\s*(?:[<>=!~]=|[<>](?!<))")
PYTHON_PLACEHOLDER: Final = "{python}"
LABEL_PATTERN: Final = r"^[!-+\--~]{1,256}$"  # a comma separates labels


def begins_with_operator(text: str) -> bool:
    """Return whether a text is the second part of a requirement that a comma split in two."""
    return _OPERATOR.match(text) is not None


def requirement(text: str) -> str:
    """Return a PEP 508 requirement without surrounding whitespace."""
    text = text.strip()
    if not text:
        msg = 'empty; write a requirement such as "numpy<2"'
        raise ValueError(msg)
    try:
        url = Requirement(text).url
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0].rstrip(":.")
        msg = f"invalid requirement: {reason}{_requirement_hint(text)}"
        raise ValueError(msg) from error
    if url is not None and not _URL.match(url):
        msg = "unsupported URL after the @; write one that starts with file:///, https:// or git+https://"
        raise ValueError(msg)
    return text


def _requirement_hint(text: str) -> str:
    if begins_with_operator(text):
        return '; a comma in brackets starts a new value: write "numpy>=1.26,<2" in quotes'
    if "," in text and all(_parses(part) for part in text.split(",")):
        return f"; write a list: [{', '.join(part.strip() for part in text.split(','))}]"
    return ""


def _parses(text: str) -> bool:
    try:
        Requirement(text.strip())
    except InvalidRequirement:
        return False
    return True


def specifier(text: str) -> str:
    """Return a version specifier, such as ">=5,<6"."""
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        msg = f'invalid version specifier "{text}"; write one such as ">=5,<6"'
        raise ValueError(msg) from error
    if not text.strip():
        msg = 'empty; write a version specifier such as ">=5,<6", or remove the key'
        raise ValueError(msg)
    return text.strip()


def distribution(text: str) -> str:
    """Return the name of a package."""
    if not _DISTRIBUTION.fullmatch(text):
        msg = "invalid package name; write one such as torch"
        raise ValueError(msg)
    return text


def size(value: object) -> int:
    """Return a size in bytes; the field type validates numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(SIZE_PATTERN, value.strip()) if isinstance(value, str) else None
    if found is None:
        msg = (
            "invalid size; write a number with a unit (B, KiB, MiB, GiB, TiB), "
            f'such as "6 GiB", or a number of bytes{_size_hint(value)}'
        )
        raise ValueError(msg)
    return int(float(found[1]) * _UNITS[found[2]])


def memory(value: int) -> int:
    """Return a size of memory that is enough to start a container."""
    if value < _LEAST_MEMORY:
        msg = f'{value} bytes are not enough to start a container; write a size such as "6 GiB"'
        raise ValueError(msg)
    return value


def _size_hint(value: object) -> str:
    found = re.fullmatch(r"([0-9]{1,15}) ?([KMGT])i?b?", str(value).strip(), re.IGNORECASE)
    return f'; did you mean "{found[1]} {found[2].upper()}iB"?' if found else ""


def variable(name: str) -> str:
    """Return the name of an environment variable."""
    if not _VARIABLE.fullmatch(name):
        msg = "invalid name of an environment variable; use letters, digits and _"
        raise ValueError(msg)
    return name


def variable_value(text: str) -> str:
    """Return the value of an environment variable."""
    if "\0" in text:
        msg = "an environment variable cannot contain a NUL character; remove it"
        raise ValueError(msg)
    return text


def torch_backend(text: str) -> str:
    """Return the build of PyTorch to install, as named by uv."""
    if not re.fullmatch(BACKEND_PATTERN, text):
        msg = "invalid torch backend; write cpu, xpu, a CUDA version (cu126) or rocm6.4"
        raise ValueError(msg)
    return text


def image(text: str) -> str:
    """Return the name of a container image, which may contain {python}."""
    if not _IMAGE.fullmatch(text.replace(PYTHON_PLACEHOLDER, "0.0")):
        msg = (
            "invalid image name; write one such as debian:bookworm-slim "
            "({python} is replaced by the version X.Y)"
        )
        raise ValueError(msg)
    return text


def image_with_python(text: str) -> str:
    """Return the name of an image that contains {python}."""
    if PYTHON_PLACEHOLDER not in text:
        msg = (
            "{python} is missing; write it for the version X.Y, such as "
            "python:{python}-slim-bookworm (to change the image of one version, set base in axes)"
        )
        raise ValueError(msg)
    return image(text)


def image_without_python(text: str) -> str:
    """Return the name of an image that is the same for every Python version."""
    if PYTHON_PLACEHOLDER in text:
        msg = "this image is the same for every Python version; remove {python}"
        raise ValueError(msg)
    return image(text)


def statement(text: str) -> str:
    """Return one Python statement on one line."""
    if "\n" in text.strip() or not text.strip():
        msg = "write one Python statement on one line, such as import torch"
        raise ValueError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "nested too deeply"
        msg = f"invalid Python statement: {reason}; write one such as import torch"
        raise ValueError(msg) from error
    return text.strip()


def import_name(text: str) -> str:
    """Return the dotted name of an importable object."""
    if not all(part.isidentifier() for part in text.split(".")):
        msg = "invalid import name; write a module or an object in one, such as pkg.module.Name"
        raise ValueError(msg)
    return text


def label(text: str) -> str:
    """Return the label of a runner."""
    if not re.fullmatch(LABEL_PATTERN, text):
        msg = "invalid runner label; write one such as ubuntu-24.04, without spaces or commas"
        raise ValueError(msg)
    return text


def labels(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels of a runner without duplicates."""
    if not texts:
        msg = "empty list of labels; write at least one, such as ubuntu-24.04"
        raise ValueError(msg)
    return tuple(dict.fromkeys(texts))


def non_empty(text: str) -> str:
    """Return text that is not empty."""
    if not text.strip():
        msg = "empty; write a text"
        raise ValueError(msg)
    return text
