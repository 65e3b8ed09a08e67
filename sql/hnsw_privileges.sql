--
-- Who may see what: functions that look into an index, row-level security,
-- views, columns; what the extension's functions and script may do
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers
CREATE ROLE regress_vx_owner;
CREATE ROLE regress_vx_member;
CREATE ROLE regress_vx_reader;
CREATE ROLE regress_vx_tenant;
GRANT regress_vx_owner TO regress_vx_member;
GRANT pg_read_all_data TO regress_vx_reader;
CREATE FUNCTION pg_temp.try_as(name text, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	PERFORM set_config('role', name, true);
	answer := pg_temp.try(command);
	RESET ROLE;
	RETURN answer;
END $$;

CREATE TABLE secrets (id int PRIMARY KEY, tenant int, public_note text, v vector(8));
INSERT INTO secrets SELECT i, CASE WHEN i = 77 THEN 1 WHEN i % 100 = 3 THEN 100 WHEN i % 10 = 0 THEN 10 ELSE 0 END, 'note ' || i, pg_temp.vec(i, 8)
	FROM generate_series(1, 4000) i;
CREATE INDEX secrets_v ON secrets USING hnsw (v);
ALTER TABLE secrets OWNER TO regress_vx_owner;
GRANT SELECT ON secrets TO regress_vx_tenant;

-- what looks into an index is for its owner and who may read everything; the
-- right to read the table is not enough, as rows may be hidden
SELECT role, f, pg_temp.try_as('regress_vx_' || role, 'SELECT * FROM ' || f) FROM unnest('{owner,member,reader,tenant}'::text[]) role,
	unnest('{vectorx_index_info(''secrets_v''),"vectorx_recall(''secrets_v'', 5, 5)",vectorx_index_check(''secrets_v''),"vectorx_index_check(''secrets_v'', false)"}'::text[]) f;
-- a role without rights is not told what kind of thing it is, either
SELECT o, f, pg_temp.try_as('regress_vx_tenant', format('SELECT * FROM %s(%L)', f, o)) FROM
	unnest('{pg_class_oid_index,pg_authid,secrets}'::text[]) o, unnest('{vectorx_index_info,vectorx_recall,vectorx_index_check}'::text[]) f;
-- numbers that are no object's
SELECT o, f, pg_temp.try(format('SELECT * FROM %s(%s)', f, o)) AS superuser, pg_temp.try_as('regress_vx_tenant', format('SELECT * FROM %s(%s)', f, o)) AS tenant
	FROM unnest('{0,1,4294967295}'::text[]) o, unnest('{vectorx_index_info,vectorx_recall,vectorx_index_check}'::text[]) f;

-- row-level security: a search returns k of the rows that the role may see
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON secrets USING (tenant = current_setting('vx.tenant')::int);
CREATE FUNCTION pg_temp.search_as_tenant(tenant int, k int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT id, v <-> pg_temp.vec(100000 + %s, 8) AS d FROM secrets ORDER BY v <-> pg_temp.vec(100000 + %1$s, 8) LIMIT %s', tenant, k);
	indexed record;
	scanned record;
	others int;
BEGIN
	PERFORM set_config('vx.tenant', tenant::text, false);
	SET ROLE regress_vx_tenant;
	indexed := pg_temp.answer(query, true);
	scanned := pg_temp.answer(query, false);
	RESET ROLE;
	SELECT count(*) INTO others FROM secrets s WHERE id = ANY (indexed.ids) AND s.tenant <> search_as_tenant.tenant;
	RETURN format('%s rows%s%s%s', cardinality(indexed.ids),
		CASE WHEN cardinality(indexed.ids) <> cardinality(scanned.ids) THEN ' instead of ' || cardinality(scanned.ids) END,
		CASE WHEN others > 0 THEN ', ' || others || ' of other tenants' END,
		CASE WHEN indexed.ds[1] > scanned.ds[1] + 1e-5 THEN ', not the nearest' END);
END $$;
SELECT pg_temp.search_as_tenant(10, k), pg_temp.search_as_tenant(100, k), pg_temp.search_as_tenant(1, k), pg_temp.search_as_tenant(5, k)
	FROM unnest('{1,5,50}'::int[]) k;
SELECT pg_temp.search_as_tenant(100, 1000);
-- with the column that the policy is about as a filter column of the index
DROP INDEX secrets_v;
CREATE INDEX secrets_filter ON secrets USING hnsw (v, tenant);
SELECT pg_temp.search_as_tenant(10, k), pg_temp.search_as_tenant(100, k), pg_temp.search_as_tenant(1, k), pg_temp.search_as_tenant(5, k)
	FROM unnest('{1,5,50}'::int[]) k;
SET vx.tenant = 10;
SET ROLE regress_vx_tenant;
SELECT pg_temp.use_index(true);
EXPLAIN (COSTS OFF) SELECT id FROM secrets ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3;
-- the role's own conditions narrow it, and cannot widen it
SELECT count(*), bool_and(tenant = 10) FROM (SELECT tenant FROM secrets WHERE tenant = 100 OR tenant < 50 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 30) s;
SELECT count(*) FROM (SELECT tenant FROM secrets WHERE tenant = 100 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 30) s;
RESET ROLE;
DROP INDEX secrets_filter;
CREATE INDEX secrets_v ON secrets USING hnsw (v);

-- the filter is applied to what the index returns; what leaks is not asked before
SET vx.tenant = 1;
SET ROLE regress_vx_tenant;
SELECT pg_temp.use_index(true);
EXPLAIN (COSTS OFF) SELECT id FROM secrets ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3;
CREATE FUNCTION pg_temp.leak(note text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE INFO 'saw %', note; RETURN true; END $$;
SELECT id FROM secrets WHERE pg_temp.leak(public_note) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3;
SELECT id FROM secrets WHERE v <-> '[1,2]' < 0 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3;	-- tells dimensions, no values
RESET ROLE;
-- the owner is not restricted unless he is forced
SELECT count(*) FROM (SELECT id FROM secrets ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 50) s;
ALTER TABLE secrets FORCE ROW LEVEL SECURITY;
SET ROLE regress_vx_owner;
SELECT count(*) FROM (SELECT id FROM secrets ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 50) s;
RESET ROLE;
ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY;
SELECT pg_temp.use_index(NULL);

-- views: as the view's owner, as the invoker, and with a barrier
ALTER TABLE secrets DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON secrets FROM regress_vx_tenant;
CREATE VIEW plain AS SELECT id, public_note, v FROM secrets WHERE tenant = 100;
CREATE VIEW invoker WITH (security_invoker) AS SELECT id, public_note, v FROM secrets WHERE tenant = 100;
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, public_note, v FROM secrets WHERE tenant = 100;
ALTER VIEW plain OWNER TO regress_vx_owner;
ALTER VIEW barrier OWNER TO regress_vx_owner;
GRANT SELECT ON plain, invoker, barrier TO regress_vx_tenant;
SET ROLE regress_vx_tenant;
SELECT pg_temp.use_index(true);
SELECT count(*) FROM (SELECT id FROM plain ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 30) s;
SELECT strategy = 'flat' OR nodes_visited > 100 AS by_index FROM vectorx_last_scan();
SELECT count(*) FROM (SELECT id FROM invoker ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 30) s;
SELECT count(*) FROM (SELECT id FROM barrier ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 30) s;
SELECT id FROM barrier WHERE pg_temp.leak(public_note) AND id < 200 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 30;
RESET ROLE;
-- columns
GRANT SELECT (id) ON secrets TO regress_vx_tenant;
SELECT pg_temp.try_as('regress_vx_tenant', $$SELECT id FROM secrets ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3$$);
GRANT SELECT (v) ON secrets TO regress_vx_tenant;
SELECT pg_temp.try_as('regress_vx_tenant', $$SELECT id FROM secrets ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3$$),
	pg_temp.try_as('regress_vx_tenant', $$SELECT public_note FROM secrets ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3$$),
	pg_temp.try_as('regress_vx_tenant', $$INSERT INTO secrets VALUES (0, 0, '', '[1,2,3,4,5,6,7,8]')$$),
	left(pg_temp.try_as('regress_vx_tenant', $$REINDEX INDEX secrets_v$$), 5) AS reindex,
	pg_temp.try_as('regress_vx_tenant', $$DROP INDEX secrets_v$$),
	pg_temp.try_as('regress_vx_tenant', $$ALTER INDEX secrets_v SET (m = 5)$$),
	pg_temp.try_as('regress_vx_tenant', $$CREATE INDEX ON secrets USING hnsw (v)$$);
SELECT pg_temp.use_index(NULL);
-- anybody may set what only makes a search of his own slower
SELECT name, context FROM pg_settings WHERE name ~ '^(hnsw|vectorx)\.' AND context <> 'user';

-- what the messages of errors say of rows: dimensions
CREATE TABLE any_dims (id int, v vector);
INSERT INTO any_dims VALUES (1, '[1.25,2.5,3.75]'), (2, '[4.25,5.5]');
CREATE INDEX ON any_dims USING hnsw ((v::vector(3)));
CREATE INDEX ON any_dims USING hnsw ((v::vector(3))) WHERE id = 1;
INSERT INTO any_dims VALUES (1, '[4.25,5.5]');
SELECT id FROM any_dims WHERE v <-> '[1,2,3]' < 0;
SELECT sum(v) FROM any_dims;

-- no function may be asked about rows before those are filtered out that the
-- role must not see, and none acts for somebody else
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND extname = 'vectorx' WHERE proleakproof OR prosecdef;

-- the script: nothing that could take or replace what somebody has put in its way
SELECT setting || '/extension/vectorx--' || extversion || '.sql' AS script FROM pg_config, pg_extension WHERE name = 'SHAREDIR' AND extname = 'vectorx' \gset
CREATE TEMP TABLE script AS SELECT trim(regexp_replace(line, '--.*', '')) AS line FROM regexp_split_to_table(pg_read_file(:'script'), '\n') line;
SELECT count(*) > 300 AS lines FROM script WHERE line <> '';
SELECT line FROM script WHERE line ~* '(or +replace|if +not +exists|extschema|search_path|\mexecute\M|\mdo\M|security +definer|\mset\M|\mselect\M|\minsert\M|\mgrant\M)';
-- what somebody has put where the extension is to go is in its way
BEGIN;
CREATE SCHEMA planted;
CREATE TYPE planted.vector;
DROP EXTENSION vectorx CASCADE;
SELECT pg_temp.try('CREATE EXTENSION vectorx SCHEMA planted');
DROP TYPE planted.vector;
CREATE FUNCTION planted.hnswhandler(internal) RETURNS index_am_handler LANGUAGE internal AS 'bthandler';
SELECT pg_temp.try('CREATE EXTENSION vectorx SCHEMA planted');
ROLLBACK;

DROP FUNCTION pg_temp.leak(text);
DROP VIEW plain, invoker, barrier;
DROP TABLE secrets, any_dims;
DROP ROLE regress_vx_member, regress_vx_owner, regress_vx_reader, regress_vx_tenant;
