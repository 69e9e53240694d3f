#!/bin/sh
# Make /usr/local self-contained, so that the interpreter can be copied to another root file system:
# add the shared libraries that it and its modules need, and remove its own packages.
set -eu

find /usr/local/bin /usr/local/lib -type f \( -name 'python3*' -o -name '*.so*' \) -print0 |
    xargs -0 ldd 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\/(usr\/)?lib/ { print $3 }' | sort -u |
    # The C library must be that of the root file system that the copy will run on.
    grep -Ev '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|util|resolv|nsl|nss_[a-z]+))\.so' |
    while read -r library; do
        [ -e "/usr/local/lib/${library##*/}" ] || cp -L "$library" /usr/local/lib/
    done

# All Pythons of the matrix use the same folder of packages. So the CUDA libraries, which are the
# same files for every Python, can be in a layer below the interpreter. The folder has the usual
# depth, because wheels refer to their scripts by a relative path.
for packages in /usr/local/lib/python3.*/site-packages; do
    rm -rf "$packages"
    ln -s ../python3/site-packages "$packages"
done
rm -rf /usr/local/share /usr/local/include
find /usr/local/bin -mindepth 1 ! -name 'python3*' ! -name python -delete
