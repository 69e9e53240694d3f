"""Find out from its log why a build failed: infrastructure, a wrong file, or the subject."""

import re
from enum import StrEnum
from typing import Final

_DISK_FULL: Final = re.compile(r"no space left on device|ENOSPC|disk quota exceeded", re.IGNORECASE)
# Only messages of uv and pip about downloads: other programs in a build may print anything.
_DOWNLOAD: Final = re.compile(
    r"^.*?(Failed to (?:fetch|download|query)|Request failed after|Could not fetch"
    r"|Failed to establish a new connection|Connection broken:|Read timed out|Max retries exceeded"
    r"|ERROR: HTTP error|OSError: HTTPS?ConnectionPool).*$",
    re.MULTILINE,
)
_AWAY: Final = re.compile(
    r"\b5\d\d (?:Internal|Bad Gateway|Service Unavailable|Gateway|Server Error)"
    r"|HTTP status server error|HTTP error 5\d\d|too many 5\d\d error responses"
    r"|connection (?:refused|reset|closed|aborted|broken)|ConnectionResetError|NewConnectionError"
    r"|tcp connect error|error sending request|dns error|failed to lookup address"
    r"|name resolution|Name or service not known|(?:network|host) is unreachable|no route to host"
    r"|timed? ?out|timeout|IncompleteRead|unexpected (?:EOF|end of file)|broken pipe"
    r"|request or response body error|error decoding response body|end of file before message",
    re.IGNORECASE,
)
_HASH: Final = re.compile(
    r"^.*?(Hash mismatch for [^\n]*"
    r"|THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE)",
    re.MULTILINE,
)
# Only in BuildKit's own last line. If an engine ends, its builds are aborted or cancelled. Nothing
# else cancels a build that matrixci is waiting for.
_ENGINE_LOST: Final = re.compile(
    r"(?<!Service )\bUnavailable\b|error reading from server|transport is closing|no active session"
    r"|Cannot connect to the Docker daemon|context canceled|\bCanceled\b"
    # The engine could not start a step or lost it: a network bridge or a mount is missing.
    r"|did not complete successfully: (?!exit code: \d)"
)
_BASE_GONE: Final = re.compile(r"failed to resolve source metadata for ")


class BuildCause(StrEnum):
    """A cause of a failed build that is not the build itself."""

    DISK = "disk"
    INDEX = "index"
    HASH = "hash"
    ENGINE = "engine"
    BASE = "base"


def cause_of(text: str) -> BuildCause | None:
    """Return the cause of a failed build, None if the build itself is at fault.

    Args:
        text: output of the failed step.
    """
    if _DISK_FULL.search(text):
        return BuildCause.DISK
    if _HASH.search(text):
        return BuildCause.HASH
    download = _DOWNLOAD.search(text)
    if download and _AWAY.search(text, download.start()):
        return BuildCause.INDEX
    return None


def reported_cause(line: str) -> BuildCause | None:
    """Return the cause of a failed build that BuildKit itself reports, None if there is none.

    Args:
        line: the last line of the log, which no program in a build can write.
    """
    if _DISK_FULL.search(line):
        return BuildCause.DISK
    if _BASE_GONE.search(line):
        return BuildCause.BASE
    if _ENGINE_LOST.search(line):
        return BuildCause.ENGINE
    return None
