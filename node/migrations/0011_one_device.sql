-- A message for one device alone; and, if it repeats another one for it, which.
ALTER TABLE envelope ADD COLUMN is_for_one INTEGER NOT NULL DEFAULT 0;
ALTER TABLE envelope ADD COLUMN resend_of BLOB CHECK (resend_of IS NULL OR length(resend_of) = 16);

-- A resend has the position of what it repeats. Of that, whether the recipient has it by a resend: no worse is told then.
ALTER TABLE accepted ADD COLUMN is_resend INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accepted ADD COLUMN is_had INTEGER NOT NULL DEFAULT 0;
