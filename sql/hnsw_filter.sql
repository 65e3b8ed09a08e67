--
-- Filter columns: build, changes, duplicates, LIMIT, settings, rescans
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers

-- cvec(i) lies in cluster i % 50, so k is where a row is, and n says nothing of it
CREATE FUNCTION pg_temp.fill(tab text, rows int, dims int, what text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE %s TABLE %s (id int PRIMARY KEY, v vector(%s), n int, k int, w text, tags int[])', what, tab, dims);
	EXECUTE format('INSERT INTO %s SELECT i, pg_temp.cvec(i, %s), i * 7919 %% 1000, i %% 50, ''w'' || i %% 10, ARRAY[i %% 7, i %% 11] FROM generate_series(1, %s) i',
		tab, dims, rows);
END $$;
-- Answers to conditions that half, a tenth, a hundredth, few, none, and all of the
-- rows meet, spread or together, near the query or elsewhere; "ok", or what is wrong
CREATE FUNCTION pg_temp.check_filters(tab text, op text, q vector) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(DISTINCT cond || ' limit ' || coalesce(k::text, 'all') || ': ' || r, '; ') FILTER (WHERE r <> 'ok'), 'ok')
	FROM unnest('{n < 500,n < 100,n BETWEEN 5 AND 14,n = 7,n = -1,n >= 0,k = 1,k = 2 AND n > 200,k <> 1 AND n < 300,w = ''w3'',n IS NULL,n < 50 OR k = 3,
			"tags && ''{3}'' AND n < 400","tags @> ''{2,5}''"}'::text[]) cond,
		unnest('{10,41,NULL}'::int[]) k, pg_temp.check_query(tab, op, q, k, cond) r
$$;
-- What is wrong with an index, but that nodes are out of reach
CREATE FUNCTION pg_temp.findings(index regclass) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM vectorx_index_check(index) WHERE kind <> 'unreachable'
$$;

-- build: in memory; by workers; with memory for a part; by insertion
SELECT pg_temp.fill('c', 5000, 24);
ANALYZE c;
CREATE INDEX ci ON c USING hnsw (v, n, k, w, tags) WITH (m = 8, ef_construction = 32);
SELECT filter_columns, rows, pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100001, 24)) FROM vectorx_index_info('ci');
ALTER TABLE c SET (parallel_workers = 2);
SET max_parallel_maintenance_workers = 2;
REINDEX INDEX ci;
SELECT rows, pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100001, 24)) FROM vectorx_index_info('ci');
SET maintenance_work_mem = '1MB';
REINDEX INDEX ci;
SELECT rows, pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100001, 24)) FROM vectorx_index_info('ci');
SET max_parallel_maintenance_workers = 0;
REINDEX INDEX ci;
SELECT rows, pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100001, 24)) FROM vectorx_index_info('ci');
RESET maintenance_work_mem;
TRUNCATE c;
INSERT INTO c SELECT i, pg_temp.cvec(i, 24), i * 7919 % 1000, i % 50, 'w' || i % 10, ARRAY[i % 7, i % 11] FROM generate_series(1, 5000) i;
SELECT rows, pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100001, 24)) FROM vectorx_index_info('ci');
REINDEX INDEX CONCURRENTLY ci;
SELECT rows, pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100002, 24)) FROM vectorx_index_info('ci');

-- recall does not fall with the share of the rows that pass, be they near or not
SELECT cond, pg_temp.check_recall('c', '<->', (SELECT array_agg(pg_temp.cvec(i, 24)) FROM generate_series(100001, 100030) i), 10, 0.95, cond)
	FROM unnest('{n < 500,n < 100,n < 10,n BETWEEN 500 AND 502,k = 1,k < 25,k >= 40 AND n < 500}'::text[]) cond;
