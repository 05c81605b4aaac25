-- When this device is to give the group new keys of its own, by this device's clock.
ALTER TABLE secured ADD COLUMN renew_at INTEGER;

-- What people last made of this user's identity, here or on another device: which key, whether it was the right one, and when, by the
-- node's clock.
ALTER TABLE user ADD COLUMN compared_key BLOB;
ALTER TABLE user ADD COLUMN compared_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN compared_at INTEGER NOT NULL DEFAULT 0;

-- How far another device of the user has read where nothing is known to be said: a restored node is given messages back after marks.
CREATE TABLE early_read (
    conversation BLOB PRIMARY KEY,
    up_to        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
