-- Whom a telephone number belongs to. Of the number, only a keyed hash.
CREATE TABLE phone (
    number BLOB PRIMARY KEY CHECK (length(number) = 32),
    user INTEGER NOT NULL UNIQUE REFERENCES user
) STRICT, WITHOUT ROWID;

-- What guards an account when its number is enrolled again, and the guesses at it since the last right one.
CREATE TABLE pin (
    user INTEGER PRIMARY KEY REFERENCES user,
    hash TEXT NOT NULL,
    wrong INTEGER NOT NULL,
    next_at INTEGER NOT NULL
) STRICT;

-- The latest code to a number, by keyed hashes; how many were sent since when, and the device that it enrolled.
CREATE TABLE phone_code (
    number BLOB PRIMARY KEY CHECK (length(number) = 32),
    challenge BLOB NOT NULL UNIQUE CHECK (length(challenge) = 16),
    code BLOB NOT NULL CHECK (length(code) = 32),
    expires_at INTEGER NOT NULL,
    guesses_left INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    since INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    device BLOB
) STRICT, WITHOUT ROWID;