-- always as many rows as there are
SELECT cond, bool_and(cardinality(a.ids) = least(k, m)) AS exact, count(*) FROM unnest('{n < 500,n < 100,n < 10,n = 7,n = 7 AND k = 3,k = 17,k = 17 AND n < 100}'::text[]) cond,
	unnest('{1,2,5,39,40,41,100}'::int[]) k, generate_series(100010, 100015) q,
	pg_temp.answer(pg_temp.nearest('c', '<->', pg_temp.cvec(q, 24), k, cond), true) a,
	LATERAL (SELECT count(*) AS m FROM c WHERE CASE cond WHEN 'n < 500' THEN n < 500 WHEN 'n < 100' THEN n < 100 WHEN 'n < 10' THEN n < 10 WHEN 'n = 7' THEN n = 7
		WHEN 'n = 7 AND k = 3' THEN n = 7 AND c.k = 3 WHEN 'k = 17' THEN c.k = 17 ELSE c.k = 17 AND n < 100 END) m
	GROUP BY cond ORDER BY cond;

-- what searches do: they walk if many rows pass; read flat if few do, or none near
-- the query; and end at once if the condition cannot hold
CREATE FUNCTION pg_temp.strategy(cond text, k int, OUT strategy text, OUT passed bool, OUT visited bool, OUT read bool) LANGUAGE plpgsql AS $$
DECLARE
	a record;
BEGIN
	a := pg_temp.answer(pg_temp.nearest('c', '<->', pg_temp.cvec(100001, 24), k, cond), true);
	SELECT s.strategy, s.nodes_passed BETWEEN cardinality(a.ids) AND s.nodes_visited,
			s.nodes_visited BETWEEN cardinality(a.ids) AND 5000, s.vectors_read >= cardinality(a.ids)
		INTO strategy, passed, visited, read FROM vectorx_last_scan() s;
END $$;
SELECT cond, k, s.* FROM (VALUES ('true', 10), ('n < 800', 10), ('n = 7', 10), ('n = -1', 10), ('n > 5 AND n < 3', 10), ('n > 10000000000', 10),
	('k = 2 AND n = 3', 10), ('n < 500', NULL)) c(cond, k), pg_temp.strategy(cond, k) s;

-- settings
SET hnsw.iterative_scan = relaxed_order;
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100003, 24));
SET hnsw.iterative_scan = off;
SELECT cond, k, a.rows <= least(40, k) AS bounded, a.rows > 0 AS some, a.rows = a.once AS once, a.falls, a.flat FROM unnest('{n < 500,n < 100,n < 10}'::text[]) cond, unnest('{1,30,NULL}'::int[]) k,
	pg_temp.answer_with('hnsw.ef_search', '40', pg_temp.nearest('c', '<->', pg_temp.cvec(100003, 24), k, cond)) a;
RESET hnsw.iterative_scan;
SELECT m, cond, a.visited <= m + 400 AS visited, a.rows = a.once AS once, a.rows > 0 OR cond = 'n < 10' AS some FROM unnest('{1,100,1000}'::int[]) m, unnest('{n < 500,n < 10}'::text[]) cond,
	pg_temp.answer_with('hnsw.max_scan_tuples', m::text, pg_temp.nearest('c', '<->', pg_temp.cvec(100003, 24), NULL, cond)) a;
SET work_mem = '64kB';
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100004, 24));
SET hnsw.ef_search = 1;
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100004, 24));
RESET work_mem;
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100005, 24));
SET hnsw.ef_search = 500;
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100005, 24));
RESET hnsw.ef_search;

