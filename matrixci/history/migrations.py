"""The tables of the history, and how a file of an older version becomes one of this.

Each step brings a file from one version to the next; a new file goes through all of them, so none
of them can rot. `PRAGMA user_version` says how many a file has had.
"""

import sqlite3
from typing import Final

APPLICATION_ID: Final = 0x6D434948  # "mCIH": tells a history from another program's database

# Identifiers that repeat in every run stand in tables of names; the facts hold their numbers. That
# these exist is not enforced (foreign_keys is off): it would double the time that adding takes.
_FIRST: Final = """
CREATE TABLE runs (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    began TEXT NOT NULL,
    subject TEXT NOT NULL,
    version TEXT,
    "commit" TEXT,
    verdict TEXT NOT NULL,
    as_of TEXT,
    digest TEXT NOT NULL
);
CREATE TABLE cells (
    key INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    id TEXT NOT NULL,
    definition TEXT NOT NULL,
    UNIQUE (subject, id, definition)
);
CREATE TABLE checks (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE figure_names (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE locks (key INTEGER PRIMARY KEY, digest TEXT NOT NULL, content TEXT NOT NULL UNIQUE);
CREATE TABLE packages (
    lock INTEGER NOT NULL REFERENCES locks,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (lock, name)
) WITHOUT ROWID;
CREATE TABLE cell_results (
    cell INTEGER NOT NULL REFERENCES cells,
    run INTEGER NOT NULL REFERENCES runs,
    outcome TEXT NOT NULL,
    reason TEXT,
    lock INTEGER REFERENCES locks,
    PRIMARY KEY (run, cell)
) WITHOUT ROWID;
CREATE INDEX cell_results_of_cell ON cell_results (cell);
CREATE TABLE check_results (
    run INTEGER NOT NULL REFERENCES runs,
    cell INTEGER NOT NULL REFERENCES cells,
    "check" INTEGER NOT NULL REFERENCES checks,
    outcome INTEGER NOT NULL,
    milliseconds INTEGER,
    PRIMARY KEY (run, cell, "check")
) WITHOUT ROWID;
CREATE TABLE figures (
    run INTEGER NOT NULL REFERENCES runs,
    cell INTEGER NOT NULL REFERENCES cells,
    "check" INTEGER NOT NULL REFERENCES checks,
    name INTEGER NOT NULL REFERENCES figure_names,
    value REAL NOT NULL,
    PRIMARY KEY (run, cell, "check", name)
) WITHOUT ROWID;
CREATE TABLE check_outcomes (key INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
"""

# A run as of a day belongs where that day is, not where it was made; and a run of some checks
# must be told from one of all. The filters of version 1 aren't known: its runs count as whole.
_SECOND: Final = """
ALTER TABLE runs ADD COLUMN moment TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN check_filter TEXT;
UPDATE runs SET moment = CASE
    WHEN as_of IS NOT NULL AND as_of || 'T23:59:59.999999+00:00' < began
    THEN as_of || 'T23:59:59.999999+00:00' ELSE began END;
CREATE INDEX runs_in_order ON runs (moment, began, id);
"""

# Check outcomes "known" and "fixed" and the word "figure" were renamed.
_THIRD: Final = """
ALTER TABLE figures RENAME TO metrics;
ALTER TABLE figure_names RENAME TO metric_names;
UPDATE check_outcomes SET word = 'known-issue' WHERE word = 'known';
UPDATE check_outcomes SET word = 'unexpected-pass' WHERE word = 'fixed';
UPDATE cell_results SET reason = 'missing-hardware' WHERE reason = 'needs';
"""

STEPS: Final = (_FIRST, _SECOND, _THIRD)
VERSION: Final = len(STEPS)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a file's tables; 0: it has none."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_foreign(connection: sqlite3.Connection) -> bool:
    """Return whether a file is another program's database."""
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    return mark != APPLICATION_ID and (mark != 0 or tables > 0)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file's tables to this version, all of it or nothing.

    The connection is in autocommit mode; several processes may do this at once.

    Raises:
        sqlite3.Error: the file can't be read or written.
    """
    if version_of(connection) >= VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while this one waited for the lock.
        for number in range(version_of(connection), VERSION):
            for statement in _statements(STEPS[number]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    # sqlite3.executescript would commit the transaction that all steps share.
    return [statement for statement in script.split(";\n") if statement.strip()]
