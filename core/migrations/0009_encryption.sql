-- What MLS remembers (src/e2ee/storage.rs): values by `postcard`, several in order under one label and key.
CREATE TABLE mls (
    id    INTEGER PRIMARY KEY,
    label INTEGER NOT NULL,
    key   BLOB NOT NULL,
    item  BLOB NOT NULL,                        -- tells the values of a list apart; empty where there is one
    value BLOB NOT NULL,
    UNIQUE (label, key, item)
) STRICT;

-- The groups of encrypted conversations. By id: a group may be there before anything is said in it.
CREATE TABLE secured (
    conversation  BLOB PRIMARY KEY,
    mls_group     BLOB,                         -- NULL = none, or one that is lost: to be begun anew
    epoch         INTEGER NOT NULL DEFAULT 0,   -- the node's, at which the group stands
    since         INTEGER NOT NULL DEFAULT 0,   -- position of the commit that made it stand so
    offer         BLOB,                         -- a commit of this device that the node has not answered: the frame
    offered_group BLOB                          -- the group that it begins
) STRICT;

-- What was encrypted and is not accepted yet: repeated as it is, or thrown away with its epoch.
CREATE TABLE flight (
    message   INTEGER PRIMARY KEY REFERENCES message (id),
    mls_group BLOB NOT NULL,
    epoch     INTEGER NOT NULL,
    body      BLOB NOT NULL
) STRICT;

-- Positions at which nothing was said: a group changed there.
CREATE TABLE group_change (
    conversation BLOB NOT NULL,
    seq          INTEGER NOT NULL,
    PRIMARY KEY (conversation, seq)
) STRICT, WITHOUT ROWID;
