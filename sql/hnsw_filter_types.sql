--
-- Filter columns: every type and operator, against sequential scans
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set helpers :abs_srcdir '/sql/include/hnsw_helpers.sql'
\i :helpers
\set filter :abs_srcdir '/sql/include/hnsw_filter.sql'
\i :filter
SELECT pg_temp.make_filter_table(400, 3, '');
SELECT filter_columns, rows FROM vectorx_index_info('fi');
SELECT * FROM vectorx_index_check('fi') WHERE kind <> 'unreachable';

-- every operator with every value: how many conditions, rows that met them, how
-- many of the conditions went to the index, and what is wrong
CREATE FUNCTION pg_temp.check_case(c cases, OUT conditions int, OUT rows int, OUT in_index int, OUT wrong text[]) LANGUAGE sql AS $$
	SELECT count(*), sum(f.rows), count(*) FILTER (WHERE f.plan = 'index'), array_remove(array_agg(f.verdict), NULL)
	FROM unnest(c.ops) op, unnest(c.vals) val,
		pg_temp.check_filter(format('%s %s %L::%s', c.col, op, val, c.type), '[0.5,0.5,0.5]') f
$$;
SELECT c.col, c.type, c.ops, t.* FROM cases c JOIN cols USING (col), pg_temp.check_case(c) t
	WHERE c.col <> 'b' ORDER BY cols.n, c.known DESC, c.type, c.ops;
