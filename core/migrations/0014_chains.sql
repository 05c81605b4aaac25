-- What this device said last in an encrypted conversation, for people: what it says next names it.
CREATE TABLE last_said (
    conversation BLOB PRIMARY KEY,
    message      BLOB NOT NULL,
    mls_group    BLOB NOT NULL,                 -- that it was sealed for first; zeros = not known any more
    epoch        INTEGER NOT NULL               -- MLS's
) STRICT;
-- From which epoch on this device has everything that is said in a group. Of a group of which something was lost, from the next change on.
CREATE TABLE member_since (
    id           INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL,
    mls_group    BLOB NOT NULL,
    epoch        INTEGER NOT NULL,              -- MLS's
    UNIQUE (conversation, mls_group)
) STRICT;
