-- An envelope has one number in all mailboxes, its own, and no index leads from it to its entries any more: the devices that
-- may have it are those of its users. All entries of an envelope were made at once, so the lowest keeps every order.
CREATE TABLE renumbered (
    device INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    notice BLOB
) STRICT;
INSERT INTO renumbered
    SELECT device, coalesce((SELECT min(entry) FROM mailbox AS every WHERE every.envelope = mailbox.envelope), entry), notice
    FROM mailbox;
-- Twice, so that no number is taken while another still has it.
UPDATE envelope SET envelope = -(SELECT min(entry) FROM mailbox WHERE mailbox.envelope = envelope.envelope);
UPDATE envelope SET envelope = -envelope;
DROP TABLE mailbox;
-- A device's mail, in order: a notice (receipt, read mark, gap) as encoded by `EntryKind`, or without one the envelope of
-- that number, which is the same in all mailboxes.
CREATE TABLE mailbox (
    device INTEGER NOT NULL REFERENCES device,
    entry INTEGER NOT NULL,
    notice BLOB,
    PRIMARY KEY (device, entry)
) STRICT, WITHOUT ROWID;
INSERT INTO mailbox (device, entry, notice) SELECT device, entry, notice FROM renumbered ORDER BY device, entry;
DROP TABLE renumbered;
