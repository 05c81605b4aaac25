-- The beginning of a word, up to three letters, is looked up instead of being put together from all words that begin so: one
-- letter took 100 ms in a million messages. The index keeps no texts; src/store/migrate.rs fills it again.
DROP TABLE message_index;
CREATE VIRTUAL TABLE message_index USING fts5 (
    words, singles, pairs,
    content = '', contentless_delete = 1, prefix = '1 2 3',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* Co'"
);

-- Conversations that began with a gap did not note their peer, whose name was never asked for.
INSERT OR IGNORE INTO user (user) SELECT peer FROM conversation WHERE peer IS NOT NULL;
