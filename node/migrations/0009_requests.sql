-- What a member says to the other one's writing: 0 welcome, 1 not answered yet, 2 blocked; and how many messages of the
-- other one wait for the answer.
ALTER TABLE member ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE member ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX member_unwelcome ON member (conversation) WHERE standing <> 0;

-- Whether it was written to somebody who had not accepted that.
ALTER TABLE envelope ADD COLUMN is_request INTEGER NOT NULL DEFAULT 0;

-- Messages that the user has, of which the sender is told once the user accepts.
CREATE TABLE withheld (
    conversation INTEGER NOT NULL REFERENCES conversation,
    user INTEGER NOT NULL REFERENCES user,
    seq INTEGER NOT NULL,
    PRIMARY KEY (conversation, user, seq)
) STRICT, WITHOUT ROWID;
