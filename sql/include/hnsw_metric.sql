--
-- What must hold for every metric.  Read with \i by the tests of each of them,
-- which set "op", the operator, "class", the operator class, "one", the recall to
-- be expected in one dimension, and "many", that of a query for 100 rows with
-- ef_search = 100.
--

-- A table of so many vectors of so many dimensions, as t
CREATE FUNCTION pg_temp.fill(dims int, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS t;
	EXECUTE format('CREATE TABLE t (id int, v vector(%s))', dims);
	INSERT INTO t SELECT i, pg_temp.cvec(i, dims) FROM generate_series(1, n) i;
	INSERT INTO t SELECT -i FROM generate_series(1, 5) i;
	ANALYZE t;
END $$;

-- Build an index on t, and compare its answers to the exact ones
CREATE FUNCTION pg_temp.check_index(op text, class text, options text, at_least float8, many_at_least float8,
	OUT code text, OUT bits int, OUT indexed bool, OUT recall text, OUT few text, OUT many text,
	OUT beyond text, OUT "all" text)
LANGUAGE plpgsql AS $$
DECLARE
	dims int := (SELECT vector_dims(v) FROM t WHERE v IS NOT NULL LIMIT 1);
	queries vector[] := (SELECT array_agg(pg_temp.cvec(i, dims)) FROM generate_series(100001, 100020) i);
BEGIN
	DROP INDEX IF EXISTS ti;
	EXECUTE format('CREATE INDEX ti ON t USING hnsw (v %s) %s', class, options);
	SELECT i.code, i.code_bits, i.rows = (SELECT count(v) FROM t)
		INTO code, bits, indexed FROM vectorx_index_info('ti') i;
	SET LOCAL hnsw.ef_search = 100;
	recall := pg_temp.check_recall('t', op, queries, 10, at_least);
	few := pg_temp.check_query('t', op, queries[1], 3, recall => at_least);
	many := pg_temp.check_query('t', op, queries[2], 100, recall => many_at_least);
	RESET hnsw.ef_search;
	beyond := pg_temp.check_query('t', op, queries[2], 300);
	"all" := pg_temp.check_query('t', op, queries[3]);
END $$;

-- dimensions and codes
SELECT pg_temp.fill(1, 1000);
SELECT * FROM pg_temp.check_index(:'op', :'class', '', :one, :many);
SELECT pg_temp.fill(3, 1500);
SELECT o AS options, c.* FROM unnest('{"","WITH (code_bits = 2)","WITH (code_bits = 4)","WITH (code_bits = 8)"}'::text[]) o,
	pg_temp.check_index(:'op', :'class', o, 0.95, :many) c;
SELECT pg_temp.fill(100, 3000);
SELECT o AS options, c.* FROM unnest('{"","WITH (code_bits = 2)","WITH (code_bits = 4)","WITH (code_bits = 8)"}'::text[]) o,
	pg_temp.check_index(:'op', :'class', o, 0.9, :many) c;
SELECT recall, "all" FROM pg_temp.check_index(:'op', :'class', 'WITH (m = 40, ef_construction = 80)', 0.95, 0);
SELECT "all" FROM pg_temp.check_index(:'op', :'class', 'WITH (m = 2, ef_construction = 4)', 0, 0);
SELECT pg_temp.fill(784, 400);
SELECT o AS options, c.* FROM unnest('{"","WITH (code_bits = 2)","WITH (code_bits = 4)","WITH (code_bits = 8)"}'::text[]) o,
	pg_temp.check_index(:'op', :'class', o, 0.95, :many) c;
SELECT pg_temp.fill(2001, 150);
SELECT o AS options, c.* FROM unnest('{"","WITH (code_bits = 2)","WITH (code_bits = 4)","WITH (code_bits = 8)"}'::text[]) o,
	pg_temp.check_index(:'op', :'class', o, 0.95, :many) c;
SELECT pg_temp.fill(4096, 80);
SELECT * FROM pg_temp.check_index(:'op', :'class', '', 0.95, :many);
SELECT pg_temp.fill(16000, 40);
SELECT * FROM pg_temp.check_index(:'op', :'class', '', 0.95, :many);
SELECT pg_temp.try('CREATE INDEX ON t USING hnsw (v ' || :'class' || ') WITH (code_bits = 8)');
INSERT INTO t SELECT i, pg_temp.cvec(i, 16000) FROM generate_series(41, 43) i;
SELECT pg_temp.check_query('t', :'op', pg_temp.cvec(42, 16000), k) FROM unnest('{10,NULL}'::int[]) k;

-- nothing, one row, NULL
SELECT pg_temp.fill(3, 0);
CREATE INDEX ti ON t USING hnsw (v :class);
SELECT rows, levels FROM vectorx_index_info('ti');
SELECT pg_temp.check_query('t', :'op', '[1,2,3]'), pg_temp.check_query('t', :'op', NULL);
INSERT INTO t VALUES (1, '[1,2,4]');
SELECT pg_temp.check_query('t', :'op', '[1,2,3]'), pg_temp.check_query('t', :'op', NULL);
UPDATE t SET v = '[7,7,7]' WHERE id IN (1, -1);
SELECT pg_temp.check_query('t', :'op', '[1,2,3]'), pg_temp.check_query('t', :'op', NULL);
DELETE FROM t;
SELECT pg_temp.check_query('t', :'op', '[1,2,3]'), pg_temp.check_query('t', :'op', NULL);
VACUUM t;
SELECT pg_temp.check_query('t', :'op', '[1,2,3]'), pg_temp.check_query('t', :'op', NULL);
INSERT INTO t SELECT i, pg_temp.cvec(i, 3) FROM generate_series(1, 1000) i;
SELECT pg_temp.check_query('t', :'op', '[1,2,3]', k), pg_temp.check_query('t', :'op', NULL, k)
	FROM unnest('{0,1,40,41,500,NULL}'::int[]) k;

-- wrong dimensions
SELECT pg_temp.try('INSERT INTO t VALUES (1, ''[1,2]'')');
SELECT pg_temp.use_index(true);
SELECT pg_temp.try('SELECT id FROM t ORDER BY v ' || :'op' || ' ''[1,2]'' LIMIT 1');
SELECT pg_temp.use_index(NULL);

-- extremes: distances that overflow, that vanish, zero vectors, negative zero
INSERT INTO t SELECT 2000 + n, v::vector FROM unnest('{"[3e38,3e38,3e38]","[-3e38,3e38,3e38]","[-3e38,-3e38,-3e38]",
	"[1e-45,0,0]","[0,0,-1e-45]","[1e-30,1e-30,1e-30]","[0,0,0]","[-0,0,-0]","[0,0,0]","[1e20,-1e20,0]"}'::text[]) WITH ORDINALITY u(v, n);
SELECT q, pg_temp.check_query('t', :'op', q::vector, k) FROM unnest('{"[3e38,3e38,3e38]","[-3e38,-3e38,3e38]","[1e-45,0,0]",
	"[0,0,0]","[1e-20,1e-20,1e-20]","[0.1,0.2,0.3]"}'::text[]) q, unnest('{10,400,NULL}'::int[]) k;
REINDEX INDEX ti;
SELECT q, pg_temp.check_query('t', :'op', q::vector, k) FROM unnest('{"[3e38,3e38,3e38]","[-3e38,-3e38,3e38]","[1e-45,0,0]",
	"[0,0,0]","[1e-20,1e-20,1e-20]","[0.1,0.2,0.3]"}'::text[]) q, unnest('{10,400,NULL}'::int[]) k;
-- they harm no other row
SELECT pg_temp.check_recall('t', :'op', array_agg(pg_temp.cvec(i, 3)), 10, 0.95) FROM generate_series(100001, 100020) i;
DELETE FROM t WHERE id > 2000;
VACUUM t;
SELECT pg_temp.check_recall('t', :'op', array_agg(pg_temp.cvec(i, 3)), 10, 0.95) FROM generate_series(100001, 100020) i;

-- an index that was never built with rows answers like one that was
SELECT pg_temp.fill(20, 0);
CREATE INDEX ti ON t USING hnsw (v :class);
INSERT INTO t SELECT i, pg_temp.cvec(i, 20) FROM generate_series(1, 2000) i;
SELECT pg_temp.check_recall('t', :'op', array_agg(pg_temp.cvec(i, 20)), 10, 0.95) FROM generate_series(100001, 100020) i;
SELECT pg_temp.check_query('t', :'op', pg_temp.cvec(100001, 20), k) FROM unnest('{300,NULL}'::int[]) k;
