--
-- hnsw: savepoints, exceptions, cursors, and updates of other columns
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 0, v vector(20)) WITH (fillfactor = 50, autovacuum_enabled = off);
CREATE INDEX ti ON t USING hnsw (v);
INSERT INTO t SELECT i, 0, pg_temp.cvec(i, 20) FROM generate_series(1, 300) i;

-- does the index give what the table has, to queries of a few sizes, and is it sound?
CREATE FUNCTION pg_temp.all_well() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT DISTINCT r FROM unnest('{1,10,40,NULL}'::int[]) k, generate_series(1, 3) i, pg_temp.check_query('t', '<->', pg_temp.cvec(500 + i, 20), k) r
	UNION ALL SELECT f::text FROM vectorx_index_check('ti') f
$$;
SELECT pg_temp.all_well();

-- savepoints: rows of those rolled back to are gone, of others not, also in between
BEGIN;
INSERT INTO t SELECT i, 1, pg_temp.cvec(i, 20) FROM generate_series(1001, 1050) i;
SAVEPOINT a;
INSERT INTO t SELECT i, 2, pg_temp.cvec(i, 20) FROM generate_series(1101, 1150) i;
DELETE FROM t WHERE id BETWEEN 1 AND 50;
SAVEPOINT b;
INSERT INTO t SELECT i, 3, pg_temp.cvec(i - 200, 20) FROM generate_series(1201, 1250) i;	-- vectors of those before
UPDATE t SET v = pg_temp.cvec(id + 5000, 20) WHERE id BETWEEN 51 AND 80;
SELECT count(*), pg_temp.all_well() FROM t;
ROLLBACK TO b;
SELECT count(*), pg_temp.all_well() FROM t;
INSERT INTO t SELECT i, 3, pg_temp.cvec(i - 200, 20) FROM generate_series(1201, 1230) i;
RELEASE b;
SELECT count(*), pg_temp.all_well() FROM t;
ROLLBACK TO a;
SELECT count(*), pg_temp.all_well() FROM t;
INSERT INTO t SELECT i, 4, pg_temp.cvec(i, 20) FROM generate_series(1301, 1310) i;
COMMIT;
SELECT count(*), count(*) FILTER (WHERE n = 1), count(*) FILTER (WHERE n = 4), pg_temp.all_well() FROM t;
VACUUM t;
SELECT count(*), pg_temp.all_well() FROM t;

-- exceptions: each block that fails takes its rows with it, whether it fails before
-- its row reaches the index, in it (wrong dimensions), or after it
CREATE TABLE w (id int, v vector);
CREATE INDEX ON w USING hnsw ((v::vector(4)));
DO $$
DECLARE
	failed int := 0;
BEGIN
	FOR i IN 1 .. 90 LOOP
		BEGIN
			INSERT INTO t VALUES (2000 + i, 5, pg_temp.cvec(i % 20, 20));
			INSERT INTO w SELECT i, array_fill(i, ARRAY[4])::vector;
			IF i % 3 = 0 THEN
				INSERT INTO w VALUES (i, '[1,2,3]');
			ELSIF i % 3 = 1 THEN
				PERFORM 1 / (i % 3 - 1);
			END IF;
		EXCEPTION
			WHEN data_exception THEN failed := failed + 1;
		END;
	END LOOP;
	RAISE WARNING '% failed', failed;
END $$;
SELECT count(*), pg_temp.all_well() FROM t WHERE n = 5;
SET enable_seqscan = off;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM w ORDER BY v::vector(4) <-> '[1,2,3,4]') s;
RESET enable_seqscan;
DROP TABLE w;

-- cursors.  The scan does not go backward by itself; SCROLL puts a materialization on top.
SELECT pg_temp.use_index(true);
BEGIN;
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		RETURN NEXT regexp_replace(line, '\[.*\]', '...');
	END LOOP;
