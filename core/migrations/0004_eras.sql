-- The eras of the node's past as this device last heard them: where they differ from what the node says next, the pasts
-- part.
CREATE TABLE node_era (
    number            INTEGER PRIMARY KEY,
    began_at_revision INTEGER NOT NULL
) STRICT;
