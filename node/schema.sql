-- What the migrations make together; a test compares. Edit by adding a migration, then here.
-- Who this node is, and how far it has come.
CREATE TABLE node (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    realm BLOB NOT NULL CHECK (length(realm) = 16),
    token_key BLOB NOT NULL CHECK (length(token_key) = 32),
    era INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

-- Every era but the first.
CREATE TABLE era (
    number INTEGER PRIMARY KEY,
    began_at_revision INTEGER NOT NULL
) STRICT;

-- Every start of a process that committed anything, and the revision that it found. A checkpoint of a start that is not
-- here, or from above the revision that the next one found, shows that the data is an older copy.
CREATE TABLE opening (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 8),
    at_revision INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE user (
    user INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name TEXT NOT NULL,
    folded_name TEXT NOT NULL UNIQUE,
    identity_key BLOB NOT NULL CHECK (length(identity_key) = 32),
    created_at INTEGER NOT NULL
, deleted_at INTEGER) STRICT;

-- Who is enrolled on another word has none.
CREATE TABLE password (
    user INTEGER PRIMARY KEY REFERENCES user,
    hash TEXT NOT NULL
) STRICT;

-- Whom the app's tokens call what.
CREATE TABLE subject (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user INTEGER NOT NULL REFERENCES user,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX subject_of_user ON subject (user);

-- Whom a telephone number belongs to. Of the number, only a keyed hash.
CREATE TABLE phone (
    number BLOB PRIMARY KEY CHECK (length(number) = 32),
    user INTEGER NOT NULL UNIQUE REFERENCES user
) STRICT, WITHOUT ROWID;

-- What guards an account when its number is enrolled again, and the guesses at it since the last right one.
CREATE TABLE pin (
    user INTEGER PRIMARY KEY REFERENCES user,
    hash TEXT NOT NULL,
    wrong INTEGER NOT NULL,
    next_at INTEGER NOT NULL
) STRICT;

-- The latest code to a number, by keyed hashes; how many were sent since when, and the device that it enrolled.
CREATE TABLE phone_code (
    number BLOB PRIMARY KEY CHECK (length(number) = 32),
    challenge BLOB NOT NULL UNIQUE CHECK (length(challenge) = 16),
    code BLOB NOT NULL CHECK (length(code) = 32),
    expires_at INTEGER NOT NULL,
    guesses_left INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    since INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    device BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    device INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    user INTEGER NOT NULL REFERENCES user,
    key BLOB NOT NULL CHECK (length(key) = 32),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER,
    revoked_at INTEGER
, absent_since INTEGER, empty_below INTEGER, connections INTEGER NOT NULL DEFAULT 0, stored_up_to INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0, linked_at INTEGER) STRICT;
CREATE INDEX device_of_user ON device (user);
CREATE INDEX device_seen ON device (coalesce(last_seen_at, created_at))
    WHERE revoked_at IS NULL AND absent_since IS NULL;
CREATE INDEX device_to_empty ON device (device) WHERE empty_below IS NOT NULL;

-- `head` is the highest position given so far, 0 before the first; `epoch` the commits taken, 0 = it has no group.
CREATE TABLE conversation (
    conversation INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    kind INTEGER NOT NULL,
    protection INTEGER NOT NULL,
    head INTEGER NOT NULL
, epoch INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE member (
    conversation INTEGER NOT NULL REFERENCES conversation,
    user INTEGER NOT NULL REFERENCES user, standing INTEGER NOT NULL DEFAULT 0, asked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_unwelcome ON member (conversation) WHERE standing <> 0;

-- The head that a conversation had in an era when it crossed into a later one: what lies above was lost by a restore.
CREATE TABLE era_head (
    conversation INTEGER NOT NULL REFERENCES conversation,
    era INTEGER NOT NULL,
    head INTEGER NOT NULL,
    PRIMARY KEY (conversation, era)
) STRICT, WITHOUT ROWID;

-- Positions of lost eras that were given back to their messages.
CREATE TABLE reclaimed (
    conversation INTEGER NOT NULL REFERENCES conversation,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;

-- The idempotency memory: what was answered to a message id, without its body.
CREATE TABLE accepted (
    message BLOB PRIMARY KEY CHECK (length(message) = 16),
    device INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    revision INTEGER NOT NULL
, is_resend INTEGER NOT NULL DEFAULT 0, is_had INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE INDEX accepted_age ON accepted (at);

-- A message that somebody still has to confirm. Its body lies in a segment, never in this database.
CREATE TABLE envelope (
    envelope INTEGER PRIMARY KEY,
    message BLOB NOT NULL CHECK (length(message) = 16),
    conversation INTEGER NOT NULL REFERENCES conversation,
    sender_user INTEGER NOT NULL REFERENCES user,
    sender_device INTEGER NOT NULL REFERENCES device,
    peer INTEGER NOT NULL REFERENCES user,
    seq INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    urgent INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    waiting INTEGER NOT NULL CHECK (waiting > 0)
, awaited INTEGER REFERENCES user, is_request INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, change BLOB, is_welcome INTEGER NOT NULL DEFAULT 0, is_for_one INTEGER NOT NULL DEFAULT 0, resend_of BLOB CHECK (resend_of IS NULL OR length(resend_of) = 16)) STRICT;
CREATE INDEX envelope_expiry ON envelope (expires_at);

-- A device's mail, in order: a notice (receipt, read mark, gap) as encoded by `EntryKind`, or without one the envelope of
-- that number, which is the same in all mailboxes.
CREATE TABLE mailbox (
    device INTEGER NOT NULL REFERENCES device,
    entry INTEGER NOT NULL,
    notice BLOB,
    PRIMARY KEY (device, entry)
) STRICT, WITHOUT ROWID;

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

-- Messages that the user has, of which the sender is told once the user accepts.
CREATE TABLE withheld (
    conversation INTEGER NOT NULL REFERENCES conversation,
    user INTEGER NOT NULL REFERENCES user,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation, user, seq)
) STRICT, WITHOUT ROWID;

-- Which devices a conversation's group has, at its epoch. `is_outdated`: with a leaf from before its user's identity was reset.
CREATE TABLE roster (
    conversation INTEGER NOT NULL REFERENCES conversation,
    device INTEGER NOT NULL REFERENCES device, is_outdated INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX roster_of_device ON roster (device);

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
