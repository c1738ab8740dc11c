-- Commits many units in one call.
--
-- Units are numbered from one. Units that change one aggregate after each other have one number: one guard, one
-- outcome. An array that begins with a letter and an underscore is a column; those with one letter are one table: its
-- first column says to which unit (or to which row of another table) each row belongs. Two units with different
-- numbers share no row that decides (the caller sees to that), so each is decided alone.
--
-- A pass writes as it checks. If some unit cannot be committed, its code is kept (variables survive), all that the
-- pass did is rolled back, and the next pass leaves that unit out.
--
-- With `each`, every unit has a pass of its own, and one that raises is left out, too.
--
-- Joins are nested loops, so that no plan reads a table from end to end that was small once. Of two lists that would be
-- their product; so the lists are joined only if their lengths say that something is missing.
--
-- A table without a row is null. `now_epoch` is null if the caller cannot know it. What the rows of `g` are for is
-- said by the caller: they create, they change, they delete, they are only read.
CREATE FUNCTION minos_commit(
    each boolean, now_epoch bigint, creates boolean, changes boolean, deletes boolean, reads boolean,
    u_id uuid[], u_at timestamptz[], u_trace boolean[],
    i_u integer[], i_unit uuid[], i_consumer text[], i_message uuid[], i_status text[], i_payload text[],
    m_u integer[], m_unit uuid[], m_consumer text[], m_aggregate text[], m_stream uuid[], m_version bigint[], m_tail uuid[],
    m_reached bigint[], m_last uuid[],
    g_u integer[], g_aggregate text[], g_id uuid[], g_version bigint[], g_tail uuid[],
    g_reached bigint[], g_last uuid[], g_state text[], g_at timestamptz[],
    e_g integer[], e_at timestamptz[], e_version bigint[], e_id uuid[], e_name text[], e_payload text[], e_headers text[],
    c_g integer[], c_field text[], c_brief text[],
    o_u integer[], o_envelope text[], o_payload text[],
    s_u integer[], s_id uuid[], s_name text[], s_version bigint[], s_status text[], s_due timestamptz[],
    s_created timestamptz[], s_updated timestamptz[], s_body text[],
    h_s integer[], h_entry integer[], h_body text[],
    f_u integer[], f_id uuid[],
    t_u integer[], t_id uuid[], t_due timestamptz[], t_envelope text[], t_payload text[],
    v_u integer[], v_view text[], v_brief text[], v_key text[], v_body text[],
    r_u integer[], r_id uuid[], r_again boolean[],
    d_u integer[], d_id uuid[], d_consumer text[], d_key text[], d_brief text[], d_error text[], d_attempts bigint[],
    d_at timestamptz[], d_envelope text[], d_payload bytea[],
    d_kind text[], d_name text[], d_topic text[], d_version bigint[], d_reason text[], d_details text[], d_bytes bytea[],
    OUT xid bigint,
    -- 0 committed, 1 committed before, 2 duplicate, 3 out of order, 4 conflict, 5 claimed, 6 saga moved, 7 timer moved,
    -- 8 dead letter moved, 9 try again, 10 raised
    OUT code integer[],
    -- Which row of the table in question.
    OUT place integer[],
    OUT stands bigint[],
    OUT holder uuid[],
    OUT words text[],
    OUT more text[]
) LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
SET lock_timeout = '100ms'
AS $minos$
#variable_conflict use_column
DECLARE
    n CONSTANT integer := cardinality(u_id);
    lo integer := 1;
    hi integer := CASE WHEN each THEN 1 ELSE cardinality(u_id) END;
    bad boolean;
    r record;
    x record;
