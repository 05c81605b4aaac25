ALTER TABLE user ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;  -- 1 = deleted at the node, for good
