\set ECHO none
--
-- Filter columns of every type, and predicates on them.  Read with \i after
-- hnsw_helpers.sql, also by test/t/012_filter.pl.
--
-- What the values of a column are is listed with it, so that rows and predicates
-- meet: limits of the type, neighbors of limits of others, what equals without
-- being the same, what has no place in the order, NULL.
--
SET TimeZone = 'America/New_York';
SET intervalstyle = postgres;

CREATE TYPE pg_temp.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN pg_temp.dint AS int CHECK (value > -1000);
CREATE DOMAIN pg_temp.dtext AS text;
CREATE DOMAIN pg_temp.dints AS int[];

-- Columns, in the order of the index
CREATE TEMP TABLE cols (n serial, col text, type text, vals text[]);
INSERT INTO cols (col, type, vals) VALUES
	('b', 'bool', '{t,f}'),
	('i2', 'int2', '{-32768,-32767,-256,-1,0,1,2,255,256,32766,32767}'),
	('i4', 'int4', '{-2147483648,-2147483647,-65537,-32769,-32768,-1,0,1,2,32767,32768,2147483646,2147483647}'),
	('i8', 'int8', '{-9223372036854775808,-9223372036854775807,-2147483649,-2147483648,-32769,-1,0,1,2,32768,2147483647,
		2147483648,4294967296,9223372036854775806,9223372036854775807}'),
	('o', 'oid', '{0,1,2,2147483647,2147483648,4294967294,4294967295}'),
	('f4', 'float4', '{-Infinity,-3.4028235e38,-1.5,-1e-45,-0,0,1e-45,0.1,1.5,16777216,3.4028235e38,Infinity,NaN}'),
	('f8', 'float8', '{-Infinity,-1.7976931348623157e308,-3.4028235677973366e38,-1.5,-5e-324,-0,0,5e-324,0.1,0.10000000149011612,
		1.5,16777217,3.4028234663852886e38,3.5e38,1.7976931348623157e308,Infinity,NaN}'),
	('n', 'numeric', '{-Infinity,-1e400,-1e308,-0.1,0,0.00,1e-400,0.1,0.10000000000000000001,9007199254740992,9007199254740993,
		9007199254740993.5,1e308,1e400,Infinity,NaN}'),
	('d', 'date', '{-infinity,4713-01-01 BC,1999-12-31,2000-01-01,2024-03-10,2024-03-11,294276-12-31,294277-01-01,5874897-12-31,infinity}'),
	('ts', 'timestamp', '{-infinity,"4713-01-01 00:00 BC","1999-12-31 23:59:59.999999",2000-01-01,"2000-01-01 00:00:00.000001",
		2024-03-10,"2024-03-10 02:30","294276-12-31 23:59:59.999999",infinity}'),
	('tz', 'timestamptz', '{-infinity,"4713-01-01 00:00+00 BC","1999-12-31 23:59:59.999999+00","2000-01-01 00:00+00","2000-01-01 00:00-05",
		"2000-01-01 00:00+09","2024-03-10 02:30-05","2024-03-10 03:30-04","294276-12-31 12:00+00",infinity}'),
	('tm', 'time', '{00:00,00:00:00.000001,12:00,23:59:59.999999,24:00}'),
	('u', 'uuid', '{00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001,00000000-0000-0000-8000-000000000000,
		7fffffff-ffff-ffff-ffff-ffffffffffff,80000000-0000-0000-0000-000000000000,80000000-0000-0000-ffff-ffffffffffff,
		80000000-0000-0001-0000-000000000000,ffffffff-ffff-ffff-ffff-fffffffffffe,ffffffff-ffff-ffff-ffff-ffffffffffff}'),
	('x', 'text', ARRAY['', ' ', 'a', 'A', 'a ', 'ä', repeat('long', 1000), repeat('long', 1000) || 'er']),
	('vc', 'varchar(10)', '{"",a,A,"a ",abcdefghij}'),
	('bp', 'char(5)', '{"",a,A,"a  ",abcde}'),
	('e', 'pg_temp.mood', '{sad,ok,happy}'),
	('ip', 'inet', '{0.0.0.0/0,10.0.0.0/8,10.0.0.1/8,10.0.0.1,10.0.0.0/9,10.128.0.0/9,10.128.0.0/8,192.168.1.5/24,255.255.255.255,::/0,
		::1,2001:db8::/32,2001:db8::1/32,2001:db8::1,2001:db8::100:0:0:0,2001:db8:0:ff00::/56,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff}'),
	('ci', 'cidr', '{0.0.0.0/0,10.0.0.0/8,10.0.0.0/9,10.128.0.0/9,10.1.2.3/32,::/0,2001:db8::/32,2001:db8::/33}'),
	('ia', 'int[]', '{"{}","{1}","{2}","{1,2}","{1,1,1}","{NULL}","{1,NULL}","{NULL,NULL,2}","{1,2,3,4,5}","{1,2,3,4,5,6}","{{1,2},{3,4}}",
		"[5:6]={8,9}","{-2147483648,2147483647}","{7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30}",
		"{1,2,3,4,5,6,7,8,9,NULL}"}'),
	('ta', 'text[]', '{"{}","{a}","{A}","{\"a \"}","{\"\"}","{NULL}","{\"NULL\"}","{a,b}","{a,b,NULL}","{a,b,c,d,e}","{a,b,c,d,e,f}","{{a,b},{c,d}}",
		"{f,g,h,i,j,k,l,m}"}'),
	('na', 'numeric[]', '{"{}","{1}","{1.0,2}","{1.00}","{NaN}","{1e400,0.10}","{1,2,3,4,5,6}"}'),
	('fa', 'float8[]', '{"{}","{-0}","{0}","{NaN}","{Infinity,-Infinity}","{0,1,2,3,4,5}"}'),
	('ea', 'pg_temp.mood[]', '{"{}","{sad}","{sad,ok}","{happy,NULL}"}'),
	('di', 'pg_temp.dint', '{-999,-1,0,1,2,2147483647}'),
	('dx', 'pg_temp.dtext', '{"",a,A,"a "}'),
	('da', 'pg_temp.dints', '{"{}","{1}","{1,2}","{NULL}","{1,2,3,4,5,6}"}');

