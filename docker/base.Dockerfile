# The base image of an interpreter without a registry: this machine's CPython on its own release.
ARG OS_BASE
FROM ${OS_BASE}
COPY usr/local /usr/local
RUN ldconfig && /usr/local/bin/python3 -c 'import ctypes, ssl, sqlite3, zlib, bz2, lzma, hashlib'
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
CMD ["python3"]