-- changes: of a filter column alone, of the vector alone, not visible to others
UPDATE c SET n = n + 1000 WHERE n < 100;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 24), k, cond) FROM unnest('{10,NULL}'::int[]) k, unnest('{n < 100,n >= 1000,n BETWEEN 100 AND 1050}'::text[]) cond;
UPDATE c SET v = pg_temp.cvec(id + 1, 24), k = (id + 1) % 50 WHERE id % 3 = 0;
UPDATE c SET w = NULL, tags = NULL WHERE id % 5 = 0;
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100006, 24));
SELECT cond, pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 24), NULL, cond) FROM unnest('{w IS NULL,w IS NOT NULL AND tags IS NULL,tags IS NULL AND n < 500,w = ''w5'',"w IN (''w5'', ''w6'')"}'::text[]) cond;
BEGIN;
UPDATE c SET n = 1 WHERE k = 5;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 24), NULL, 'n = 1');
SAVEPOINT s;
UPDATE c SET n = 2 WHERE k = 6;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 24), NULL, 'n IN (1, 2)');
ROLLBACK TO s;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 24), NULL, 'n <= 2');
ROLLBACK;
SELECT pg_temp.check_query('c', '<->', pg_temp.cvec(100006, 24), NULL, 'n <= 2');
DELETE FROM c WHERE id % 4 = 0;
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100007, 24));
VACUUM c;
SELECT i.rows = (SELECT count(*) FROM c) AS rows, dead <= duplicates AS dead, pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100007, 24)) FROM vectorx_index_info('ci') i;
-- slots used again have the attributes of their new rows
INSERT INTO c SELECT i, pg_temp.cvec(i, 24), NULL, 50, 'new', '{}' FROM generate_series(4, 5000, 4) i;
SELECT pg_temp.findings('ci'), pg_temp.check_filters('c', '<->', pg_temp.cvec(100008, 24));
SELECT cond, pg_temp.check_query('c', '<->', pg_temp.cvec(100008, 24), NULL, cond) FROM unnest('{n IS NULL,k = 50,k < 50 AND n IS NOT NULL,w = ''new''}'::text[]) cond;
BEGIN;
SELECT count(*) FROM (SELECT id FROM c WHERE n < 300 ORDER BY v <-> pg_temp.cvec(100008, 24) LIMIT 7 FOR UPDATE) s;
COMMIT;
DELETE FROM c;
VACUUM c;
SELECT pg_temp.check_filters('c', '<->', pg_temp.cvec(100008, 24));
DROP TABLE c;

-- duplicates: of a thousand, those that pass, be the head among them or not
SELECT pg_temp.fill('d', 1500, 8);
CREATE INDEX di ON d USING hnsw (v, n, k, w, tags) WITH (m = 8, ef_construction = 32);
INSERT INTO d SELECT 10000 + i, '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]', i, 100, 'd' || i % 2, ARRAY[i] FROM generate_series(1, 1000) i;
SELECT duplicates FROM vectorx_index_info('di');
CREATE FUNCTION pg_temp.check_duplicates() RETURNS TABLE (cond text, ok bigint, wrong text) LANGUAGE sql AS $$
	SELECT cond, count(*) FILTER (WHERE r = 'ok'), string_agg(DISTINCT k || ': ' || r, '; ') FILTER (WHERE r <> 'ok')
	FROM unnest('{k = 100 AND n = 1,k = 100 AND n > 1,k = 100 AND n = 1000,k = 100 AND n % 2 = 0,k = 100,w = ''d0'',w = ''d1'' AND n < 500,k = 100 AND n > 990,"tags @> ''{77}''",
			k < 100 AND n < 500,n < 500,n < 50}'::text[]) cond,
		unnest('{1,10,500,NULL}'::int[]) k, pg_temp.check_query('d', '<->', '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]', k, cond, CASE WHEN cond ~ 'k = 100|w' THEN 1 ELSE 0 END) r
	GROUP BY cond ORDER BY cond
$$;
SELECT * FROM pg_temp.check_duplicates();
-- far from the query
SELECT cond, pg_temp.check_query('d', '<->', '[9,9,9,9,9,9,9,9]', k, cond) FROM unnest('{k = 100 AND n = 1,k = 100 AND n > 990,w = ''d0''}'::text[]) cond, unnest('{1,10,NULL}'::int[]) k;
DELETE FROM d WHERE id = 10001;
SELECT count(*) FILTER (WHERE wrong IS NULL) AS ok, string_agg(wrong, '; ') FROM pg_temp.check_duplicates();
VACUUM d;	-- the head is a dead one now
SELECT count(*) FILTER (WHERE wrong IS NULL) AS ok, string_agg(wrong, '; ') FROM pg_temp.check_duplicates();
SELECT pg_temp.findings('di');
INSERT INTO d VALUES (10001, '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]', 1, 100, 'd1', '{1}');
UPDATE d SET n = n + 1, k = 101 WHERE id BETWEEN 10400 AND 10600;
SELECT count(*) FILTER (WHERE wrong IS NULL) AS ok, string_agg(wrong, '; ') FROM pg_temp.check_duplicates();
DELETE FROM d WHERE id BETWEEN 10002 AND 10900;
VACUUM d;
SELECT count(*) FILTER (WHERE wrong IS NULL) AS ok, string_agg(wrong, '; ') FROM pg_temp.check_duplicates();
REINDEX INDEX di;
SELECT count(*) FILTER (WHERE wrong IS NULL) AS ok, string_agg(wrong, '; ') FROM pg_temp.check_duplicates();
SELECT pg_temp.findings('di');
DROP TABLE d;

