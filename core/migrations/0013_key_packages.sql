-- Of key packages (label 16): whether it is the one of last resort, when it is to be replaced, and when its secrets are forgotten because it
-- was; by the node's clock. NULL = the node may still give it away. Those from before are all replaced.
ALTER TABLE mls ADD COLUMN is_last_resort INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mls ADD COLUMN renew_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mls ADD COLUMN forget_at INTEGER;
