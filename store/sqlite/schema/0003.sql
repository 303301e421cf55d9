-- Labels, sessions that are a record, and sessions in which nothing was said yet. The counter is kept by whoever writes a session's row: how many go on
-- is asked whenever a session is made, and that must not depend on how many there are.

ALTER TABLE sessions ADD COLUMN labels TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels)); -- an object of strings, keys sorted
ALTER TABLE sessions ADD COLUMN past INTEGER NOT NULL DEFAULT 0; -- nothing will be said in it any more
UPDATE sessions SET past = 1 WHERE phase IN ('archived', 'destroyed');
CREATE INDEX sessions_fresh ON sessions (updated) WHERE messages = 0;

CREATE TABLE counts (
	name TEXT    PRIMARY KEY,
	n    INTEGER NOT NULL
) STRICT;
INSERT INTO counts (name, n) SELECT 'active', count(*) FROM sessions WHERE version > 0 AND past = 0 AND away = 0;
