-- Whether the group's leaf of the device is from before its user's identity was reset: then it has to go, whatever became of the
-- device since.
ALTER TABLE roster ADD COLUMN is_outdated INTEGER NOT NULL DEFAULT 0;

-- Whose identity is reset may be in many groups, of a great many.
CREATE INDEX roster_of_device ON roster (device);
