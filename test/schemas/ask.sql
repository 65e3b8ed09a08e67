-- What an upgraded cluster must answer as before: rows, searches, the extension's objects
SELECT 'rows', c.oid::regclass, digest_of(c.oid)
FROM pg_class c WHERE relkind IN ('r', 'm', 'v') AND relnamespace IN ('public'::regnamespace, 'app'::regnamespace) ORDER BY c.oid::regclass::text COLLATE "C";
SELECT 'found', i, index_answer(i, 12) FROM (
	SELECT c.oid::regclass AS i FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE amname = 'hnsw' AND relkind = 'i') s ORDER BY i::text COLLATE "C";
BEGIN;
SELECT FROM use_indexes(true);
SELECT 'filtered', count(*), md5(string_agg(id::text, ',' ORDER BY id)) FROM (
	SELECT id FROM filtered WHERE kind = 'kind 3' AND price > 10 AND flag ORDER BY v <-> vec(1, 48) LIMIT 500) s;
SELECT 'filtered', count(*), md5(string_agg(id::text, ',' ORDER BY id)) FROM (
	SELECT id FROM filtered WHERE day BETWEEN '2020-02-01' AND '2020-05-01' AND at < '2021-01-01 UTC' AND address <> '10.0.7.1' AND clock > '10:10' ORDER BY v <-> vec(1, 48) LIMIT 500) s;
SELECT 'filtered', count(*), md5(string_agg(id::text, ',' ORDER BY id)) FROM (
	SELECT id FROM filtered WHERE lower(kind) = 'kind 2' AND id % 3 = 1 AND id > 5 ORDER BY v <=> vec(1, 48) LIMIT 500) s;
COMMIT;
SELECT 'definition', pg_get_indexdef(c.oid), reloptions FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE amname = 'hnsw' ORDER BY pg_get_indexdef(c.oid) COLLATE "C";
SELECT 'extension', c FROM extension_catalog('vectorx') c;
