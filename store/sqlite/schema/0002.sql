-- When a session wants to be told the time, and what goes on beside its conversation. The index holds the few sessions that wait for a time and are
-- registered: a plain turn does not touch it.

ALTER TABLE sessions ADD COLUMN wake INTEGER NOT NULL DEFAULT 0; -- 0: never
ALTER TABLE sessions ADD COLUMN away INTEGER NOT NULL DEFAULT 0; -- not registered
CREATE INDEX sessions_wake ON sessions (wake) WHERE wake > 0 AND away = 0;

CREATE TABLE operations (
	session   INTEGER NOT NULL REFERENCES sessions (key),
	operation TEXT    NOT NULL,
	kept      INTEGER NOT NULL, -- part of the session's state, or only remembered
	seq       INTEGER NOT NULL, -- its place among all that ended; 0: it is at work
	body      BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX operations_id ON operations (session, operation);
CREATE INDEX operations_kept ON operations (session, operation) WHERE kept = 1;
