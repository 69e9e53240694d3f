"""The tables of the history, and the migration of older files.

Each step migrates a file from one version to the next. A new file goes through all steps, so every
step is exercised. `PRAGMA user_version` is the number of steps that a file has had.
"""

import sqlite3
from typing import Final

APPLICATION_ID: Final = 0x6D434948  # "mCIH": marks a file as a history

# Names that repeat in every run are stored once; the results refer to them by key. Foreign keys are
# not enforced (foreign_keys is off), because that would double the time to add a run.
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

# A run as of a day is sorted by that day, not by the day on which it was made. A run with a check
# filter must be distinguishable from a complete run; version 1 did not store the filter, so its
# runs count as complete.
_SECOND: Final = """
ALTER TABLE runs ADD COLUMN moment TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN check_filter TEXT;
UPDATE runs SET moment = CASE
    WHEN as_of IS NOT NULL AND as_of || 'T23:59:59.999999+00:00' < began
    THEN as_of || 'T23:59:59.999999+00:00' ELSE began END;
CREATE INDEX runs_in_order ON runs (moment, began, id);
"""

# The check outcomes "known" and "fixed", the reason "needs" and the word "figure" were renamed.
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
    """Return the version of the tables in a file, or 0 if it has none."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_foreign(connection: sqlite3.Connection) -> bool:
    """Return whether a file is another program's database."""
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    return mark != APPLICATION_ID and (mark != 0 or tables > 0)


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate the tables of a file to the present version, completely or not at all.

    Several processes may call this at once. The connection must be in autocommit mode.

    Raises:
        sqlite3.Error: the file cannot be read or written.
    """
    if version_of(connection) >= VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read the version again: another process may have migrated while this one waited.
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
    # executescript() would commit the transaction that all steps share.
    return [statement for statement in script.split(";\n") if statement.strip()]