-- What columns are compared with; "known": the access method decides it
CREATE TEMP TABLE cases (col text, type text, ops text[], vals text[], known bool DEFAULT true);
INSERT INTO cases SELECT col, type,
		CASE WHEN type ~ '\[\]$' OR col = 'da' THEN '{&&,@>}'
			WHEN col IN ('x', 'vc', 'bp', 'e', 'dx') THEN '{=}'
			ELSE '{<,<=,=,>=,>}'::text[] END, vals
	FROM cols;
UPDATE cases SET type = 'int4' WHERE col = 'di';
UPDATE cases SET type = 'text' WHERE col = 'dx';
UPDATE cases SET type = 'int[]' WHERE col = 'da';
UPDATE cases SET type = 'text' WHERE col = 'vc';
INSERT INTO cases SELECT c.col, v.type, '{<,<=,=,>=,>}', v.vals
	FROM cols c, cols v WHERE c.type <> v.type AND (c.col || ' ' || v.col) IN ('i2 i4', 'i2 i8', 'i4 i2', 'i4 i8', 'i8 i2', 'i8 i4',
		'f4 f8', 'f8 f4', 'ts d', 'tz d', 'tz ts', 'ci ip');
INSERT INTO cases SELECT 'ip', 'cidr', ops, vals FROM cases WHERE col = 'ci' AND type = 'cidr';
INSERT INTO cases SELECT 'di', type, ops, vals FROM cases WHERE col = 'i4' AND type IN ('int2', 'int8');
-- and what it leaves to the executor
INSERT INTO cases SELECT c.col, v.type, '{<,<=,=,>=,>}', v.vals, false
	FROM cols c, cols v WHERE (c.col || ' ' || v.col) IN ('d ts', 'd tz', 'ts tz', 'i4 n', 'i4 f8');
