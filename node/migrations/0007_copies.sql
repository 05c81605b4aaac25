-- How far a device has come, by its own count: tells its data from an older copy of it.
ALTER TABLE device ADD COLUMN connections INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN stored_up_to INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;
