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
-- Those of an older version say it in their text, and the key of an event had not the name of its aggregate.
UPDATE minos_dead_letters SET
    kind = envelope::jsonb->>'kind',
    name = envelope::jsonb->>'name',
    topic = envelope::jsonb->>'topic',
    version = (envelope::jsonb->'headers'->>'version')::bigint,
    reason = CASE
        WHEN consumer = 'relay' THEN 'unpublished'
        WHEN error LIKE '%the log was forked%' THEN 'fork'
        WHEN error LIKE '%are missing%' THEN 'gap'
        WHEN error LIKE '%it queues behind%' THEN 'behind'
        ELSE 'failed'
    END;
UPDATE minos_dead_letters SET
    key = topic || '/' || key,
    brief = topic || '/' || key
    WHERE version IS NOT NULL;
-- What is old is looked for.
CREATE INDEX ON minos_inbox (consumer, at);
CREATE INDEX ON minos_sagas (status, updated_at) WHERE due_at IS NULL;

