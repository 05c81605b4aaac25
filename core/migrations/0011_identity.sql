-- People have compared this user's key, and when another took the place of the one that was known; by this device's clock.
ALTER TABLE user ADD COLUMN verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN identity_changed_at INTEGER;
-- The newest message (message.id) that was here then: who came after it is given nothing of what was said before.
ALTER TABLE user ADD COLUMN identity_changed_after INTEGER NOT NULL DEFAULT 0;

-- A new identity that the node is asked to take, and the one that the node says the user has, where it is another than this
-- device's (Ed25519: seed, public key).
ALTER TABLE account ADD COLUMN new_identity_seed BLOB;
ALTER TABLE account ADD COLUMN other_identity BLOB;

-- Of a passphrase that was made to the secret that the folder is bound by; NULL = the secret was given.
ALTER TABLE binding ADD COLUMN salt BLOB;

-- What was refused, or changed, that people may want to know of.
CREATE TABLE security_event (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,              -- this device's clock
    kind         INTEGER NOT NULL,
    user         BLOB,
    device       BLOB,
    conversation BLOB
) STRICT;

-- The history that another device of the user gives this one.
CREATE TABLE history_transfer (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    device    BLOB NOT NULL,                    -- that is asked
    asked     BLOB NOT NULL,                    -- the cursor that it was asked for
    next      BLOB NOT NULL,                    -- where to go on
    pieces    INTEGER NOT NULL DEFAULT 0,       -- of the answer, so far
    page      BLOB NOT NULL DEFAULT x'',        -- what is here of the page that is not whole
    messages  INTEGER NOT NULL DEFAULT 0,
    per_mille INTEGER NOT NULL DEFAULT 0,
    attempts  INTEGER NOT NULL DEFAULT 0,       -- since the last piece came
    ask_at    INTEGER NOT NULL                  -- this device's clock
) STRICT;
