-- What this device said in an encrypted conversation, for people, and has not named since: what it says next names it.
CREATE TABLE last_said (
    conversation BLOB NOT NULL,
    message      BLOB NOT NULL,
    mls_group    BLOB NOT NULL,                 -- that it was sealed for first; zeros = not known any more
    epoch        INTEGER NOT NULL,              -- MLS's
    PRIMARY KEY (conversation, message)
) STRICT;
-- The same of what is under way; NULL = for devices. What is to be sealed anew has an epoch below zero, and what was refused, too: it may
-- be taken after all.
ALTER TABLE flight ADD COLUMN first_group BLOB;
ALTER TABLE flight ADD COLUMN first_epoch INTEGER;
-- From which epoch on this device has everything that is said in a group. Of a group of which something was lost, from the next change on.
CREATE TABLE member_since (
    conversation BLOB NOT NULL,
    mls_group    BLOB NOT NULL,
    epoch        INTEGER NOT NULL,              -- MLS's
    seq          INTEGER NOT NULL,              -- of the change that led to it
    PRIMARY KEY (conversation, mls_group)
) STRICT, WITHOUT ROWID;
-- 1 = whether this device should have it nobody here can know: nobody is told, and no placeholder is shown.
ALTER TABLE recovery ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;
