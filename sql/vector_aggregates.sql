--
-- sum(vector) and avg(vector)
--
SELECT sum(v), avg(v) FROM unnest('{"[1,2,3]","[3,5,7]"}'::vector[]) v;
SELECT sum(v), avg(v) FROM unnest('{"[1,2,3]",NULL,"[3,5,7]"}'::vector[]) v;
SELECT sum(v), avg(v) FROM unnest('{"[1.5]"}'::vector[]) v;
SELECT sum(v), avg(v) FROM unnest('{NULL}'::vector[]) v;
SELECT sum(v), avg(v) FROM unnest('{}'::vector[]) v;
SELECT avg(v) FROM unnest('{"[3e38]","[3e38]","[3e38]"}'::vector[]) v;
SELECT avg(v) FROM unnest('{"[1e-45]","[1e-45]"}'::vector[]) v;
SELECT sum(v) FROM unnest('{"[3e38]","[3e38]"}'::vector[]) v;
SELECT sum(v) FROM unnest('{"[1,2]","[3]"}'::vector[]) v;
SELECT avg(v) FROM unnest('{"[1,2]","[3]"}'::vector[]) v;
SELECT vector_dims(sum(v)), vector_dims(avg(v)) FROM (SELECT array_fill(i, ARRAY[16000])::vector AS v FROM generate_series(1, 3) i) s;

-- groups, and what was summed is not changed
CREATE TABLE va (id int, v vector(3));
INSERT INTO va SELECT i, ARRAY[i, -i, i % 10]::vector FROM generate_series(1, 1000) i;
SELECT id % 3 AS g, sum(v), avg(v) FROM va GROUP BY g ORDER BY g;
SELECT id, sum(v) OVER (ORDER BY id), avg(v) OVER (ORDER BY id ROWS 1 PRECEDING) FROM va ORDER BY id LIMIT 4;
SELECT sum(v), sum(v) FILTER (WHERE id > 500), avg(DISTINCT v) FROM va;
SELECT v FROM va WHERE id <= 2 ORDER BY id;

-- in parallel
SELECT proname, p.proparallel, aggcombinefn FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid
	WHERE proargtypes[0] = 'vector'::regtype ORDER BY proname;
BEGIN;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
CREATE FUNCTION uses_gather(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line LIKE '%Gather%' THEN RETURN true; END IF;
	END LOOP;
	RETURN false;
END $$;
SELECT uses_gather('SELECT sum(v), avg(v) FROM va');
SELECT sum(v), avg(v) FROM va;
SELECT sum(v), avg(v) FROM va WHERE id < 0;
SELECT sum(v), avg(v) FROM va WHERE id = 7;
ROLLBACK;
DROP TABLE va;

-- the parts
SELECT vector_accum('{0}', '[1,2]'), vector_accum('{1,2,3}', '[1,2]'), vector_accum('{0,0,0}', '[1,2]');
SELECT vector_combine('{0}', '{0}'), vector_combine('{0}', '{1,2,3}'), vector_combine('{1,2,3}', '{0}'), vector_combine('{1,2,3}', '{2,4,5}');
SELECT vector_avg('{0}'), vector_avg('{0,0,0}'), vector_avg('{2,3,4}');
SELECT vector_accum('{1,2,3}', '[1]');
SELECT vector_combine('{1,2,3}', '{1,2}');

-- states of someone's own making
CREATE FUNCTION try_states(VARIADIC states text[]) RETURNS TABLE (state text, accum text, combine1 text, combine2 text, avg text)
LANGUAGE plpgsql AS $$
DECLARE
	calls text[] := ARRAY['vector_accum(%L, ''[1,2]'')', 'vector_combine(%L, ''{1,2,3}'')', 'vector_combine(''{1,2,3}'', %L)', 'vector_avg(%L)'];
	result text;
	results text[];
BEGIN
	FOREACH state IN ARRAY states LOOP
		FOR i IN 1 .. 4 LOOP
			BEGIN
				EXECUTE 'SELECT ' || format(calls[i], state) INTO result;
			EXCEPTION WHEN OTHERS THEN
				result := SQLSTATE;
			END;
			results[i] := result;
		END LOOP;
		accum := results[1]; combine1 := results[2]; combine2 := results[3]; avg := results[4];
		RETURN NEXT;
	END LOOP;
END $$;
SELECT * FROM try_states('{}', '{NULL}', '{1,NULL,3}', '{{1,2,3}}', '{{1},{2},{3}}', '{-1,2,3}', '{NaN,2,3}', '{Infinity,2,3}', '{1}',
	'{1,NaN,3}', '{1,1e308,3}', '{1,Infinity,3}', '{1e-320,2,3}', '{1e308,2,3}', '{0.5,2,3}', '[5:7]={1,2,3}');
SELECT vector_avg(array_fill(1::float8, ARRAY[16002]));
SELECT vector_avg('{NULL}');
DROP FUNCTION try_states;
