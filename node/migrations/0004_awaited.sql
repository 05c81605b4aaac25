-- Whose first confirmation the sender is still to be told of: of a direct message one user, so it needs no table.
ALTER TABLE envelope ADD COLUMN awaited INTEGER REFERENCES user;
UPDATE envelope SET awaited = (SELECT user FROM awaiting WHERE awaiting.envelope = envelope.envelope);
DROP TABLE awaiting;