-- zero vectors have no cosine distance: they come last, those that pass
SELECT pg_temp.fill('z', 1000, 8);
UPDATE z SET v = '[0,0,0,0,0,0,0,0]' WHERE id % 10 = 0;
CREATE INDEX zi ON z USING hnsw (v vector_cosine_ops, n, k, w, tags);
SELECT lone, pg_temp.findings('zi'), pg_temp.check_filters('z', '<=>', pg_temp.cvec(100001, 8)) FROM vectorx_index_info('zi');
SELECT cond, k, pg_temp.check_query('z', '<=>', q::vector, k, cond) FROM unnest('{n < 100,k = 0,k = 10,k = 11}'::text[]) cond, unnest('{5,NULL}'::int[]) k,
	unnest('{"[0,0,0,0,0,0,0,0]",NULL}'::text[]) q;
UPDATE z SET n = 5000 WHERE k = 10;
SELECT pg_temp.check_query('z', '<=>', pg_temp.cvec(100001, 8), NULL, 'n = 5000'), pg_temp.check_filters('z', '<=>', pg_temp.cvec(100001, 8));
DROP TABLE z;

-- codes, metrics
SELECT pg_temp.fill('m', 1200, 48);
SELECT pg_temp.fill('r', 1200, 6);
CREATE FUNCTION pg_temp.check_kind(tab text, op text, class text, options text, OUT code text, OUT bits int, OUT findings bigint, OUT built text, OUT inserted text) LANGUAGE plpgsql AS $$
DECLARE
	dims int;
BEGIN
	EXECUTE format('SELECT vector_dims(v) FROM %s LIMIT 1', tab) INTO dims;
	EXECUTE format('CREATE INDEX mi ON %s USING hnsw (v %s, n, k, w, tags) %s', tab, class, options);
	built := pg_temp.check_filters(tab, op, pg_temp.cvec(100001, dims));
	EXECUTE format('INSERT INTO %s SELECT 50000 + id, v, n, k, w, tags FROM %1$s WHERE id %% 5 = 0', tab);
	inserted := pg_temp.check_filters(tab, op, pg_temp.cvec(100002, dims));
	SELECT i.code, i.code_bits INTO code, bits FROM vectorx_index_info('mi') i;
	findings := pg_temp.findings('mi');
	DROP INDEX mi;
	EXECUTE format('DELETE FROM %s WHERE id > 50000', tab);
END $$;
SELECT tab, class, options, x.* FROM (VALUES ('r', '<->', 'vector_l2_ops', ''), ('r', '<=>', 'vector_cosine_ops', 'WITH (code_bits = 8)'), ('m', '<->', 'vector_l2_ops', ''),
	('m', '<->', 'vector_l2_ops', 'WITH (code_bits = 4)'), ('m', '<#>', 'vector_ip_ops', 'WITH (code_bits = 2)'), ('m', '<=>', 'vector_cosine_ops', ''),
	('m', '<+>', 'vector_l1_ops', '')) k(tab, op, class, options), pg_temp.check_kind(tab, op, class, options) x;
DROP TABLE m, r;

