#!/bin/sh
# Install one part of a cell's lock during a build: install-locked.sh FILE [UV ARGUMENTS]
# Index settings, credentials and the CA bundle are build secrets, so no layer contains them.
set -eu

part=$1
shift
[ -s "$part" ] || exit 0 # this part of the lock is empty

if [ -f /run/secrets/index ]; then
    # shellcheck source=/dev/null
    . /run/secrets/index
fi
if [ -f /run/secrets/ca ]; then
    export SSL_CERT_FILE=/run/secrets/ca
fi
if [ -f /run/secrets/netrc ]; then
    export NETRC=/run/secrets/netrc
fi
if [ -f /run/secrets/uv-config ]; then
    export UV_CONFIG_FILE=/run/secrets/uv-config
fi
if [ "${MATRIXCI_KEEP_WHEELS:-yes}" = no ]; then
    # No other build needs them. With hard links from a temporary cache on the same file system,
    # each file uses disk space once.
    export UV_NO_CACHE=1 UV_LINK_MODE=hardlink
else
    # The cache is on another file system, so hard links are not possible.
    export UV_CACHE_DIR=/var/cache/matrixci-uv UV_LINK_MODE=copy
fi
export UV_NO_PROGRESS=1

# --no-deps: the lock is complete, and each part is installed separately.
exec uv pip install --no-deps --require-hashes --only-binary :all: \
    "$@" --requirements "$part"
