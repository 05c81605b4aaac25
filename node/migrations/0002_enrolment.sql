-- Passwords apart from users: who is enrolled on another word has none.
CREATE TABLE password (
    user INTEGER PRIMARY KEY REFERENCES user,
    hash TEXT NOT NULL
) STRICT;
INSERT INTO password (user, hash) SELECT user, password_hash FROM user;
ALTER TABLE user DROP COLUMN password_hash;

-- Whom the app's tokens call what.
CREATE TABLE subject (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user INTEGER NOT NULL REFERENCES user,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