-- unlogged and temporary tables
SELECT pg_temp.fill('u', 500, 24, 'UNLOGGED'), pg_temp.fill('t', 500, 24, 'TEMP');
CREATE INDEX ui ON u USING hnsw (v, n, k, w, tags);
CREATE INDEX ti ON t USING hnsw (v, n, k, w, tags);
INSERT INTO u SELECT 1000 + id, v, n, k, w, tags FROM t;
INSERT INTO t SELECT 1000 + id, v, n, k, w, tags FROM t;
SELECT tab, pg_temp.findings(index::regclass), pg_temp.check_filters(tab, '<->', pg_temp.cvec(100001, 24)) FROM (VALUES ('u', 'ui'), ('t', 'ti')) x(tab, index);
DROP TABLE t;

-- expressions, of rows and of vectors; partial indexes
DROP INDEX ui;
CREATE INDEX ui ON u USING hnsw (v, lower(w), (n % 10), (k > 10), (CASE WHEN n > 500 THEN n END));
SELECT cond, pg_temp.check_query('u', '<->', pg_temp.cvec(100001, 24), k, cond)
	FROM unnest('{lower(w) = ''w3'',n % 10 = 3,n % 10 BETWEEN 2 AND 4 AND lower(w) = ''w1'',k > 10,NOT k > 10,(CASE WHEN n > 500 THEN n END) IS NULL,(CASE WHEN n > 500 THEN n END) < 700}'::text[]) cond, unnest('{3,NULL}'::int[]) k;
SELECT pg_temp.findings('ui');
DROP INDEX ui;
CREATE INDEX ui ON u USING hnsw ((v::vector(24)) vector_ip_ops, n) WHERE k < 25;
SELECT rows, pg_temp.findings('ui') FROM vectorx_index_info('ui');
UPDATE u SET k = k + 1 WHERE k = 24 OR k = 3;
SELECT cond, pg_temp.check_query('u', '<#>', pg_temp.cvec(100001, 24), k, cond) FROM unnest('{k < 25 AND n < 500,k < 25,k < 25 AND n = 7,k < 10 AND n > 900}'::text[]) cond, unnest('{3,NULL}'::int[]) k;
DROP INDEX ui;
-- a column twice, and the same as another's
CREATE INDEX ui ON u USING hnsw (v, n, n, k, k);
SELECT cond, pg_temp.check_query('u', '<->', pg_temp.cvec(100001, 24), NULL, cond) FROM unnest('{n < 500,n < 500 AND k = 3}'::text[]) cond;
DROP TABLE u;

-- rescans, cursors, prepared statements
SELECT pg_temp.fill('c', 3000, 24);
CREATE INDEX ci ON c USING hnsw (v, n, k, w, tags) WITH (m = 8, ef_construction = 32);
ANALYZE c;
CREATE TABLE q (id int, v vector(24), n int, k int, w text, tags int[]);
INSERT INTO q SELECT i, pg_temp.cvec(200000 + i, 24), i * 100, i % 7, 'w' || i % 12, ARRAY[i % 3] FROM generate_series(1, 20) i;
INSERT INTO q VALUES (21, NULL, 500, 1, 'w1', '{1}'), (22, pg_temp.cvec(200022, 24), NULL, NULL, NULL, NULL), (23, NULL, NULL, NULL, NULL, NULL);
SELECT pg_temp.use_index(true);
CREATE FUNCTION pg_temp.check_join(cond text, k int) RETURNS TABLE (by_index bool, outer_rows bigint, wrong bigint, twice bigint) LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT q.id AS q, s.id FROM q, LATERAL (SELECT id FROM c WHERE %s ORDER BY c.v <-> q.v LIMIT %s) s', cond, coalesce(k::text, 'ALL'));
BEGIN
	by_index := pg_temp.plan_uses_index(query);
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE coalesce(a.n, 0) <> least(%s, b.n)), coalesce(sum(a.n - a.once), 0)
		FROM (SELECT q.id, (SELECT count(*) FROM c WHERE c.v + c.v IS NOT NULL AND %s) AS n FROM q) b
		LEFT JOIN (SELECT q, count(*) AS n, count(DISTINCT id) AS once FROM (%s) s GROUP BY q) a ON a.q = b.id', coalesce(k::text, 'NULL'), cond, query)
		INTO outer_rows, wrong, twice;
	RETURN NEXT;
