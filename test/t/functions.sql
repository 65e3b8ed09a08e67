-- Functions for tests, see VxTest.pm and test/upgrade.

-- A vector that depends on its number only, near one of 50 centers
CREATE FUNCTION vec(i int, dims int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg((hashint4extended(j, i % 50) & 65535) / 65536.0::float4
		+ (hashint4extended(j, i) & 65535) / 163840.0::float4 - 0.7)::vector
	FROM generate_series(1, dims) j
$$;

-- FROM and ORDER BY of a query that an hnsw index answers, for a vector that is none of
-- its table's.  Works for expression and partial indexes, and any operator.
CREATE FUNCTION index_query(index regclass) RETURNS text LANGUAGE sql AS $$
	SELECT format('FROM %s WHERE %s ORDER BY (%s) OPERATOR(%I.%s) ''[%s]''', i.indrelid::regclass,
		coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'), pg_get_indexdef(index, 1, true), n.nspname, o.oprname,
		(SELECT string_agg((0.3 - j % 7 / 10.0)::text, ',') FROM generate_series(1, (vectorx_index_info(index)).dimensions) j))
	FROM pg_index i JOIN pg_opclass c ON c.oid = i.indclass[0]
		JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoppurpose = 'o' AND a.amoplefttype = c.opcintype
		JOIN pg_operator o ON o.oid = a.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
	WHERE i.indexrelid = index
$$;

-- Make plans use indexes in order, or not at all, to the end of the transaction
CREATE FUNCTION use_indexes(yes bool) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	PERFORM set_config('enable_seqscan', (NOT yes)::text, true), set_config('enable_sort', (NOT yes)::text, true),
		set_config('enable_indexscan', yes::text, true), set_config('enable_indexonlyscan', 'off', true),
		set_config('enable_bitmapscan', 'off', true);
END $$;

-- What vectorx_index_check finds, but for nodes that are out of reach on level 0 only,
-- and a few that are on all layers: one, one in fifty, or one in three if m < 4
CREATE FUNCTION index_findings(index regclass, heap bool DEFAULT true) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT f::text FROM vectorx_index_check(index, heap) f,
		LATERAL regexp_match(detail, '^\d+ of (\d+) nodes .* (\d+) \(\S+ %\) on no layer$') n
	WHERE kind <> 'unreachable' OR n IS NULL OR n[2]::int > 1 + n[1]::int /
		-- not vectorx_index_info: REINDEX CONCURRENTLY may have made the index invalid
		CASE WHEN (SELECT option_value::int FROM pg_class, pg_options_to_table(reloptions)
			WHERE oid = index AND option_name = 'm') < 4 THEN 3 ELSE 50 END
$$;

-- What is wrong with an hnsw index, a row for each fault: what index_findings
-- finds; and whether a scan of all of it gives the rows of its table, as a sequential
-- scan has them in the same snapshot, each once, and in order but where the rows that
-- were found late begin.
CREATE FUNCTION index_faults(index regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	q text := index_query(index);
	distance text := substring(q FROM 'ORDER BY (.*)');
	line text;
	used bool := false;
	falls int;
	indexed tid[];
	stored tid[];
	nrows bigint := (vectorx_index_info(index)).rows;
BEGIN
	RETURN QUERY SELECT index_findings(index);
	PERFORM use_indexes(true);
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT ctid ' || q LOOP
		used := used OR line LIKE '%Index Scan using ' || (SELECT quote_ident(relname) FROM pg_class WHERE oid = index) || ' on %';
	END LOOP;
	IF NOT used THEN
		RETURN NEXT 'the index is not used: ' || q;
	END IF;
	EXECUTE format('SELECT array_agg(ctid ORDER BY ctid), count(*) FILTER (WHERE d < before - 1e-5)
		FROM (SELECT *, lag(d) OVER (ORDER BY r) AS before FROM (
			SELECT *, row_number() OVER () AS r FROM (SELECT ctid, %s AS d %s) a) b) c', distance, q)
		INTO indexed, falls;
	PERFORM use_indexes(false);
	EXECUTE format('SELECT array_agg(ctid ORDER BY ctid) %s AND %s IS NOT NULL', substring(q FROM '(.*) ORDER BY'), distance) INTO stored;
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

-- The rows that a search of an index finds, nearest first
CREATE FUNCTION index_answer(index regclass, k int) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM use_indexes(true);
	RETURN QUERY EXECUTE format('SELECT ctid || '' '' || (%s)::text %s LIMIT %s',
		substring(index_query(index) FROM 'ORDER BY (.*)'), index_query(index), k);
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

-- What a table has: the number of its rows, and a digest of them in no order
CREATE FUNCTION digest_of(tab regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	digest text;
BEGIN
	EXECUTE format('SELECT count(*) || '' '' || coalesce(md5(string_agg(d, '''' ORDER BY d)), '''') FROM (SELECT md5(t::text) FROM ONLY %s t) s (d)', tab) INTO digest;
	RETURN digest;
END $$;

-- What an extension has made, a row for each object, with all that its script can say of
-- it; but for array types, which are members of it in some versions of PostgreSQL only
CREATE FUNCTION extension_catalog(ext name) RETURNS SETOF text LANGUAGE sql AS $$
	WITH members AS (
		SELECT classid, objid FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			AND refobjid = (SELECT oid FROM pg_extension WHERE extname = ext)
			AND NOT (classid = 'pg_type'::regclass AND objid IN (SELECT typarray FROM pg_type))
	)
	SELECT concat_ws(' ', 'extension', extversion, extrelocatable, extnamespace::regnamespace, extconfig, obj_description(oid, 'pg_extension'))
		FROM pg_extension WHERE extname = ext
	UNION ALL
	SELECT concat_ws(' ', o.type, o.identity, 'comment:', obj_description(objid, c.relname))
		FROM members JOIN pg_class c ON c.oid = classid, pg_identify_object(classid, objid, 0) o
	UNION ALL
	SELECT concat_ws(' ', 'function', p.oid::regprocedure, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), l.lanname, prokind,
			provolatile, proparallel, proisstrict, proleakproof, prosecdef, procost, prorows, prosupport, prosrc, probin, proconfig, 'acl', proacl)
		FROM members JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid JOIN pg_language l ON l.oid = prolang
	UNION ALL
	SELECT concat_ws(' ', 'aggregate', aggfnoid::regprocedure, aggkind, aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn,
			aggsortop, aggtranstype::regtype, aggtransspace, aggfinalextra, aggfinalmodify, agginitval)
		FROM members JOIN pg_aggregate a ON classid = 'pg_proc'::regclass AND a.aggfnoid = objid
	UNION ALL
	SELECT concat_ws(' ', 'type', t.oid::regtype, typlen, typbyval, typtype, typcategory, typispreferred, typdelim, typelem::regtype, typarray::regtype,
			typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze, typsubscript, typalign, typstorage, typnotnull,
			typbasetype::regtype, typcollation::regcollation, typdefault, 'acl', typacl)
		FROM members JOIN pg_type t ON classid = 'pg_type'::regclass AND t.oid = objid
	UNION ALL
	SELECT concat_ws(' ', 'operator', o.oid::regoperator, oprcanmerge, oprcanhash, oprresult::regtype, oprcom::regoperator, oprnegate::regoperator,
			oprcode, oprrest, oprjoin)
		FROM members JOIN pg_operator o ON classid = 'pg_operator'::regclass AND o.oid = objid
	UNION ALL
	SELECT concat_ws(' ', 'class', m.amname, opcname, f.opfname, opcintype::regtype, opcdefault, opckeytype::regtype)
		FROM members JOIN pg_opclass c ON classid = 'pg_opclass'::regclass AND c.oid = objid
			JOIN pg_am m ON m.oid = opcmethod JOIN pg_opfamily f ON f.oid = opcfamily
	UNION ALL
	SELECT concat_ws(' ', 'family operator', m.amname, f.opfname, amopstrategy, amoppurpose, amopopr::regoperator, s.opfname)
		FROM members JOIN pg_opfamily f ON classid = 'pg_opfamily'::regclass AND f.oid = objid
			JOIN pg_amop a ON amopfamily = f.oid JOIN pg_am m ON m.oid = amopmethod LEFT JOIN pg_opfamily s ON s.oid = amopsortfamily
	UNION ALL
	SELECT concat_ws(' ', 'family function', m.amname, f.opfname, amprocnum, amproclefttype::regtype, amprocrighttype::regtype, amproc::regprocedure)
		FROM members JOIN pg_opfamily f ON classid = 'pg_opfamily'::regclass AND f.oid = objid
			JOIN pg_amproc a ON amprocfamily = f.oid JOIN pg_am m ON m.oid = opfmethod
	UNION ALL
	SELECT concat_ws(' ', 'cast', castsource::regtype, casttarget::regtype, castfunc::regprocedure, castcontext, castmethod)
		FROM members JOIN pg_cast c ON classid = 'pg_cast'::regclass AND c.oid = objid
	UNION ALL
	SELECT concat_ws(' ', 'access method', amname, amhandler, amtype)
		FROM members JOIN pg_am a ON classid = 'pg_am'::regclass AND a.oid = objid
	UNION ALL
	SELECT concat_ws(' ', 'relation', r.oid::regclass, relkind, 'acl', relacl, pg_get_viewdef(r.oid))
		FROM members JOIN pg_class r ON classid = 'pg_class'::regclass AND r.oid = objid
	ORDER BY 1
$$;
