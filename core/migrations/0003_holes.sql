-- Holes: runs of positions that the node did not keep for this device.

ALTER TABLE message ADD COLUMN until INTEGER;  -- the last position of a hole, which begins at `anchor`; NULL for all else
ALTER TABLE message ADD COLUMN reason INTEGER; -- why there is a hole; NULL for all else
CREATE INDEX message_hole ON message (conversation, anchor) WHERE until IS NOT NULL;

ALTER TABLE conversation ADD COLUMN has_holes INTEGER NOT NULL DEFAULT 0;  -- 1 = there may be some

-- How long this device was away when the node kept nothing more for it. The last time counts.
CREATE TABLE absence (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    since INTEGER NOT NULL                     -- last seen by the node, its clock
) STRICT;
