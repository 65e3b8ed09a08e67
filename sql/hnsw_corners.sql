--
-- Corners that once were wrong
--
SET client_min_messages = warning;
SET enable_seqscan = off;
CREATE TABLE corners (id int, v vector(3));
CREATE INDEX corners_v ON corners USING hnsw (v);

-- rows newer than a scan join a chain that the scan returns later
INSERT INTO corners SELECT i, array[i, 0, 0]::vector FROM generate_series(1, 20000) i;
SET hnsw.ef_search = 10;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM corners ORDER BY v <-> '[1,0,0]';
FETCH 2 FROM c;
INSERT INTO corners SELECT i, '[5,0,0]' FROM generate_series(100000, 102000) i;
MOVE 3000 FROM c;
COMMIT;
RESET hnsw.ef_search;

-- max_scan_tuples stops the search from going on, and loses nothing it found
TRUNCATE corners;
INSERT INTO corners SELECT i, array[i, 2, 3]::vector FROM generate_series(1, 100) i;
SET hnsw.max_scan_tuples = 20;
SELECT id FROM corners ORDER BY v <-> '[90.1,2,3]' LIMIT 5;
SELECT count(*) BETWEEN 40 AND 100 AS ok FROM (SELECT id FROM corners ORDER BY v <-> '[90,2,3]') s;
RESET hnsw.max_scan_tuples;
SELECT count(*) FROM (SELECT id FROM corners ORDER BY v <-> '[90,2,3]') s;

-- vacuum leaves nothing but the head of a chain, its own row removed; without
-- iterative scans, only the graph leads there
TRUNCATE corners;
INSERT INTO corners VALUES (0, '[5,5,5]');
INSERT INTO corners SELECT i, '[1,1,1]' FROM generate_series(1, 50) i;
DELETE FROM corners WHERE id < 2;
VACUUM corners;
SET hnsw.iterative_scan = off;
SELECT count(*) FROM (SELECT id FROM corners ORDER BY v <-> '[1,1,1]') s;
INSERT INTO corners SELECT i, '[1,1,1]' FROM generate_series(51, 52) i;
SELECT count(*) FROM (SELECT id FROM corners ORDER BY v <-> '[1,1,1]') s;
RESET hnsw.iterative_scan;

-- a row added by each of many sessions takes a slot that is free already
CREATE TABLE corners768 (id int, v vector(768));
CREATE INDEX corners768_v ON corners768 USING hnsw (v);
INSERT INTO corners768 SELECT i, array_fill(i, array[768])::vector FROM generate_series(1, 3) i;
SELECT pg_relation_size('corners768_v') AS before \gset
\c -
INSERT INTO corners768 SELECT i, array_fill(i, array[768])::vector FROM generate_series(11, 11) i;
\c -
INSERT INTO corners768 SELECT i, array_fill(i, array[768])::vector FROM generate_series(12, 12) i;
SELECT pg_relation_size('corners768_v') = :before AS same;

DROP TABLE corners, corners768;
