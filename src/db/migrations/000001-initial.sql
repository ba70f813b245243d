-- One row: what this database is, and how far its writer has read.
CREATE TABLE store (
  one           INTEGER PRIMARY KEY CHECK (one = 1),
  database_id   TEXT    NOT NULL, -- random, the same in every copy
  epoch         TEXT    NOT NULL, -- names one history; a restored backup gets a new one
  token_secret  TEXT    NOT NULL, -- signs tokens where TOKEN_SECRET is not set
  generation    INTEGER NOT NULL DEFAULT 0, -- the fence: grows with every writer, checked in every transaction
  log_position  TEXT, -- last command log entry that is in this database
  canary        INTEGER NOT NULL DEFAULT 0, -- grows with every transaction; idle, one that does nothing else proves that a commit is possible
  scrub_pending INTEGER NOT NULL DEFAULT 0  -- clear-text passwords were replaced, but the file not yet rewritten
);

-- Column names of users and messages are a contract with older programs that read this file.
CREATE TABLE users (
  user_id       TEXT    PRIMARY KEY NOT NULL,
  password      TEXT    NOT NULL, -- argon2id, PHC string format; empty: nobody can log in
  token_version INTEGER NOT NULL DEFAULT 0 -- tokens made with any other are ended
) WITHOUT ROWID;

CREATE TABLE conversations (
  id     INTEGER PRIMARY KEY,
  user_a TEXT NOT NULL,
  user_b TEXT NOT NULL,
  UNIQUE (user_a, user_b),
  CHECK (user_a <= user_b)
);

CREATE TABLE members (
  user_id         TEXT    NOT NULL,
  conversation_id INTEGER NOT NULL,
  peer            TEXT    NOT NULL, -- the other user; oneself in a conversation with oneself
  read_id         INTEGER NOT NULL DEFAULT 0, -- everything up to here has been read by user_id
  PRIMARY KEY (user_id, conversation_id)
) WITHOUT ROWID;

CREATE TABLE messages (
  id              INTEGER PRIMARY KEY, -- ascends in commit order
  conversation_id INTEGER  NOT NULL,
  sender          TEXT     NOT NULL,
  receiver        TEXT     NOT NULL,
  message         TEXT     NOT NULL,
  timestamp       DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  client_id       TEXT -- null in messages older than this schema
);

-- The rowid is part of every index: this one is (conversation, id). It serves both participants.
CREATE INDEX messages_by_conversation ON messages (conversation_id);
-- client_id first: ids that ascend in time then touch the last page of the index only.
CREATE UNIQUE INDEX messages_by_client_id ON messages (client_id, sender) WHERE client_id IS NOT NULL;

CREATE TABLE ended_tokens (
  token_id   TEXT    PRIMARY KEY NOT NULL,
  expires_at INTEGER NOT NULL -- Unix seconds; the row can go after that
) WITHOUT ROWID;
