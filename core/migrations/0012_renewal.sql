-- When this device is to give the group new keys of its own, by this device's clock.
ALTER TABLE secured ADD COLUMN renew_at INTEGER;
