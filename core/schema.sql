CREATE TABLE account (
    id                  INTEGER PRIMARY KEY CHECK (id = 1),
    enrolled            INTEGER NOT NULL,       -- 0 = asked for, not yet confirmed by the node
    node                TEXT NOT NULL,          -- base URL
    realm               BLOB NOT NULL,
    user                BLOB NOT NULL,
    name                TEXT NOT NULL,
    device              BLOB NOT NULL,
    device_seed         BLOB NOT NULL,          -- Ed25519
    identity_seed       BLOB,                   -- Ed25519; only where the identity was made
    era                 INTEGER NOT NULL DEFAULT 0,  -- the node's incarnation that this device has reconciled with
    checkpoint_era      INTEGER,
    checkpoint_revision INTEGER,
    checkpoint_opening  BLOB,
    checkpoint_seal     BLOB
, connections INTEGER NOT NULL DEFAULT 0, stored_up_to INTEGER NOT NULL DEFAULT 0, copied INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0, new_identity_seed BLOB, other_identity BLOB) STRICT;
CREATE TABLE owner (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    user BLOB NOT NULL,
    name TEXT NOT NULL
, identity_seed BLOB) STRICT;
CREATE TABLE user (
    user         BLOB PRIMARY KEY,
    name         TEXT,                          -- NULL = not yet asked for
    identity_key BLOB
, deleted INTEGER NOT NULL DEFAULT 0, verified INTEGER NOT NULL DEFAULT 0, identity_changed_at INTEGER, identity_changed_after INTEGER NOT NULL DEFAULT 0, compared_key BLOB, compared_verified INTEGER NOT NULL DEFAULT 0, compared_at INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
CREATE TABLE device (
    device BLOB PRIMARY KEY,
    user   BLOB NOT NULL,
    key    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE conversation (
    id            INTEGER PRIMARY KEY,
    conversation  BLOB NOT NULL UNIQUE,
    kind          INTEGER NOT NULL,
    protection    INTEGER NOT NULL,
    peer          BLOB,
    head          INTEGER NOT NULL DEFAULT 0,   -- highest position known here
    read_up_to    INTEGER NOT NULL DEFAULT 0,
    read_reported INTEGER NOT NULL DEFAULT 0,   -- what the node has accepted of it
    read_revision INTEGER NOT NULL DEFAULT 0,   -- and when
    unread        INTEGER NOT NULL DEFAULT 0,
    last_message  INTEGER,                      -- message.id of the newest that is shown
    activity      INTEGER NOT NULL              -- milliseconds; order of the list
, has_holes INTEGER NOT NULL DEFAULT 0, request INTEGER NOT NULL DEFAULT 0, hidden INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX conversation_activity ON conversation (activity, id);
CREATE TABLE message (
    id            INTEGER PRIMARY KEY,
    conversation  INTEGER NOT NULL REFERENCES conversation (id),
    message       BLOB UNIQUE,                  -- NULL for a gap
    anchor        INTEGER NOT NULL,             -- (anchor, place) is the order of the timeline
    place         INTEGER NOT NULL,
    seq           INTEGER,                      -- NULL until accepted
    sender        BLOB NOT NULL,
    sender_device BLOB,
    incoming      INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    failure       INTEGER,
    created_at    INTEGER NOT NULL,             -- the author's clock
    accepted_at   INTEGER,                      -- the node's clock
    revision      INTEGER,                      -- the node's commit, for own messages of this device
    body          BLOB,                         -- the content as it came: a later version may read more of it
    deleted       INTEGER NOT NULL DEFAULT 0    -- 1 = a tombstone
, until INTEGER, reason INTEGER) STRICT;
CREATE UNIQUE INDEX message_timeline ON message (conversation, anchor, place, id);
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversation (id),
    message      INTEGER NOT NULL UNIQUE REFERENCES message (id),
    queued_at    INTEGER NOT NULL,
    reclaim      INTEGER                        -- position to ask back from a restored node
, first_sent_at INTEGER, only_device BLOB, resend_of BLOB) STRICT;
CREATE TABLE sqlite_sequence(name,seq);
CREATE TABLE read_outbox (
    conversation INTEGER PRIMARY KEY REFERENCES conversation (id),
    up_to        INTEGER NOT NULL,
    since        INTEGER NOT NULL,              -- what lies above is reported
    at           INTEGER NOT NULL,
    version      INTEGER NOT NULL DEFAULT 1     -- tells whether it changed while it was under way
) STRICT;
CREATE TABLE receipt (
    conversation INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    user         BLOB NOT NULL,
    rank         INTEGER NOT NULL,              -- 1 undelivered, 2 received, 3 read; only ever grows
    reason       INTEGER,                       -- why undelivered
    received_at  INTEGER,                       -- the node's clock
    read_at      INTEGER,                       -- the reader's clock
    PRIMARY KEY (conversation, seq, user)
) STRICT, WITHOUT ROWID;
CREATE TABLE early_receipt (
    conversation INTEGER NOT NULL,
    first        INTEGER NOT NULL,
    last         INTEGER NOT NULL,
    user         BLOB NOT NULL,
    rank         INTEGER NOT NULL,
    reason       INTEGER,
    at           INTEGER NOT NULL,
    PRIMARY KEY (conversation, user, rank, first, last)
) STRICT, WITHOUT ROWID;
CREATE TABLE poison (
    digest   BLOB PRIMARY KEY,                  -- SHA-256 of the entry
    failures INTEGER NOT NULL,
    entry    BLOB                               -- kept once given up
) STRICT, WITHOUT ROWID;
CREATE TABLE room (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    filler BLOB NOT NULL
) STRICT;
CREATE TABLE binding (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    tag BLOB NOT NULL
, salt BLOB) STRICT;
CREATE TABLE salvage (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    report    TEXT NOT NULL,
    keys_lost INTEGER NOT NULL
) STRICT;
CREATE INDEX message_hole ON message (conversation, anchor) WHERE until IS NOT NULL;
CREATE TABLE absence (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    since INTEGER NOT NULL                     -- last seen by the node, its clock
) STRICT;
CREATE TABLE node_era (
    number            INTEGER PRIMARY KEY,
    began_at_revision INTEGER NOT NULL
) STRICT;
CREATE VIRTUAL TABLE message_index USING fts5 (
    words, singles, pairs,
    content = '', contentless_delete = 1, prefix = '1 2 3',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co'"
);
CREATE TABLE admission (
    conversation INTEGER PRIMARY KEY REFERENCES conversation (id),
    verdict      INTEGER NOT NULL,              -- 1 accept, 2 decline, 3 block
    up_to        INTEGER NOT NULL,              -- the highest position known here then
    revision     INTEGER                        -- the node's commit, or the greatest; NULL = the node has not heard of it
) STRICT;
CREATE INDEX admission_waiting ON admission (conversation) WHERE revision IS NULL;
CREATE TABLE mls (
    id    INTEGER PRIMARY KEY,
    label INTEGER NOT NULL,
    key   BLOB NOT NULL,
    item  BLOB NOT NULL,                        -- tells the values of a list apart; empty where there is one
    value BLOB NOT NULL, is_last_resort INTEGER NOT NULL DEFAULT 0, renew_at INTEGER NOT NULL DEFAULT 0, forget_at INTEGER,
    UNIQUE (label, key, item)
) STRICT;
CREATE TABLE secured (
    conversation  BLOB PRIMARY KEY,
    mls_group     BLOB,                         -- NULL = none, or one that is lost: to be begun anew
    epoch         INTEGER NOT NULL DEFAULT 0,   -- the node's, at which the group stands
    since         INTEGER NOT NULL DEFAULT 0,   -- position of the commit that made it stand so
    offer         BLOB,                         -- a commit of this device that the node has not answered: the frame
    offered_group BLOB                          -- the group that it begins
, renew_at INTEGER) STRICT;
CREATE TABLE flight (
    message   INTEGER PRIMARY KEY REFERENCES message (id),
    mls_group BLOB NOT NULL,
    epoch     INTEGER NOT NULL,
    body      BLOB NOT NULL
, first_group BLOB, first_epoch INTEGER) STRICT;
CREATE TABLE group_change (
    conversation BLOB NOT NULL,
    seq          INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE recovery (
    message  INTEGER PRIMARY KEY,               -- message.id
    attempts INTEGER NOT NULL DEFAULT 0,
    ask_at   INTEGER NOT NULL                   -- this device's clock
, doubtful INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE dealt_with (
    message BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE security_event (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,              -- this device's clock
    kind         INTEGER NOT NULL,
    user         BLOB,
    device       BLOB,
    conversation BLOB
) STRICT;
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
CREATE TABLE early_read (
    conversation BLOB PRIMARY KEY,
    up_to        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE last_said (
    conversation BLOB NOT NULL,
    message      BLOB NOT NULL,
    mls_group    BLOB NOT NULL,                 -- that it was sealed for first; zeros = not known any more
    epoch        INTEGER NOT NULL,              -- MLS's
    PRIMARY KEY (conversation, message)
) STRICT;
CREATE TABLE member_since (
    conversation BLOB NOT NULL,
    mls_group    BLOB NOT NULL,
    epoch        INTEGER NOT NULL,              -- MLS's
    seq          INTEGER NOT NULL,              -- of the change that led to it
    PRIMARY KEY (conversation, mls_group)
) STRICT, WITHOUT ROWID;
