-- When the account was deleted. All that is left of it then is its id, which nobody else gets.
ALTER TABLE user ADD COLUMN deleted_at INTEGER;
CREATE INDEX subject_of_user ON subject (user);
