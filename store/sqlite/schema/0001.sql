-- Times are microseconds since 1970 in UTC. Rows of a session name it by the integer key of its row in sessions.
-- Appended tables keep the order of arrival (rowid) and have a narrow unique index beside them: clustering them by session would
-- touch a page of its own for every session of a commit group.

CREATE TABLE sessions (
	key        INTEGER PRIMARY KEY,
	session    TEXT    NOT NULL UNIQUE,
	version    INTEGER NOT NULL DEFAULT 0, -- 0: a place is kept, nothing was committed
	control    BLOB    NOT NULL DEFAULT x'',
	created    INTEGER NOT NULL DEFAULT 0,
	updated    INTEGER NOT NULL DEFAULT 0,
	phase      TEXT    NOT NULL DEFAULT '',
	title      TEXT    NOT NULL DEFAULT '',
	model      TEXT    NOT NULL DEFAULT '',
	workspace  TEXT    NOT NULL DEFAULT '',
	messages   INTEGER NOT NULL DEFAULT 0,
	tokens     INTEGER NOT NULL DEFAULT 0,
	unfinished INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX sessions_updated ON sessions (updated);
CREATE INDEX sessions_unfinished ON sessions (updated) WHERE unfinished = 1;

-- The row outlives the lease, because a term never comes back.
CREATE TABLE leases (
	session  INTEGER PRIMARY KEY REFERENCES sessions (key),
	term     INTEGER NOT NULL,
	released INTEGER NOT NULL DEFAULT 0,
	expires  INTEGER NOT NULL,
	owner    TEXT    NOT NULL,
	machine  TEXT    NOT NULL,
	boot     TEXT    NOT NULL,
	pid      INTEGER NOT NULL,
	started  TEXT    NOT NULL,
	address  TEXT    NOT NULL
) STRICT;

CREATE TABLE slow_values (
	session INTEGER NOT NULL REFERENCES sessions (key),
	name    TEXT    NOT NULL,
	data    BLOB    NOT NULL,
	PRIMARY KEY (session, name)
) STRICT;

CREATE TABLE inputs (
	session INTEGER NOT NULL REFERENCES sessions (key),
	input   TEXT    NOT NULL,
	key     TEXT    NOT NULL, -- idempotency key; '': none
	seq     INTEGER NOT NULL,
	live    INTEGER NOT NULL,
	body    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX inputs_id ON inputs (session, input);
CREATE UNIQUE INDEX inputs_key ON inputs (session, key) WHERE key <> '';
CREATE INDEX inputs_live ON inputs (session, seq) WHERE live = 1;

CREATE TABLE effects (
	session INTEGER NOT NULL REFERENCES sessions (key),
	version INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	open    INTEGER NOT NULL,
	kind    TEXT    NOT NULL,
	run     TEXT    NOT NULL,
	body    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX effects_id ON effects (session, version, ordinal);
CREATE INDEX effects_open ON effects (session, version, ordinal) WHERE open = 1;

CREATE TABLE messages (
	session INTEGER NOT NULL REFERENCES sessions (key),
	message INTEGER NOT NULL,
	ordinal INTEGER NOT NULL,
	role    TEXT    NOT NULL,
	body    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_place ON messages (session, message, ordinal);

CREATE TABLE events (
	session INTEGER NOT NULL REFERENCES sessions (key),
	cursor  INTEGER NOT NULL,
	body    BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_cursor ON events (session, cursor);

CREATE TABLE receipts (
	session  INTEGER NOT NULL REFERENCES sessions (key),
	run      TEXT    NOT NULL,
	sequence INTEGER NOT NULL,
	body     BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX receipts_boundary ON receipts (session, run, sequence);
