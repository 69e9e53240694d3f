#!/bin/sh
# Makes /usr/local self-contained, so that the interpreter can be copied onto another root:
# the shared libraries that it and its modules need come along, its own packages stay behind.
set -eu

find /usr/local/bin /usr/local/lib -type f \( -name 'python3*' -o -name '*.so*' \) -print0 |
    xargs -0 ldd 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\/(usr\/)?lib/ { print $3 }' | sort -u |
    # The C library must be the one of the root that the copy will run on.
    grep -Ev '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|util|resolv|nsl|nss_[a-z]+))\.so' |
    while read -r library; do
        [ -e "/usr/local/lib/${library##*/}" ] || cp -L "$library" /usr/local/lib/
    done

# Every Python of the matrix shares one folder of packages, so that the CUDA libraries, which are
# the same files for each of them, can lie in a layer beneath the interpreter. It is as deep as the
# usual one: wheels name their scripts by a path relative to it.
for packages in /usr/local/lib/python3.*/site-packages; do
    rm -rf "$packages"
    ln -s ../python3/site-packages "$packages"
done
rm -rf /usr/local/share /usr/local/include
find /usr/local/bin -mindepth 1 ! -name 'python3*' ! -name python -delete