-- "b = true" is b; whether that goes to the index depends on the version
SELECT c.col, c.type, c.ops, t.conditions, t.rows, t.wrong FROM cases c, pg_temp.check_case(c) t WHERE c.col = 'b';
SELECT cond, rows, verdict FROM pg_temp.check_filters('b; NOT b; b IS TRUE; b IS NOT TRUE; b IS FALSE; b IS NOT FALSE; b IS UNKNOWN; b AND NOT b;
	b = (SELECT true)', '[0.5,0.5,0.5]');

-- NULL, and nothing
SELECT col, n.rows, n.plan, n.verdict, n.rows + m.rows AS both, m.verdict FROM cols,
	pg_temp.check_filter(col || ' IS NULL', '[0.5,0.5,0.5]') n, pg_temp.check_filter(col || ' IS NOT NULL', '[0.5,0.5,0.5]') m ORDER BY cols.n;
SELECT * FROM pg_temp.check_filters($$i4 = NULL; i4 < (SELECT NULL::int); x = (SELECT NULL); ia && (SELECT NULL::int[]); ia @> NULL;
	i4 IS NULL AND i4 IS NOT NULL; i4 > 5 AND i4 < 3; i4 >= 1 AND i4 <= 1 AND i4 = 1; i4 < 1 AND i4 > -1; v IS NULL; v IS NOT NULL;
	i2 > 1000000; i2 < -1000000; i2 < 1000000; i2 = 1000000; o > 4294967295; o < 0$$, '[0.5,0.5,0.5]');

-- arrays
SELECT * FROM pg_temp.check_filters($$ia && '{}'; ia @> '{}'; ia @> '{NULL}'; ia && '{NULL}'; ia @> '{1,NULL}'; ia && '{1,NULL}';
	ta @> '{{a},{b}}'; ia @> '{3,3,4,4}'; ia @> '{7,8,9,10,11,12,13,14,15,16,17}'; ia && '{100,200,300,400,500,600,30}';
	ia @> '{1,2,3,4,5,6}'; ia @> '{1}' AND ia @> '{2}' AND ia && '{6,7}'; ia @> '{4}' AND NOT ia @> '{6}'; '{1,2,3}' <@ ia; '{1,2,3}' && ia;
	'{1}' @> ia; ia = '{1}'; 1 = ANY (ia); ta && ARRAY['NULL', '']; ta @> ARRAY[(SELECT 'a')]$$, '[0.5,0.5,0.5]');

-- lists; whether they go to the index depends on the version
SELECT cond, rows, verdict FROM pg_temp.check_filters($$i4 IN (1, 2); i4 IN (1, NULL); i4 IN (NULL, NULL); i4 = ANY ('{}'); i4 = ANY ((SELECT NULL::int[])::int[]);
	i4 = ANY ((SELECT ARRAY[1, NULL, 2, 1])::int[]); i4 = ANY ('{{0,1},{2,32767}}'); i4 NOT IN (1, 2); i4 <> ALL ('{1,2}'); i4 < ANY ('{0,-5}');
	i4 >= ALL ('{0,-5}'); i4 = ALL ('{}'); i4 = ANY ('{}'::int8[]); i2 IN (1, 100000); i2 IN (1, 10000000000); i2 = ANY ('{100000}'::int8[]);
	i4 IN (1::int2, 2::int8); i8 = ANY ('{1,2}'::int2[]); f4 = ANY ('{0.1,0}'::float8[]); f4 = ANY ('{0.1,NaN}'::float4[]);
	f8 = ANY ('{0.1,NaN}'::float4[]); n IN (0, 0.1, 'NaN'); n IN (9007199254740992, 7); d IN ('infinity', '2000-01-01');
	ts = ANY ('{2000-01-01,infinity,5874897-12-31}'::date[]); tz = ANY ('{2000-01-01,-infinity}'::timestamp[]);
	x IN ('a', 'A', 'none'); vc IN ('a', 'a '); bp IN ('a', 'abcde'); e IN ('sad', 'happy'); e = ANY ('{}');
	u = ANY ('{00000000-0000-0000-0000-000000000001,80000000-0000-0001-0000-000000000000}'); ip IN ('10.0.0.1', '10.0.0.0/8');
	ci = ANY ('{10.0.0.0/8,::/0}'::inet[]); b IN (true); b = ANY ('{t,f}'); di IN (1, 2); dx IN ('a', 'a '); o IN (1, 4294967295);
	tm IN ('24:00', '00:00'); i4 IN (1, 2) AND i8 IN (1, 2); i4 = ANY ('{1,2,3}') AND i4 > 1 AND i4 = ANY ('{2,3}');
	i8 = ANY (ARRAY(SELECT 7 * i FROM generate_series(-20000, 20000) i)::int8[])$$, '[0.5,0.5,0.5]');

-- several columns
SELECT * FROM pg_temp.check_filters($$i2 BETWEEN -1 AND 300 AND i4 >= 0; i2 > 0 AND f8 < 1 AND x IS NOT NULL AND d > '-infinity';
	ia && '{1,9}' AND ta @> '{a}'; x = 'a' AND e = 'ok'; ip > '10.0.0.0/8' AND ip <= '::1' AND u >= '80000000-0000-0000-0000-000000000000';
	n >= 0.1 AND n <= 1e308 AND tm < '24:00'; 10 > i2; i2 > 0 OR i4 > 0; (i2 > 0 OR i4 > 0) AND f4 > 0; i2 > 0 AND i4::text LIKE '%2%';
	i2 = i4; NOT (i2 > 0 AND f4 > 0); lower(x) = 'a'; x = 'a' AND x LIKE 'a%'; i4::int8 = 1; vc::char(5) = 'a'; i4 > id; i4 > (random() * 0)::int$$, '[0.5,0.5,0.5]');

-- what a timestamptz is compared with depends on the time zone of the query
SET TimeZone = 'Asia/Tokyo';
SELECT c.col, c.type, t.* FROM cases c, pg_temp.check_case(c) t WHERE c.col = 'tz' ORDER BY c.type;
RESET TimeZone;

-- the index has the column's collation, other collations do not go to it
SELECT * FROM pg_temp.check_filters($$x = 'a' COLLATE "C"; x COLLATE "POSIX" = 'A'; x = 'ä'; x > 'ä' COLLATE "C"$$, '[0.5,0.5,0.5]');

-- at random
SELECT setseed(0.5);
SELECT wrong, rows > 1000 AS rows, empty BETWEEN 1 AND 200 AS empty, in_index > 100 AS in_index FROM pg_temp.check_random(300, 3);
-- the same, inserted and not built, by codes and not by vectors
DROP TABLE f;
SELECT pg_temp.make_filter_table(0, 24, 'WITH (m = 8, ef_construction = 20)');
SELECT format('INSERT INTO f SELECT i, pg_temp.cvec(i %% 600, 24), %s FROM generate_series(1, 900) i', pg_temp.row_values('i')) AS command \gset
:command;
SELECT rows, duplicates BETWEEN 250 AND 300 AS duplicates FROM vectorx_index_info('fi');
SELECT * FROM vectorx_index_check('fi') WHERE kind <> 'unreachable';
SELECT wrong, rows > 1000 AS rows FROM pg_temp.check_random(100, 24);
DELETE FROM f WHERE id % 3 = 0;
VACUUM f;
SELECT format('INSERT INTO f SELECT i, pg_temp.cvec(i %% 500, 24), %s FROM generate_series(1000, 1200) i', pg_temp.row_values('i')) AS command \gset
:command;
UPDATE f SET (i2, i4, x, ia) = (i4 % 100, i2, vc, da) WHERE id % 5 = 0;
SELECT * FROM vectorx_index_check('fi') WHERE kind <> 'unreachable';
SELECT wrong, rows > 1000 AS rows FROM pg_temp.check_random(100, 24);
DROP TABLE f;

-- enums that grow
CREATE TYPE color AS ENUM ('red', 'blue');
CREATE TABLE g (id int, v vector(3), c color, cs color[]);
INSERT INTO g SELECT i, pg_temp.vec(i, 3), (ARRAY['red', 'blue'])[i % 2 + 1]::color, ARRAY['red']::color[] FROM generate_series(1, 20) i;
CREATE INDEX ON g USING hnsw (v, c, cs);
ALTER TYPE color ADD VALUE 'green' BEFORE 'blue';
ALTER TYPE color RENAME VALUE 'red' TO 'crimson';
INSERT INTO g SELECT i, pg_temp.vec(i, 3), 'green', '{green,blue}' FROM generate_series(21, 25) i;
SELECT cond, pg_temp.check_query('g', '<->', '[0.5,0.5,0.5]', NULL, cond)
	FROM regexp_split_to_table($$c = 'green';c = 'crimson';c > 'crimson';cs && '{green}';cs @> '{crimson}';c IN ('blue', 'green')$$, ';') cond;
DROP TABLE g;
DROP TYPE color;

-- what cannot be
CREATE TABLE g (id int, v vector(3), w vector(3), i int, j jsonb, p point[], a10 int[], s text) WITH (autovacuum_enabled = off);
\set VERBOSITY terse
CREATE INDEX ON g USING hnsw (i);
CREATE INDEX ON g USING hnsw (i, v);
CREATE INDEX ON g USING hnsw (s, i);
CREATE INDEX ON g USING hnsw (v, w);
CREATE INDEX ON g USING hnsw (v, i, w vector_ip_ops);
CREATE INDEX ON g USING hnsw (v, j);
CREATE INDEX ON g USING hnsw (v, p);
CREATE INDEX ON g USING hnsw (v) INCLUDE (i);
CREATE INDEX ON g USING hnsw (v, i) INCLUDE (s);
CREATE INDEX ON g USING hnsw (v, i DESC);
CREATE INDEX ON g USING hnsw (v, s text_pattern_ops);
CREATE UNIQUE INDEX ON g USING hnsw (v, i);
CREATE INDEX ON g USING hnsw (v, i int8_ops);
\set VERBOSITY sqlstate
CREATE INDEX ON g USING hnsw (i);
CREATE INDEX ON g USING hnsw (v, w);
CREATE INDEX ON g USING hnsw (v, p);
-- as many as can be
SELECT format('CREATE INDEX gi ON g USING hnsw (v, %s)', string_agg('a10', ', ')) AS most FROM generate_series(1, 31) \gset
SELECT format('CREATE INDEX gj ON g USING hnsw (v, %s)', string_agg('i', ', ')) AS more FROM generate_series(1, 32) \gset
:most;
:more;
SELECT filter_columns, slots_per_page FROM vectorx_index_info('gi');
INSERT INTO g SELECT i, pg_temp.vec(i, 3), NULL, i, NULL, NULL, ARRAY[i % 3], NULL FROM generate_series(1, 30) i;
SELECT pg_temp.check_query('g', '<->', '[0.5,0.5,0.5]', NULL, 'a10 @> ''{2}''');
-- long vectors have fewer bits then
CREATE TABLE h (id int, v vector(16000), a int[], i int);
INSERT INTO h SELECT i, pg_temp.cvec(i, 16000), ARRAY[i % 3], i % 4 FROM generate_series(1, 20) i;
SELECT format('CREATE INDEX hi ON h USING hnsw (v, %s)', string_agg('a', ', ')) AS most FROM generate_series(1, 31) \gset
:most;
SELECT code_bits, filter_columns FROM vectorx_index_info('hi');
SELECT pg_temp.check_query('h', '<->', pg_temp.cvec(5, 16000), k, 'a && ''{1}''') FROM unnest('{3,NULL}'::int[]) k;
CREATE INDEX hj ON h USING hnsw (v, i) WITH (code_bits = 4);
SELECT code_bits FROM vectorx_index_info('hj');
\set VERBOSITY default
DROP TABLE g, h;
