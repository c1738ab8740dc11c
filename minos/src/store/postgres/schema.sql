-- Names that begin with minos_ are put into the service's own schema when this is applied; all other names there are
-- the user's.

-- At most one row: what is known of the server that wrote the rows.
CREATE TABLE minos_server (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL,
    system text NOT NULL,
    timeline text NOT NULL,
    held boolean NOT NULL DEFAULT false
);

CREATE TABLE minos_heads (
    aggregate text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    version bigint NOT NULL,
    tail uuid NOT NULL,
    -- Which transaction wrote it last; the number means something within its epoch only.
    epoch bigint NOT NULL,
    last_xid bigint NOT NULL,
    state text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (aggregate, id)
) WITH (fillfactor = 70);

-- The one order is (epoch, xid, place): xid is the transaction, place the row.
CREATE TABLE minos_events (
    epoch bigint NOT NULL,
    xid bigint NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
    id uuid NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    stream uuid NOT NULL,
    version bigint NOT NULL,
    name text NOT NULL,
    payload text NOT NULL,
    headers text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (aggregate, stream, version)
);
CREATE INDEX ON minos_events (epoch, xid, place);

CREATE TABLE minos_inbox (
    consumer text COLLATE "C" NOT NULL,
    message uuid NOT NULL,
    unit uuid NOT NULL,
    status text,
    payload text,
    at timestamptz NOT NULL,
    PRIMARY KEY (consumer, message)
);

CREATE TABLE minos_marks (
    consumer text COLLATE "C" NOT NULL,
    aggregate text COLLATE "C" NOT NULL,
    stream uuid NOT NULL,
    version bigint NOT NULL,
    tail uuid NOT NULL,
    unit uuid NOT NULL,
    PRIMARY KEY (consumer, aggregate, stream)
) WITH (fillfactor = 70);

CREATE TABLE minos_outbox (
    epoch bigint NOT NULL,
    xid bigint NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
    envelope text NOT NULL,
    payload text NOT NULL,
    PRIMARY KEY (epoch, xid, place)
);

CREATE TABLE minos_cursors (
    name text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    xid bigint NOT NULL,
    place bigint NOT NULL,
    fence bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE minos_sagas (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    version bigint NOT NULL,
    status text NOT NULL,
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    body text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX ON minos_sagas (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX ON minos_sagas (created_at, id);

CREATE TABLE minos_saga_history (
    saga uuid NOT NULL,
    version bigint NOT NULL,
    entry integer NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (saga, version, entry)
);

CREATE TABLE minos_timers (
    id uuid PRIMARY KEY,
    due_at timestamptz NOT NULL,
    envelope text NOT NULL,
    payload text NOT NULL
);
CREATE INDEX ON minos_timers (due_at, id);

-- An index holds no long text: `brief` is the key, or the beginning of a long one with a digest; then `key` has it all.
CREATE TABLE minos_views (
    view text COLLATE "C" NOT NULL,
    brief text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    body text NOT NULL,
    PRIMARY KEY (view, brief)
) WITH (fillfactor = 80);

CREATE TABLE minos_claims (
    aggregate text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    brief text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (aggregate, field, brief)
);
CREATE INDEX ON minos_claims (aggregate, id);

-- What could not be handled may be anything, so its payload is bytes.
CREATE TABLE minos_dead_letters (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    consumer text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    brief text COLLATE "C" NOT NULL,
    error text NOT NULL,
    attempts bigint NOT NULL,
    at timestamptz NOT NULL,
    envelope text NOT NULL,
    payload bytea NOT NULL
);
CREATE INDEX ON minos_dead_letters (consumer, brief);

-- Units that leave no other trace; kept for a day, so that one whose outcome was unknown is known again.
CREATE TABLE minos_units (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL
);
CREATE INDEX ON minos_units (at);
