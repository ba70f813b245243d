-- The newest id that a message was ever given. Somebody may delete the newest messages: their ids are cursors of clients, and read
-- markers, and must not become another message's.
ALTER TABLE store ADD COLUMN head INTEGER NOT NULL DEFAULT 0;
