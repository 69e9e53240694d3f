"""Why a build failed, from what it printed: the infrastructure, a forged file, or the subject."""

import re
from enum import StrEnum
from typing import Final

_DISK_FULL: Final = re.compile(r"no space left on device|ENOSPC|disk quota exceeded", re.IGNORECASE)
# Only what uv and pip say of their own downloads: what is run in a build may print anything.
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
# Only in BuildKit's own last line. An engine that ends takes the builds with it: they break off, or
# are cancelled, which nobody else does to a build that is still waited for.
_ENGINE_LOST: Final = re.compile(
    r"(?<!Service )\bUnavailable\b|error reading from server|transport is closing|no active session"
    r"|Cannot connect to the Docker daemon|context canceled|\bCanceled\b"
    # A step that the engine could not start, or lost: a network bridge or a mount is gone.
    r"|did not complete successfully: (?!exit code: \d)"
)
_BASE_GONE: Final = re.compile(r"failed to resolve source metadata for ")


class BuildCause(StrEnum):
    """What a build failed of, where that is known."""

    DISK = "disk"
    INDEX = "index"
    HASH = "hash"
    ENGINE = "engine"
    BASE = "base"


def cause_of(text: str) -> BuildCause | None:
    """Return what a build failed of, None where it is the build's own fault.

    Args:
        text: what the step that failed printed.
    """
    if _DISK_FULL.search(text):
        return BuildCause.DISK
    if _HASH.search(text):
        return BuildCause.HASH
    download = _DOWNLOAD.search(text)
    if download and _AWAY.search(text, download.start()):
        return BuildCause.INDEX
    return None


def own_cause_of(line: str) -> BuildCause | None:
    """Return what a build failed of by BuildKit's own account, None where it doesn't say.

    Args:
        line: the last of its log, which nothing that runs in a build can write.
    """
    if _DISK_FULL.search(line):
        return BuildCause.DISK
    if _BASE_GONE.search(line):
        return BuildCause.BASE
    if _ENGINE_LOST.search(line):
        return BuildCause.ENGINE
    return None
