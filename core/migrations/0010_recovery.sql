-- Messages that came and could not be read, and when their authors' devices are asked for them again.
CREATE TABLE recovery (
    message  INTEGER PRIMARY KEY,               -- message.id
    attempts INTEGER NOT NULL DEFAULT 0,
    ask_at   INTEGER NOT NULL                   -- this device's clock
) STRICT;

-- Whom a waiting message is for alone, and which one it repeats. One whose row is marked as deleted speaks to devices: it is
-- never shown.
ALTER TABLE outbox ADD COLUMN only_device BLOB;
ALTER TABLE outbox ADD COLUMN resend_of BLOB;

-- 1 = nobody has said anything in it but devices to each other: it is in no list.
ALTER TABLE conversation ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;

-- The user's identity (Ed25519), while no device is enrolled here: whoever logs in again has it at once.
ALTER TABLE owner ADD COLUMN identity_seed BLOB;

-- What spoke to this device, and was dealt with: it may come again, and cannot be read twice.
CREATE TABLE dealt_with (
    message BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
