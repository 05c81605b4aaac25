-- Devices that were not seen for too long: when they were last seen, and below which entry their mailbox is still to be
-- emptied.
ALTER TABLE device ADD COLUMN absent_since INTEGER;
ALTER TABLE device ADD COLUMN empty_below INTEGER;
CREATE INDEX device_seen ON device (coalesce(last_seen_at, created_at))
    WHERE revoked_at IS NULL AND absent_since IS NULL;
CREATE INDEX device_to_empty ON device (device) WHERE empty_below IS NOT NULL;

-- What was not kept for a device that was addressed, and it was not told of yet: the lowest and the highest position in
-- each era of a conversation.
CREATE TABLE missed (
    device INTEGER NOT NULL REFERENCES device,
    conversation INTEGER NOT NULL REFERENCES conversation,
    era INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (device, conversation, era)
) STRICT, WITHOUT ROWID;
