-- What an upgraded cluster must answer as before: rows, searches, the extension's objects
SELECT 'rows', c.oid::regclass, (xpath('//text()', query_to_xml(format('SELECT count(*) || '' '' || coalesce(md5(string_agg(d, '''' ORDER BY d)), '''') FROM (SELECT md5(t::text) FROM ONLY %s t) s (d)', c.oid::regclass), true, true, '')))[1]
FROM pg_class c WHERE relkind IN ('r', 'm', 'v') AND relnamespace IN ('public'::regnamespace, 'app'::regnamespace) ORDER BY c.oid::regclass::text COLLATE "C";
SELECT 'found', i, index_answer(i, 12) FROM (
	SELECT c.oid::regclass AS i FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE amname = 'hnsw' AND relkind = 'i') s ORDER BY i::text COLLATE "C";
SELECT 'definition', pg_get_indexdef(c.oid), reloptions FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE amname = 'hnsw' ORDER BY pg_get_indexdef(c.oid) COLLATE "C";
SELECT 'extension', c FROM extension_catalog('vectorx') c;
