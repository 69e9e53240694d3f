-- A history as version 1 had it.
PRAGMA application_id = 1833126216;
PRAGMA user_version = 1;
CREATE TABLE runs (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, began TEXT NOT NULL,
    subject TEXT NOT NULL, version TEXT, "commit" TEXT, verdict TEXT NOT NULL, as_of TEXT,
    digest TEXT NOT NULL);
CREATE TABLE cells (key INTEGER PRIMARY KEY, subject TEXT NOT NULL, id TEXT NOT NULL,
    definition TEXT NOT NULL, UNIQUE (subject, id, definition));
CREATE TABLE checks (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE figure_names (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE locks (key INTEGER PRIMARY KEY, digest TEXT NOT NULL, content TEXT NOT NULL UNIQUE);
CREATE TABLE packages (lock INTEGER NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    PRIMARY KEY (lock, name)) WITHOUT ROWID;
CREATE TABLE cell_results (cell INTEGER NOT NULL, run INTEGER NOT NULL, outcome TEXT NOT NULL,
    reason TEXT, lock INTEGER, PRIMARY KEY (run, cell)) WITHOUT ROWID;
CREATE INDEX cell_results_of_cell ON cell_results (cell);
CREATE TABLE check_results (run INTEGER NOT NULL, cell INTEGER NOT NULL, "check" INTEGER NOT NULL,
    outcome INTEGER NOT NULL, milliseconds INTEGER, PRIMARY KEY (run, cell, "check")) WITHOUT ROWID;
CREATE TABLE figures (run INTEGER NOT NULL, cell INTEGER NOT NULL, "check" INTEGER NOT NULL,
    name INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY (run, cell, "check", name))
    WITHOUT ROWID;
CREATE TABLE check_outcomes (key INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
INSERT INTO runs VALUES (1, 'plain', '2026-11-02T10:00:00.000000+00:00', 'transformers', '5.23.0',
    NULL, 'NOT READY', NULL, 'x');
INSERT INTO runs VALUES (2, 'as-of', '2026-11-03T10:00:00.000000+00:00', 'transformers', '5.0.0',
    NULL, 'READY', '2026-08-01', 'y');
INSERT INTO cells VALUES (1, 'transformers', 'py3.12', 'd');
INSERT INTO locks VALUES (1, 'a', 'a'), (2, 'b', 'b');
INSERT INTO packages VALUES (1, 'torch', '2.15.0'), (2, 'torch', '2.14.1');
INSERT INTO cell_results VALUES (1, 1, 'failed', 'checks', 1), (1, 2, 'passed', NULL, 2);
