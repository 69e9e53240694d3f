#!/bin/sh
# Installs one part of a cell's lock, inside a build: install-locked.sh FILE [uv arguments]
# Index settings, credentials and the CA bundle come as secrets and stay in no layer.
set -eu

part=$1
shift
[ -s "$part" ] || exit 0 # nothing of the lock falls into this part

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
    # Nobody needs them again: in a temporary cache beside what is installed, and hard-linked, each
    # file is on the disk once.
    export UV_NO_CACHE=1 UV_LINK_MODE=hardlink
else
    # The cache is another file system, so hard links can't be had.
    export UV_CACHE_DIR=/var/cache/matrixci-uv UV_LINK_MODE=copy
fi
export UV_NO_PROGRESS=1

# --no-deps: the lock is complete, and each part is installed alone.
exec uv pip install --no-deps --require-hashes --only-binary :all: \
    "$@" --requirements "$part"
