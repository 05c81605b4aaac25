ALTER TABLE conversation ADD COLUMN request INTEGER NOT NULL DEFAULT 0;  -- 1 = to be answered, 2 = refused: not listed
-- What the user said to message requests.
CREATE TABLE admission (
    conversation INTEGER PRIMARY KEY REFERENCES conversation (id),
    verdict      INTEGER NOT NULL,              -- 1 accept, 2 decline, 3 block
    up_to        INTEGER NOT NULL,              -- the highest position known here then
    revision     INTEGER                        -- the node's commit, or the greatest; NULL = the node has not heard of it
) STRICT;
CREATE INDEX admission_waiting ON admission (conversation) WHERE revision IS NULL;
