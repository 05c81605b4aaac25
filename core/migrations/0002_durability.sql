-- What a device needs to survive a full disk, a damaged or copied folder, and a clock that is off by years.

-- Written and emptied to see whether the disk has room again.
CREATE TABLE room (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    filler BLOB NOT NULL
) STRICT;

-- Attempts to connect, each counted before it is made: the node refuses a count that it has seen.
ALTER TABLE account ADD COLUMN connections INTEGER NOT NULL DEFAULT 0;
-- The highest mailbox entry that was dealt with here.
ALTER TABLE account ADD COLUMN stored_up_to INTEGER NOT NULL DEFAULT 0;
-- 1 = the node said that this folder is a copy.
ALTER TABLE account ADD COLUMN copied INTEGER NOT NULL DEFAULT 0;

-- By the node's clock; NULL = the node cannot have seen it.
ALTER TABLE outbox ADD COLUMN first_sent_at INTEGER;

-- The keyed hash of the secret that the app keeps on the device that this folder belongs to.
CREATE TABLE binding (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    tag BLOB NOT NULL
) STRICT;

-- What was saved from damaged files, as JSON, and whether their keys were lost and nobody has logged in since.
CREATE TABLE salvage (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    report    TEXT NOT NULL,
    keys_lost INTEGER NOT NULL
) STRICT;
