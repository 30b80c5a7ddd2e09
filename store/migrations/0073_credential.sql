-- The secret that an upstream is sent, sealed: the definition says in which header.
ALTER TABLE upstream ADD COLUMN sealed BYTEA;
