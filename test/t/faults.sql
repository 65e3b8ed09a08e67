-- What is wrong with an hnsw index, a row for each fault: what vectorx_index_check
-- finds; and whether a scan of all of it gives the rows of its table, as a sequential
-- scan has them in the same snapshot, each once, and in order but where the rows that
-- were found late begin.  Works for expression and partial indexes, and any operator.
CREATE FUNCTION index_faults(index regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	tab regclass;
	expr text;
	cond text;
	op text;
	dims int;
	q text;
	line text;
	used bool := false;
	falls int;
	nrows bigint;
	indexed tid[];
	stored tid[];
BEGIN
	RETURN QUERY SELECT f::text FROM vectorx_index_check(index) f WHERE kind <> 'unreachable';
	SELECT i.indrelid, pg_get_indexdef(i.indexrelid, 1, true), coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'),
			format('OPERATOR(%I.%s)', n.nspname, o.oprname)
		INTO tab, expr, cond, op
		FROM pg_index i JOIN pg_opclass c ON c.oid = i.indclass[0]
			JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoppurpose = 'o' AND a.amoplefttype = c.opcintype
			JOIN pg_operator o ON o.oid = a.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
		WHERE i.indexrelid = index;
	SELECT dimensions, rows INTO dims, nrows FROM vectorx_index_info(index);
	-- a vector that is none of the table's
	SELECT '''[' || string_agg((0.3 - j % 7 / 10.0)::text, ',') || ']''' INTO q FROM generate_series(1, dims) j;
	q := format('FROM %s WHERE %s ORDER BY (%s) %s %s', tab, cond, expr, op, q);

	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	SET LOCAL enable_indexscan = on;
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT ctid ' || q LOOP
		used := used OR line LIKE '%Index Scan using ' || (SELECT quote_ident(relname) FROM pg_class WHERE oid = index) || ' on %';
	END LOOP;
	IF NOT used THEN
		RETURN NEXT 'the index is not used: ' || q;
	END IF;
	EXECUTE format('SELECT array_agg(ctid ORDER BY ctid), count(*) FILTER (WHERE d < before - 1e-5)
		FROM (SELECT *, lag(d) OVER (ORDER BY r) AS before FROM (
			SELECT *, row_number() OVER () AS r FROM (SELECT ctid, %s AS d %s) a) b) c', substring(q FROM 'ORDER BY (.*)'), q)
		INTO indexed, falls;
	SET LOCAL enable_seqscan = on;
	SET LOCAL enable_indexscan = off;
	SET LOCAL enable_indexonlyscan = off;
	SET LOCAL enable_bitmapscan = off;
	EXECUTE format('SELECT array_agg(ctid ORDER BY ctid) FROM %s WHERE %s AND (%s) IS NOT NULL', tab, cond, expr) INTO stored;
	IF falls > 1 THEN
		RETURN NEXT format('%s rows are out of order', falls);
	END IF;
	IF indexed IS DISTINCT FROM stored THEN
		RETURN NEXT format('a scan gives %s rows, of which %s are not in the table, which has %s, of which %s were not given',
			coalesce(cardinality(indexed), 0), (SELECT count(*) FROM (SELECT unnest(indexed) EXCEPT ALL SELECT unnest(stored)) s),
			coalesce(cardinality(stored), 0), (SELECT count(*) FROM (SELECT unnest(stored) EXCEPT ALL SELECT unnest(indexed)) s));
	END IF;
	IF nrows < coalesce(cardinality(stored), 0) THEN
		RETURN NEXT format('vectorx_index_info counts %s rows', nrows);
	END IF;
END $$;

-- Likewise, of all hnsw indexes of the database that are valid
CREATE FUNCTION all_index_faults() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	index regclass;
BEGIN
	FOR index IN SELECT c.oid FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_index i ON i.indexrelid = c.oid
		WHERE a.amname = 'hnsw' AND c.relkind = 'i' AND i.indisvalid ORDER BY 1
	LOOP
		RETURN QUERY SELECT index || ': ' || f FROM index_faults(index) f;
	END LOOP;
END $$;