BEGIN
    xid := pg_current_xact_id()::text::bigint;
    code := array_fill(0, ARRAY[n]);
    place := array_fill(NULL::integer, ARRAY[n]);
    stands := array_fill(NULL::bigint, ARRAY[n]);
    holder := array_fill(NULL::uuid, ARRAY[n]);
    words := array_fill(NULL::text, ARRAY[n]);
    more := words;
    IF now_epoch IS NULL THEN
        SELECT m.epoch INTO now_epoch FROM minos_server m
        WHERE m.timeline = left(pg_walfile_name(pg_current_wal_lsn()), 8);
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the server is not the one that wrote last' USING ERRCODE = 'MN002';
        END IF;
    END IF;

    WHILE lo <= n LOOP
    BEGIN
        bad := false;

        IF true = ANY(u_trace) THEN
            DELETE FROM minos_units t WHERE t.id IN (
                SELECT o.id FROM minos_units o
                WHERE o.at < (SELECT max(w.at) - interval '1 day' FROM unnest(u_at) w(at))
                ORDER BY o.at LIMIT 1000 FOR UPDATE SKIP LOCKED
            );
            FOR r IN
                WITH w AS (
                    SELECT t.u, t.id, t.at FROM unnest(u_id, u_at, u_trace) WITH ORDINALITY t(id, at, trace, u)
                    WHERE t.trace AND t.u BETWEEN lo AND hi AND code[t.u] = 0
                ), made AS (
                    INSERT INTO minos_units (id, at) SELECT w.id, w.at FROM w ORDER BY w.id
                    ON CONFLICT DO NOTHING RETURNING id
                )
                SELECT w.u FROM w LEFT JOIN made USING (id) WHERE made.id IS NULL
            LOOP
                code[r.u] := 1;
                bad := true;
            END LOOP;
        END IF;

        IF cardinality(i_u) > 0 THEN
            FOR r IN
                WITH w AS (
                    SELECT t.* FROM unnest(i_u, i_unit, i_consumer, i_message, i_status, i_payload)
                        t(u, unit, consumer, message, status, payload)
                    WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0
                ), made AS (
                    INSERT INTO minos_inbox (consumer, message, unit, status, payload, at)
                    SELECT w.consumer, w.message, w.unit, w.status, w.payload, u_at[w.u] FROM w
                    ORDER BY w.consumer COLLATE "C", w.message
                    ON CONFLICT DO NOTHING RETURNING consumer, message
                )
                SELECT w.u, w.unit, w.consumer, w.message FROM w LEFT JOIN made USING (consumer, message)
                WHERE made.message IS NULL AND (SELECT count(*) FROM made) < (SELECT count(*) FROM w)
            LOOP
                SELECT t.unit, t.status, t.payload INTO x FROM minos_inbox t
                WHERE t.consumer = r.consumer AND t.message = r.message;
                code[r.u] := CASE WHEN x.unit IS NULL THEN 9 WHEN x.unit = r.unit THEN 1 ELSE 2 END;
                words[r.u] := x.status;
                more[r.u] := x.payload;
                bad := true;
            END LOOP;
        END IF;

        IF cardinality(m_u) > 0 THEN
            FOR r IN
                WITH w AS (
                    SELECT t.* FROM unnest(
                            m_u, m_unit, m_consumer, m_aggregate, m_stream, m_version, m_tail, m_reached, m_last
                        ) WITH ORDINALITY t(u, unit, consumer, aggregate, stream, version, tail, reached, last, place)
                    WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0
                ), held AS MATERIALIZED (
                    SELECT w.*, t.version AS has, t.tail AS ends
                    FROM (
                        SELECT * FROM w WHERE w.version IS NOT NULL
                        ORDER BY w.consumer COLLATE "C", w.aggregate COLLATE "C", w.stream
                    ) w, LATERAL (
                        SELECT t.version, t.tail FROM minos_marks t
                        WHERE t.consumer = w.consumer AND t.aggregate = w.aggregate AND t.stream = w.stream
                        FOR NO KEY UPDATE
                    ) t
                ), moved AS (
                    UPDATE minos_marks t SET version = h.reached, tail = h.last, unit = h.unit FROM held h
                    WHERE t.consumer = h.consumer AND t.aggregate = h.aggregate AND t.stream = h.stream
                        AND h.has = h.version AND h.ends = h.tail
                    RETURNING h.place
                ), made AS (
                    INSERT INTO minos_marks (consumer, aggregate, stream, version, tail, unit)
                    SELECT w.consumer, w.aggregate, w.stream, w.reached, w.last, w.unit FROM w
                    WHERE w.version IS NULL ORDER BY w.consumer COLLATE "C", w.aggregate COLLATE "C", w.stream
                    ON CONFLICT DO NOTHING RETURNING consumer, aggregate, stream
                )
                SELECT w.* FROM w LEFT JOIN moved ON moved.place = w.place
                LEFT JOIN made ON made.consumer = w.consumer AND made.aggregate = w.aggregate
                    AND made.stream = w.stream
                WHERE moved.place IS NULL AND made.stream IS NULL
                    AND (SELECT count(*) FROM moved) + (SELECT count(*) FROM made) < (SELECT count(*) FROM w)
                ORDER BY w.place
            LOOP
                SELECT t.version, t.tail, t.unit INTO x FROM minos_marks t
                WHERE t.consumer = r.consumer AND t.aggregate = r.aggregate AND t.stream = r.stream;
                IF code[r.u] = 0 THEN
                    code[r.u] := CASE
                        WHEN x.unit = r.unit AND x.version = r.reached AND x.tail = r.last THEN 1
                        -- It stands where it should: it came there after this statement began.
                        WHEN x.version IS NOT DISTINCT FROM r.version AND x.tail IS NOT DISTINCT FROM r.tail THEN 9
                        ELSE 3 END;
                    place[r.u] := r.place;
                    stands[r.u] := coalesce(x.version, 0);
                END IF;
                bad := true;
            END LOOP;
        END IF;

        IF cardinality(g_u) > 0 THEN
            IF reads THEN
                -- Reads share their lock; one order for all of them.
                FOR r IN
                    SELECT t.aggregate, t.id, bool_or(t.reached IS NOT NULL) AS writes
                    FROM unnest(g_u, g_aggregate, g_id, g_reached) t(u, aggregate, id, reached)
                    WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0
                    GROUP BY 1, 2 ORDER BY t.aggregate COLLATE "C", t.id
                LOOP
                    IF r.writes THEN
                        PERFORM FROM minos_heads t WHERE t.aggregate = r.aggregate AND t.id = r.id
                        FOR NO KEY UPDATE;
                    ELSE
                        PERFORM FROM minos_heads t WHERE t.aggregate = r.aggregate AND t.id = r.id FOR SHARE;
                    END IF;
                END LOOP;
                FOR r IN
                    SELECT t.u, t.place, h.version AS actual
                    FROM unnest(g_u, g_aggregate, g_id, g_version, g_tail, g_reached)
                        WITH ORDINALITY t(u, aggregate, id, version, tail, reached, place)
                    LEFT JOIN minos_heads h ON h.aggregate = t.aggregate AND h.id = t.id
                    WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0 AND t.reached IS NULL
                        AND (h.version IS DISTINCT FROM t.version OR h.tail IS DISTINCT FROM t.tail)
                    ORDER BY t.place
                LOOP
                    IF code[r.u] = 0 THEN
                        code[r.u] := 4;
                        place[r.u] := r.place;
                        stands[r.u] := coalesce(r.actual, 0);
                    END IF;
                    bad := true;
                END LOOP;
            END IF;

            -- What changes: locked in order, compared, and written. What does not come back is looked at.
            IF changes THEN
                FOR r IN
                    WITH w AS (
                        SELECT t.* FROM unnest(g_u, g_aggregate, g_id, g_version, g_tail, g_reached, g_last, g_state, g_at)
                            WITH ORDINALITY t(u, aggregate, id, version, tail, reached, last, state, at, place)
                        WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0
                            AND t.version IS NOT NULL AND t.reached IS NOT NULL
                    ), held AS MATERIALIZED (
                        SELECT w.*, t.version AS has, t.version = w.version AND t.tail = w.tail AS same, t.younger
                        FROM (SELECT * FROM w ORDER BY w.aggregate COLLATE "C", w.id) w LEFT JOIN LATERAL (
                            SELECT t.version, t.tail, t.epoch = now_epoch AND t.last_xid >= xid AS younger
                            FROM minos_heads t WHERE t.aggregate = w.aggregate AND t.id = w.id FOR NO KEY UPDATE
                        ) t ON true
                    ), moved AS (
                        UPDATE minos_heads t SET version = h.reached, tail = h.last, epoch = now_epoch, last_xid = xid,
                            state = h.state, updated_at = h.at
                        FROM held h WHERE t.aggregate = h.aggregate AND t.id = h.id AND h.same AND NOT h.younger
                        RETURNING 1
                    )
                    SELECT h.u, h.place, h.has AS actual, h.same FROM held h
                    WHERE h.same IS NOT TRUE OR h.younger
                        OR (SELECT count(*) FROM moved)
                            < (SELECT count(*) FROM held g WHERE g.same AND NOT g.younger)
                    ORDER BY h.place
                LOOP
                    IF code[r.u] = 0 THEN
                        -- The version is right, but a younger transaction wrote it: in the log this one would stand
                        -- before.
                        code[r.u] := CASE WHEN r.same THEN 9 ELSE 4 END;
                        place[r.u] := r.place;
                        stands[r.u] := coalesce(r.actual, 0);
                    END IF;
                    bad := true;
                END LOOP;
            END IF;

            -- What is new, and what must stay absent: a row that nobody else can make until this transaction ends.
            IF creates OR reads THEN
                FOR r IN
                    WITH w AS (
                        SELECT t.* FROM unnest(g_u, g_aggregate, g_id, g_version, g_reached, g_last, g_state, g_at)
                            WITH ORDINALITY t(u, aggregate, id, version, reached, last, state, at, place)
                        WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0 AND t.version IS NULL
                    ), made AS (
                        INSERT INTO minos_heads
                            (aggregate, id, version, tail, epoch, last_xid, state, created_at, updated_at)
                        SELECT DISTINCT ON (w.aggregate COLLATE "C", w.id)
                            w.aggregate, w.id, coalesce(w.reached, 0), coalesce(w.last, u_id[w.u]), now_epoch, xid,
                            w.state,
                            u_at[w.u], w.at
                        FROM w ORDER BY w.aggregate COLLATE "C", w.id, w.reached
                        ON CONFLICT DO NOTHING RETURNING aggregate, id
                    )
                    SELECT w.* FROM w LEFT JOIN made ON made.aggregate = w.aggregate AND made.id = w.id
                    WHERE made.id IS NULL AND (SELECT count(*) FROM made) < (SELECT count(*) FROM w)
                    ORDER BY w.place
                LOOP
                    SELECT t.version INTO x FROM minos_heads t WHERE t.aggregate = r.aggregate AND t.id = r.id;
                    IF code[r.u] = 0 THEN
                        code[r.u] := CASE WHEN FOUND THEN 4 ELSE 9 END;
                        place[r.u] := r.place;
                        stands[r.u] := x.version;
                    END IF;
                    bad := true;
                END LOOP;
            END IF;

            IF deletes OR cardinality(c_g) > 0 THEN
                DELETE FROM minos_claims t USING (
                    SELECT g_u[w.g] AS u, g_aggregate[w.g] AS aggregate, g_id[w.g] AS id, w.field
                    FROM unnest(c_g, c_field) w(g, field)
                    UNION ALL
                    SELECT w.u, w.aggregate, w.id, NULL
                    FROM unnest(g_u, g_aggregate, g_id, g_reached, g_state) w(u, aggregate, id, reached, state)
                    WHERE w.reached IS NOT NULL AND w.state IS NULL
                ) w
                WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0
                    AND t.aggregate = w.aggregate AND t.id = w.id AND (w.field IS NULL OR t.field = w.field);
                FOR r IN
                    WITH w AS (
                        SELECT g_u[t.g] AS u, g_aggregate[t.g] AS aggregate, g_id[t.g] AS id, t.field, t.brief, t.place
                        FROM unnest(c_g, c_field, c_brief) WITH ORDINALITY t(g, field, brief, place)
                        WHERE g_u[t.g] BETWEEN lo AND hi AND code[g_u[t.g]] = 0 AND t.brief IS NOT NULL
                            AND g_state[t.g] IS NOT NULL
                    ), made AS (
                        INSERT INTO minos_claims (aggregate, field, brief, id)
                        SELECT w.aggregate, w.field, w.brief, w.id FROM w
                        ORDER BY w.aggregate COLLATE "C", w.field COLLATE "C", w.brief COLLATE "C", w.place
                        ON CONFLICT DO NOTHING RETURNING aggregate, field, brief, id
                    )
                    SELECT w.* FROM w LEFT JOIN made ON made.aggregate = w.aggregate AND made.field = w.field
                        AND made.brief = w.brief AND made.id = w.id
                    WHERE made.id IS NULL AND (SELECT count(*) FROM made) < (SELECT count(*) FROM w)
                    ORDER BY w.place
                LOOP
                    SELECT t.id INTO x FROM minos_claims t
                    WHERE t.aggregate = r.aggregate AND t.field = r.field AND t.brief = r.brief;
                    IF code[r.u] = 0 THEN
                        code[r.u] := CASE WHEN FOUND THEN 5 ELSE 9 END;
                        place[r.u] := r.place;
                        holder[r.u] := x.id;
                    END IF;
                    bad := true;
                END LOOP;
            END IF;
        END IF;

        IF cardinality(s_u) > 0 THEN
            FOR r IN
                WITH w AS (
                    SELECT t.* FROM unnest(s_u, s_id, s_name, s_version, s_status, s_due, s_created, s_updated, s_body)
                        t(u, id, name, version, status, due, created, updated, body)
                    WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0
                ), held AS MATERIALIZED (
                    SELECT w.*, t.version AS has FROM (SELECT * FROM w WHERE w.version <> 1 ORDER BY w.id) w, LATERAL (
                        SELECT t.version FROM minos_sagas t WHERE t.id = w.id FOR NO KEY UPDATE
                    ) t
                ), moved AS (
                    UPDATE minos_sagas t SET name = h.name, version = h.version, status = h.status, due_at = h.due,
                        updated_at = h.updated, body = h.body
                    FROM held h WHERE t.id = h.id AND h.has = h.version - 1 RETURNING t.id
                ), made AS (
                    INSERT INTO minos_sagas (id, name, version, status, due_at, created_at, updated_at, body)
                    SELECT w.id, w.name, w.version, w.status, w.due, w.created, w.updated, w.body FROM w
                    WHERE w.version = 1 ORDER BY w.id
                    ON CONFLICT DO NOTHING RETURNING id
                )
                SELECT w.u, w.id FROM w LEFT JOIN moved ON moved.id = w.id LEFT JOIN made ON made.id = w.id
                WHERE moved.id IS NULL AND made.id IS NULL
                    AND (SELECT count(*) FROM moved) + (SELECT count(*) FROM made) < (SELECT count(*) FROM w)
            LOOP
                IF code[r.u] = 0 THEN
                    code[r.u] := 6;
                    holder[r.u] := r.id;
                END IF;
                bad := true;
            END LOOP;
        END IF;

        IF cardinality(f_u) > 0 THEN
            FOR r IN
                WITH w AS (
                    SELECT t.* FROM unnest(f_u, f_id) t(u, id) WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0
                ), gone AS (
                    DELETE FROM minos_timers t USING w WHERE t.id = w.id RETURNING t.id
                )
                SELECT w.u, w.id FROM w LEFT JOIN gone USING (id) WHERE gone.id IS NULL
            LOOP
                IF code[r.u] = 0 THEN
                    code[r.u] := 7;
                    holder[r.u] := r.id;
                END IF;
                bad := true;
            END LOOP;
        END IF;

        IF cardinality(r_u) > 0 THEN
            FOR r IN
                WITH w AS (
                    SELECT t.* FROM unnest(r_u, r_id) t(u, id) WHERE t.u BETWEEN lo AND hi AND code[t.u] = 0
                ), held AS MATERIALIZED (
                    SELECT t.id FROM w JOIN minos_dead_letters t ON t.id = w.id ORDER BY t.id FOR UPDATE OF t
                )
                SELECT w.u, w.id FROM w LEFT JOIN held USING (id) WHERE held.id IS NULL
            LOOP
                IF code[r.u] = 0 THEN
                    code[r.u] := 8;
                    holder[r.u] := r.id;
                END IF;
                bad := true;
            END LOOP;
        END IF;

        IF bad THEN
            RAISE EXCEPTION USING ERRCODE = 'MN001';
        END IF;

        -- Nothing below can refuse a unit.
        IF cardinality(g_u) > 0 THEN
            INSERT INTO minos_events (epoch, xid, id, aggregate, stream, version, name, payload, headers, at)
            SELECT now_epoch, xid, w.id, g_aggregate[w.g], g_id[w.g], w.version, w.name, w.payload, w.headers, w.at
            FROM unnest(e_g, e_at, e_version, e_id, e_name, e_payload, e_headers)
                WITH ORDINALITY w(g, at, version, id, name, payload, headers, place)
            WHERE g_u[w.g] BETWEEN lo AND hi AND code[g_u[w.g]] = 0 ORDER BY w.place;
            IF reads THEN
                DELETE FROM minos_heads t
                USING unnest(g_u, g_aggregate, g_id, g_version, g_reached) w(u, aggregate, id, version, reached)
                WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0 AND w.version IS NULL AND w.reached IS NULL
                    AND t.aggregate = w.aggregate AND t.id = w.id AND t.version = 0;
            END IF;
        END IF;
        IF cardinality(o_u) > 0 THEN
            INSERT INTO minos_outbox (epoch, xid, envelope, payload)
            SELECT now_epoch, xid, w.envelope, w.payload
            FROM unnest(o_u, o_envelope, o_payload) WITH ORDINALITY w(u, envelope, payload, place)
            WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0 ORDER BY w.place;
        END IF;
        IF cardinality(h_s) > 0 THEN
            INSERT INTO minos_saga_history (saga, version, entry, body)
            SELECT s_id[w.s], s_version[w.s], w.entry, w.body FROM unnest(h_s, h_entry, h_body) w(s, entry, body)
            WHERE s_u[w.s] BETWEEN lo AND hi AND code[s_u[w.s]] = 0;
        END IF;
        IF cardinality(t_u) > 0 THEN
            INSERT INTO minos_timers (id, due_at, envelope, payload)
            SELECT DISTINCT ON (w.id) w.id, w.due, w.envelope, w.payload
            FROM unnest(t_u, t_id, t_due, t_envelope, t_payload)
                WITH ORDINALITY w(u, id, due, envelope, payload, place)
            WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0 ORDER BY w.id, w.place DESC
            ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, envelope = excluded.envelope,
                payload = excluded.payload;
        END IF;
        IF cardinality(v_u) > 0 THEN
            -- The last word on a row counts. Rows to be removed are written, too: that locks them in order.
            INSERT INTO minos_views (view, brief, key, body)
            SELECT DISTINCT ON (w.view COLLATE "C", w.brief COLLATE "C") w.view, w.brief, w.key, coalesce(w.body, '')
            FROM unnest(v_u, v_view, v_brief, v_key, v_body) WITH ORDINALITY w(u, view, brief, key, body, place)
            WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0
            ORDER BY w.view COLLATE "C", w.brief COLLATE "C", w.place DESC
            ON CONFLICT (view, brief) DO UPDATE SET body = excluded.body;
            IF EXISTS (SELECT FROM unnest(v_body) w(body) WHERE w.body IS NULL) THEN
                DELETE FROM minos_views t USING unnest(v_u, v_view, v_brief) w(u, view, brief)
                WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0
                    AND t.view = w.view AND t.brief = w.brief AND t.body = '';
            END IF;
        END IF;
        IF cardinality(r_u) > 0 THEN
            DELETE FROM minos_dead_letters t USING unnest(r_u, r_id, r_again) w(u, id, again)
            WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0 AND NOT w.again AND t.id = w.id;
        END IF;
        IF cardinality(d_u) > 0 THEN
            INSERT INTO minos_dead_letters (
                id, consumer, key, brief, error, attempts, at, envelope, payload,
                kind, name, topic, version, reason, details, bytes
            )
            SELECT w.id, w.consumer, w.key, w.brief, w.error, w.attempts, w.at, w.envelope, w.payload,
                w.kind, w.name, w.topic, w.version, w.reason, w.details, w.bytes
            FROM unnest(
                d_u, d_id, d_consumer, d_key, d_brief, d_error, d_attempts, d_at, d_envelope, d_payload,
                d_kind, d_name, d_topic, d_version, d_reason, d_details, d_bytes
            ) WITH ORDINALITY w(
                u, id, consumer, key, brief, error, attempts, at, envelope, payload,
                kind, name, topic, version, reason, details, bytes, place
            )
            WHERE w.u BETWEEN lo AND hi AND code[w.u] = 0 ORDER BY w.place
            ON CONFLICT (id) DO UPDATE SET consumer = excluded.consumer, key = excluded.key, brief = excluded.brief,
                error = excluded.error, attempts = excluded.attempts, at = excluded.at,
                envelope = excluded.envelope, payload = excluded.payload, kind = excluded.kind,
                name = excluded.name, topic = excluded.topic, version = excluded.version,
                reason = excluded.reason, details = excluded.details, bytes = excluded.bytes;
        END IF;

        lo := hi + 1;
        hi := CASE WHEN each THEN lo ELSE n END;
    EXCEPTION
        WHEN SQLSTATE 'MN001' THEN
            -- A unit that is in the log already was refused because others have moved on.
            FOR r IN
                SELECT w.u FROM unnest(g_u, g_aggregate, g_id, g_reached, g_last)
                    w(u, aggregate, id, reached, last)
                JOIN minos_events t ON t.aggregate = w.aggregate AND t.stream = w.id AND t.version = w.reached
                    AND t.id = w.last
                WHERE w.u BETWEEN lo AND hi AND code[w.u] > 1
            LOOP
                code[r.u] := 1;
            END LOOP;
            IF each THEN
                lo := lo + 1;
                hi := lo;
            ELSIF NOT 0 = ANY(code) THEN
                lo := n + 1;
            END IF;
        WHEN OTHERS THEN
            IF NOT each THEN
                RAISE;
            END IF;
            code[lo] := 10;
            words[lo] := SQLSTATE;
            more[lo] := SQLERRM;
            lo := lo + 1;
            hi := lo;
    END;
    END LOOP;
END
$minos$;