INSERT INTO cases SELECT col, type, CASE WHEN type ~ '\[\]$' THEN '{<@,=,<>,<,>}' ELSE '{<>,<,>=}'::text[] END, vals, false
	FROM cases WHERE col IN ('x', 'bp', 'e', 'ia', 'ta', 'da');
INSERT INTO cases SELECT col, type, '{<<,>>=,&&,<>}', vals, false FROM cases WHERE col IN ('ip') AND type = 'inet';

-- A table of n rows, f; what a row has depends on its number only
CREATE FUNCTION pg_temp.pick(vals text[], i int, salt int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT vals[1 + (hashint4extended(i, salt) & 65535) % (cardinality(vals) + 1)]
$$;
CREATE FUNCTION pg_temp.row_values(i text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('pg_temp.pick(%L, %s, %s)::%s', vals, i, n, type), ', ' ORDER BY n) FROM cols
$$;
CREATE FUNCTION pg_temp.make_filter_table(n int, dims int, options text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TEMP TABLE f (id int PRIMARY KEY, v vector(%s), %s)', dims,
		(SELECT string_agg(col || ' ' || type, ', ' ORDER BY c.n) FROM cols c));
	EXECUTE format('INSERT INTO f SELECT i, pg_temp.cvec(i - i %% 5 / 4, %s), %s FROM generate_series(1, %s) i',
		dims, pg_temp.row_values('i'), n);
	EXECUTE format('CREATE INDEX fi ON f USING hnsw (v, %s) %s', (SELECT string_agg(col, ', ' ORDER BY c.n) FROM cols c), options);
END $$;

-- How a query's plan has f: "index" if that decides all conditions, "executor" if it
-- does not, "nothing" if the planner knew that there is none
CREATE FUNCTION pg_temp.filtered_by(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN CASE WHEN lines ~ 'One-Time Filter: false' THEN 'nothing'
		WHEN lines !~ 'Order By: ' OR lines ~ 'Sort Key: ' THEN NULL
		WHEN lines !~ 'Index Cond: ' OR lines ~ '\n *Filter: ' THEN 'executor'
		ELSE 'index' END;
END $$;

-- Does the index give all the rows of f that meet a condition, or the nearest k of
-- them, each once and in order?  "verdict" is NULL, or what is wrong.
CREATE FUNCTION pg_temp.check_filter(cond text, near vector, k int DEFAULT NULL,
	OUT verdict text, OUT rows int, OUT plan text) LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT id, v <-> %1$L AS d FROM f WHERE (%2$s) ORDER BY v <-> %1$L LIMIT %3$s', near, cond, coalesce(k::text, 'ALL'));
	want int[];
	got int[];
	ds float8[];
BEGIN
	PERFORM pg_temp.use_index(false);
	EXECUTE format('SELECT array_agg(id) FROM f WHERE v IS NOT NULL AND (%s)', cond) INTO want;
	rows := coalesce(cardinality(want), 0);
	PERFORM pg_temp.use_index(true);
	plan := pg_temp.filtered_by(query);
	EXECUTE format('SELECT array_agg(id), array_agg(d) FROM (%s) s', query) INTO got, ds;
	PERFORM pg_temp.use_index(NULL);
	verdict := cond || coalesce(' limit ' || k, '') || CASE
		WHEN plan IS NULL THEN ': not by the index'
		WHEN coalesce(cardinality(got), 0) <> least(k, rows) THEN format(': %s rows of %s', cardinality(got), rows)
		WHEN (SELECT count(DISTINCT i) FROM unnest(got) i) <> least(k, rows) THEN ': a row twice'
		WHEN NOT want @> got THEN ': other rows'
		WHEN current_setting('hnsw.iterative_scan') <> 'relaxed_order' AND pg_temp.falls(ds) >
			(k IS NULL OR k > least(current_setting('hnsw.ef_search')::int, rows / 4))::int THEN ': not in order'
		END;
END $$;
-- The same for conditions with a semicolon after each
CREATE FUNCTION pg_temp.check_filters(conds text, near vector, OUT cond text, OUT rows int, OUT plan text, OUT verdict text)
RETURNS SETOF record LANGUAGE sql AS $$
	SELECT c.cond, f.rows, f.plan, f.verdict FROM
		(SELECT btrim(x, E' \t\n') AS cond, n FROM regexp_split_to_table(conds, ';') WITH ORDINALITY s(x, n)) c,
		pg_temp.check_filter(c.cond, near) f
	WHERE c.cond <> '' ORDER BY n
$$;

-- A random condition: one on a column, or up to four together
CREATE FUNCTION pg_temp.random_condition() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c cases;
	v text[];
	dice float8 := random();
BEGIN
	SELECT * INTO c FROM cases ORDER BY random() LIMIT 1;
	v := ARRAY(SELECT coalesce(format('%L::%s', x, c.type), format('(SELECT NULL::%s)', c.type))
		FROM (SELECT pg_temp.pick(c.vals, j, (random() * 1e6)::int) AS x FROM generate_series(1, 3) j) s);
	IF dice < 0.06 THEN
		RETURN c.col || CASE WHEN random() < 0.5 THEN ' IS NULL' ELSE ' IS NOT NULL' END;
	ELSIF dice < 0.2 AND '=' = ANY (c.ops) AND EXISTS (SELECT FROM cols t WHERE (t.col, t.type) = (c.col, c.type)) THEN
		RETURN format('%s IN (%s)', c.col, array_to_string(v, ', '));
	ELSIF dice < 0.25 AND '=' = ANY (c.ops) AND c.type !~ '\[' THEN
		RETURN format('%s = ANY ((SELECT ARRAY[%s])::%s[])', c.col, array_to_string(v[1 : (random() * 3)::int] || ('NULL::' || c.type), ', '), c.type);
	ELSIF dice < 0.35 AND '<=' = ANY (c.ops) THEN
		RETURN format('%s BETWEEN %s AND %s', c.col, v[1], v[2]);
	ELSIF dice < 0.37 AND '<=' = ANY (c.ops) THEN
		RETURN format('%s %s ANY (ARRAY[%s])', c.col, c.ops[1 + floor(random() * cardinality(c.ops))::int], array_to_string(v, ', '));
	ELSIF dice < 0.4 THEN
		RETURN format('NOT (%s %s %s)', c.col, c.ops[1 + floor(random() * cardinality(c.ops))::int], v[1]);
	ELSIF dice < 0.45 THEN
		RETURN format('%s %s (SELECT %s)', c.col, c.ops[1 + floor(random() * cardinality(c.ops))::int], v[1]);
	ELSIF dice < 0.47 AND c.type = 'bool' THEN
		RETURN CASE WHEN random() < 0.5 THEN 'NOT ' ELSE '' END || c.col;
	END IF;
	RETURN format('%s %s %s', c.col, c.ops[1 + floor(random() * cardinality(c.ops))::int], v[1]);
END $$;
CREATE FUNCTION pg_temp.random_conditions() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(pg_temp.random_condition(), CASE WHEN random() < 0.05 THEN ' OR ' ELSE ' AND ' END)
	FROM generate_series(1, 1 + floor(random() * random() * 4)::int)
$$;

-- Try so many random conditions; what went wrong, and how many rows there were
CREATE FUNCTION pg_temp.check_random(n int, dims int, OUT wrong text[], OUT rows bigint, OUT empty int, OUT in_index int) LANGUAGE plpgsql AS $$
DECLARE
	cond text;
	c record;
BEGIN
	wrong := '{}';
	rows := 0;
	empty := 0;
	in_index := 0;
	FOR i IN 1 .. n LOOP
		cond := pg_temp.random_conditions();
		c := pg_temp.check_filter(cond, pg_temp.cvec((random() * 1e6)::int, dims));
		wrong := wrong || c.verdict;
		rows := rows + c.rows;
		empty := empty + (c.rows = 0)::int;
		in_index := in_index + (c.plan = 'index')::int;
		c := pg_temp.check_filter(cond, pg_temp.cvec((random() * 1e6)::int, dims), 1 + floor(random() * 30)::int);
		wrong := wrong || c.verdict;
	END LOOP;
	wrong := array_remove(wrong, NULL);
END $$;
\set ECHO all