END $$;
SELECT cond, k, j.* FROM unnest('{c.n = q.n,c.n < q.n,c.k = q.k AND c.n < 500,c.w = q.w,c.n BETWEEN q.n - 100 AND q.n + 100,c.tags && q.tags,c.k = ANY (q.tags),c.n >= q.n AND c.n < 300}'::text[]) cond,
	unnest('{5,60,NULL}'::int[]) k, pg_temp.check_join(cond, k) j;
-- the vector stays, the condition changes
SELECT count(*) FILTER (WHERE s.n <> (SELECT count(*) FROM c WHERE c.k = q.k AND c.v + c.v IS NOT NULL)) AS wrong, sum(s.n)
	FROM q, LATERAL (SELECT count(*) AS n FROM (SELECT id FROM c WHERE c.k = q.k ORDER BY c.v <-> pg_temp.cvec(7, 24)) x) s;
SET plan_cache_mode = force_generic_plan;
PREPARE p(vector, int, int, text) AS SELECT id FROM c WHERE n BETWEEN $2 AND $3 AND w = $4 ORDER BY v <-> $1 LIMIT 20;
SELECT pg_temp.plan_uses_index('EXECUTE p(NULL, 1, 2, NULL)');
CREATE FUNCTION pg_temp.run(q int, low int, high int, w text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	got int;
	want int;
BEGIN
	EXECUTE format('CREATE TEMP TABLE x AS EXECUTE p(%L, %L, %L, %L)', pg_temp.cvec(q, 24), low, high, w);
	SELECT count(*) INTO got FROM x;
	DROP TABLE x;
	EXECUTE 'SELECT least(20, count(*)) FROM c WHERE v + v IS NOT NULL AND n BETWEEN $1 AND $2 AND w = $3' INTO want USING low, high, w;
	RETURN got = want;
END $$;
SELECT bool_and(pg_temp.run(100000 + i, i * 50, i * 50 + i * 10, 'w' || i % 11)), count(*) FROM generate_series(1, 20) i;
SELECT pg_temp.run(1, NULL, 100, 'w1'), pg_temp.run(1, 0, 1000, NULL), pg_temp.run(1, 100, 0, 'w1'), pg_temp.run(1, 0, 1000, 'none');
RESET plan_cache_mode;
-- two cursors in turns, to which later changes are not visible
CREATE TEMP TABLE got (c text, id int);
CREATE FUNCTION pg_temp.take(name text, n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := name;
	id int;
BEGIN
	FOR i IN 1 .. n LOOP
		FETCH c INTO id;
		EXIT WHEN NOT FOUND;
		INSERT INTO got VALUES (name, id);
	END LOOP;
	RETURN (SELECT count(*) FROM got WHERE got.c = name);
END $$;
BEGIN;
DECLARE a CURSOR FOR SELECT id FROM c WHERE n < 500 ORDER BY v <-> pg_temp.cvec(7, 24);
DECLARE b CURSOR FOR SELECT id FROM c WHERE n >= 500 AND k < 10 ORDER BY v <-> pg_temp.cvec(8, 24);
SELECT pg_temp.take('a', 3), pg_temp.take('b', 50), pg_temp.take('a', 300);
UPDATE c SET n = 1 WHERE k = 9;
DELETE FROM c WHERE k = 8;
SELECT pg_temp.take('b', 5000) AS b, pg_temp.take('a', 5000) AS a;
ROLLBACK;
BEGIN;
SELECT count(*) FILTER (WHERE n >= 500 AND k < 10) AS b, count(*) FILTER (WHERE n < 500) AS a FROM c;
DECLARE a SCROLL CURSOR FOR SELECT id FROM c WHERE n < 500 ORDER BY v <-> pg_temp.cvec(7, 24);
SELECT pg_temp.take('a', 5000);
MOVE ABSOLUTE 0 FROM a;
SELECT pg_temp.take('a', 5000);
SELECT count(DISTINCT id), count(*) FROM got JOIN c USING (id) WHERE n < 500;
COMMIT;
SELECT pg_temp.use_index(NULL);
DROP TABLE c, q;
