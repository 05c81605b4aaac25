-- When the device first showed its user's word for its key: from then on it may take part in encrypted conversations.
ALTER TABLE device ADD COLUMN linked_at INTEGER;

-- How many commits were taken for an encrypted conversation; 0 = it has no group.
ALTER TABLE conversation ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- Which devices a conversation's group has, at its epoch.
CREATE TABLE roster (
    conversation INTEGER NOT NULL REFERENCES conversation,
    device INTEGER NOT NULL REFERENCES device,
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;

-- What puts a device in a group: public keys. Of one that was given away the hash stays for a while, so that it is not
-- given a second time if its device says it again.
CREATE TABLE key_package (
    package INTEGER PRIMARY KEY,
    device INTEGER NOT NULL REFERENCES device,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    is_last_resort INTEGER NOT NULL,
    body BLOB,
    given_at INTEGER CHECK ((given_at IS NULL) = (body IS NOT NULL)),
    UNIQUE (device, hash)
) STRICT;
CREATE INDEX key_package_left ON key_package (device, is_last_resort, package) WHERE given_at IS NULL;
CREATE INDEX key_package_given ON key_package (given_at) WHERE given_at IS NOT NULL;

-- The epoch under which the body is encrypted. A commit has its declared change, without Welcomes; so has each Welcome of
-- it, which is an envelope for one device.
ALTER TABLE envelope ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE envelope ADD COLUMN change BLOB;
ALTER TABLE envelope ADD COLUMN is_welcome INTEGER NOT NULL DEFAULT 0;
