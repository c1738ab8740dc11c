-- What is known of a dead letter, and what its filters look for.
DROP FUNCTION IF EXISTS minos_commit;
ALTER TABLE minos_dead_letters
    ADD COLUMN kind text NOT NULL DEFAULT '',
    ADD COLUMN name text NOT NULL DEFAULT '',
    ADD COLUMN topic text NOT NULL DEFAULT '',
    ADD COLUMN version bigint,
    ADD COLUMN reason text NOT NULL DEFAULT 'failed',
    ADD COLUMN details text NOT NULL DEFAULT '{}',
    ADD COLUMN bytes bytea;
DROP INDEX minos_dead_letters_consumer_brief_idx;
CREATE INDEX ON minos_dead_letters (consumer, brief, version NULLS FIRST, place);