END $$;
SELECT pg_temp.plan('DECLARE c NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY v <-> pg_temp.cvec(7, 20)');
SELECT pg_temp.plan('DECLARE c SCROLL CURSOR FOR SELECT id FROM t ORDER BY v <-> pg_temp.cvec(7, 20)');
DECLARE c NO SCROLL CURSOR FOR SELECT id FROM t WHERE n = 0 ORDER BY v <-> pg_temp.cvec(7, 20);
FETCH 1 FROM c;
SAVEPOINT s;
FETCH BACKWARD 1 FROM c;
ROLLBACK TO s;
CLOSE c;
DECLARE d SCROLL CURSOR FOR SELECT id FROM t WHERE n = 0 ORDER BY v <-> pg_temp.cvec(7, 20) LIMIT 20;
CREATE TEMP TABLE seen (turn int, r serial, id int);
CREATE FUNCTION pg_temp.take(turn int, c refcursor, direction text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	LOOP
		IF direction = 'next' THEN FETCH NEXT FROM c INTO r; ELSE FETCH PRIOR FROM c INTO r; END IF;
		EXIT WHEN NOT FOUND;
		INSERT INTO seen VALUES (turn, DEFAULT, r.id);
	END LOOP;
END $$;
SELECT pg_temp.take(1, 'd', 'next'), pg_temp.take(2, 'd', 'prior'), pg_temp.take(3, 'd', 'next');
-- the second time backward, all the same
SELECT count(*), bool_and(a.id = b.id AND a.id = c.id) FROM
	(SELECT row_number() OVER (ORDER BY r) AS i, id FROM seen WHERE turn = 1) a
	JOIN (SELECT row_number() OVER (ORDER BY r DESC) AS i, id FROM seen WHERE turn = 2) b USING (i)
	JOIN (SELECT row_number() OVER (ORDER BY r) AS i, id FROM seen WHERE turn = 3) c USING (i);
-- a cursor goes on after the savepoint within which it was read, or the table changed, was rolled back
TRUNCATE seen;
DECLARE e NO SCROLL CURSOR FOR SELECT id FROM t ORDER BY v <-> pg_temp.cvec(8, 20);
CREATE FUNCTION pg_temp.some(turn int, k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'e';
	r record;
BEGIN
	FOR i IN 1 .. k LOOP
		FETCH c INTO r;
		INSERT INTO seen VALUES (turn, DEFAULT, r.id);
	END LOOP;
END $$;
SELECT pg_temp.some(1, 30);
SAVEPOINT s;
DELETE FROM t;
INSERT INTO t SELECT i, 6, pg_temp.cvec(8, 20) FROM generate_series(3001, 3100) i;
MOVE 50 FROM e;
ROLLBACK TO s;
SELECT pg_temp.take(2, 'e', 'next');
SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM t) - 50 AS expected FROM seen;
-- WITH HOLD: read at commit, whatever comes after
TRUNCATE seen;
DECLARE h SCROLL CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY v <-> pg_temp.cvec(9, 20);
COMMIT;
SELECT count(*) AS rows FROM t;
DELETE FROM t WHERE id % 2 = 0;
VACUUM t;
SELECT pg_temp.take(1, 'h', 'next'), pg_temp.take(2, 'h', 'prior');
SELECT count(*), count(DISTINCT (turn, id)), count(DISTINCT id) FROM seen;
CLOSE h;
SELECT pg_temp.use_index(NULL);
SELECT pg_temp.all_well();

-- updates of other columns, HOT and not: a row has one answer, the latest
CREATE FUNCTION pg_temp.hot() RETURNS bigint LANGUAGE sql AS $$
	SELECT pg_stat_get_xact_tuples_hot_updated('t'::regclass)
$$;
BEGIN;
UPDATE t SET n = 10 WHERE id < 100;
SELECT pg_temp.hot() > 0 AS hot, count(*), pg_temp.all_well() FROM t WHERE n = 10 GROUP BY 1;
ROLLBACK;
SELECT count(*), pg_temp.all_well() FROM t WHERE n = 10;
DO $$
BEGIN
	FOR i IN 1 .. 30 LOOP
		UPDATE t SET n = 100 + i;
	END LOOP;
END $$;
SELECT min(n), max(n), count(*), pg_temp.all_well() FROM t;
-- versions that did not fit into their page have entries of their own, as duplicates
SELECT duplicates > 0 AS several FROM vectorx_index_info('ti');
SELECT pg_temp.use_index(true);
SELECT count(*), count(DISTINCT id), min(n), max(n) FROM (SELECT id, n FROM t ORDER BY v <-> pg_temp.cvec(10, 20)) s;
-- in a transaction that has updated them, of which some is rolled back
BEGIN;
UPDATE t SET n = 200;
SAVEPOINT s;
UPDATE t SET n = 300;
SELECT count(*), count(DISTINCT id), min(n), max(n) FROM (SELECT id, n FROM t ORDER BY v <-> pg_temp.cvec(10, 20)) s;
ROLLBACK TO s;
SELECT count(*), count(DISTINCT id), min(n), max(n) FROM (SELECT id, n FROM t ORDER BY v <-> pg_temp.cvec(10, 20)) s;
COMMIT;
SELECT pg_temp.use_index(NULL);
VACUUM t;
SELECT pg_temp.all_well();
DROP TABLE t, seen;
