-- Tables and indexes of all kinds, for tests that dump or upgrade them; functions.sql has
-- been read before
CREATE SCHEMA app;
CREATE SEQUENCE ids;

-- indexes of every metric and code, with removed rows, free slots and duplicates
CREATE TABLE plain (id int PRIMARY KEY, v vector(48));
INSERT INTO plain SELECT i, CASE WHEN i % 10 = 0 THEN vec(i % 20, 48) ELSE vec(i, 48) END FROM generate_series(1, 300) i;
INSERT INTO plain VALUES (1001, NULL), (1002, array_fill(0, ARRAY[48])::vector);
CREATE INDEX plain_l2 ON plain USING hnsw (v) WITH (m = 6, ef_construction = 30);
CREATE INDEX plain_ip ON plain USING hnsw (v vector_ip_ops) WITH (ef_construction = 50);
CREATE INDEX plain_cosine ON plain USING hnsw (v vector_cosine_ops);
CREATE INDEX plain_l1 ON plain USING hnsw (v vector_l1_ops) WITH (m = 5);
CREATE INDEX plain_cosine_2 ON plain USING hnsw ((subvector(v, 1, 48)::vector(48)) vector_cosine_ops) WITH (code_bits = '2');
CREATE INDEX plain_l2_4 ON plain USING hnsw ((l2_normalize(v)::vector(48))) WITH (code_bits = '4', m = 6);
DELETE FROM plain WHERE id % 4 = 1;
VACUUM (INDEX_CLEANUP on) plain;
INSERT INTO plain SELECT i, vec(i, 48) FROM generate_series(2001, 2030) i;
DELETE FROM plain WHERE id % 9 = 1;
CREATE TABLE raw (id int PRIMARY KEY, v vector(3) DEFAULT '[1,2,3]', w vector(3) NOT NULL DEFAULT ARRAY[1,2,3]::vector);
INSERT INTO raw SELECT i, vec(i % 70, 3) FROM generate_series(1, 200) i;
INSERT INTO raw (id) SELECT i FROM generate_series(201, 230) i;
CREATE INDEX raw_l2 ON raw USING hnsw (v) WITH (m = 6, ef_construction = 24);
CREATE INDEX raw_w ON raw USING hnsw (w vector_ip_ops);
DELETE FROM raw WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP on) raw;

-- filter columns of all types, and of expressions
CREATE TABLE filtered (id int, kind text, price numeric(10,2), day date, at timestamptz, clock time, key uuid, flag bool, address inet, ratio float8, ref oid, v vector(48));
INSERT INTO filtered SELECT i, CASE WHEN i % 9 > 0 THEN 'kind ' || i % 7 END, i / 3.0, '2020-01-01'::date + i, '2020-01-01 UTC'::timestamptz + i * '1 hour'::interval,
	'10:00'::time + i * '1 min'::interval, md5(i::text)::uuid, i % 2 = 0, ('10.0.' || i % 200 || '.1')::inet, i * 0.7, i, vec(i, 48) FROM generate_series(1, 200) i;
CREATE INDEX filtered_all ON filtered USING hnsw (v, id, kind, price, day, at, clock, key, flag, address, ratio, ref) WITH (m = 6, ef_construction = 24);
CREATE INDEX filtered_part ON filtered USING hnsw (v vector_cosine_ops, lower(kind), (id % 3)) WHERE id > 5;
DELETE FROM filtered WHERE id % 8 = 3;
VACUUM (INDEX_CLEANUP on) filtered;
INSERT INTO filtered (id, kind, price, v) SELECT i, 'new', i, vec(i, 48) FROM generate_series(301, 320) i;

-- out of line, larger than a page
CREATE TABLE large (id int PRIMARY KEY, v vector(5000));
CREATE INDEX large_l2 ON large USING hnsw (v) WITH (m = 6, ef_construction = 24);
INSERT INTO large SELECT i, vec(i, 5000) FROM generate_series(1, 12) i;
DELETE FROM large WHERE id % 4 = 0;
CREATE TABLE kept_inside (id int, v vector(1500));
ALTER TABLE kept_inside ALTER v SET STORAGE MAIN, ALTER v SET STATISTICS 500;
INSERT INTO kept_inside SELECT i, vec(i, 1500) FROM generate_series(1, 5) i;
CREATE INDEX kept_inside_i ON kept_inside USING hnsw (v);

-- empty, emptied, unlogged
CREATE TABLE empty (id int, v vector(48));
CREATE INDEX empty_i ON empty USING hnsw (v);
CREATE TABLE emptied (id int, v vector(48));
INSERT INTO emptied SELECT i, vec(i, 48) FROM generate_series(1, 50) i;
CREATE INDEX emptied_i ON emptied USING hnsw (v);
DELETE FROM emptied;
VACUUM (INDEX_CLEANUP on) emptied;
CREATE UNLOGGED TABLE unlogged (id int, v vector(48));
CREATE INDEX unlogged_i ON unlogged USING hnsw (v);
INSERT INTO unlogged SELECT i, vec(i, 48) FROM generate_series(1, 50) i;

-- partial and expression indexes, in another schema, with odd names
CREATE TABLE app."Odd ""Name""" (id int, "The Vector" vector, kind text, tags text[]);
INSERT INTO app."Odd ""Name""" SELECT i, vec(i, CASE WHEN i % 3 = 0 THEN 8 ELSE 24 END), 'kind ' || i % 4, ARRAY['a', NULL] FROM generate_series(1, 100) i;
CREATE INDEX "8 Dims" ON app."Odd ""Name""" USING hnsw (("The Vector"::vector(8)) vector_cosine_ops) WITH (m = 4, ef_construction = 10) WHERE vector_dims("The Vector") = 8;
CREATE INDEX "24 Dims" ON app."Odd ""Name""" USING hnsw (("The Vector"::vector(24)) vector_l1_ops) WHERE vector_dims("The Vector") = 24 AND kind <> 'kind 1';
CREATE INDEX part_of ON app."Odd ""Name""" USING hnsw ((subvector("The Vector", 2, 5)::vector(5)));

-- other indexes on vectors, statistics, constraints
CREATE TABLE compared (v vector(4) PRIMARY KEY, w vector UNIQUE, CHECK (vector_norm(v) < 100), CHECK (w > '[-1000]'), EXCLUDE USING hash (w WITH =));
INSERT INTO compared SELECT vec(i, 4), vec(i, 1 + i % 5) FROM generate_series(1, 60) i;
CREATE INDEX compared_hash ON compared USING hash (v);
CREATE INDEX compared_distance ON compared ((v <-> '[0,0,0,0]'), v DESC) INCLUDE (w) WHERE v > '[-1,0,0,0]';
CREATE STATISTICS compared_stats ON v, w FROM compared;
CREATE STATISTICS compared_norm ON (vector_norm(v)), v FROM compared;
CREATE TABLE refers (v vector(4) REFERENCES compared ON DELETE CASCADE);
INSERT INTO refers SELECT v FROM compared WHERE v > '[0,0,0,0]';

-- types of vectors
CREATE DOMAIN unit AS vector(4) CHECK (round(vector_norm(VALUE)::numeric, 4) = 1) DEFAULT '[1,0,0,0]';
CREATE DOMAIN units AS unit[];
CREATE TYPE named AS (name text, v vector(4), many vector(2)[]);
CREATE TYPE vector_range AS RANGE (subtype = vector);
CREATE TABLE typed (id int, u unit, us units, n named, ns named[], r vector_range, a vector(3)[], aa vector[][], e vector(2)[] DEFAULT '{}');
INSERT INTO typed SELECT i, l2_normalize(vec(i, 4)), ARRAY[l2_normalize(vec(i, 4)), '[0,1,0,0]']::units, ROW('x,"\' || i, vec(i, 4), ARRAY[vec(i, 2)])::named,
	ARRAY[ROW(NULL, NULL, '{}')::named], vector_range(vec(i, 2), vec(i, 2) + '[1,0]'), ARRAY[vec(i, 3), NULL], ARRAY[[vec(i, 1)], [vec(i, 9)]] FROM generate_series(1, 40) i;
INSERT INTO typed (id) VALUES (100);
CREATE INDEX typed_u ON typed USING hnsw ((u::vector(4)) vector_cosine_ops);
CREATE INDEX typed_n ON typed USING hnsw (((n).v));
CREATE INDEX typed_a ON typed USING hnsw ((a[1]::vector(3)));

-- generated columns, defaults, identity, inheritance
CREATE TABLE generated (id int GENERATED ALWAYS AS IDENTITY, v vector(12) COMPRESSION pglz, n vector(12) GENERATED ALWAYS AS (l2_normalize(v)) STORED,
	norm float8 GENERATED ALWAYS AS (vector_norm(v)) STORED, s vector GENERATED ALWAYS AS (subvector(v, 1, 4) || '[7]') STORED);
INSERT INTO generated (v) SELECT vec(i, 12) FROM generate_series(1, 60) i;
CREATE INDEX generated_n ON generated USING hnsw (n vector_ip_ops);
CREATE TABLE parent (id int, v vector(12));
CREATE TABLE child (extra vector(2) DEFAULT '[0,-0]') INHERITS (parent);
INSERT INTO parent SELECT i, vec(i, 12) FROM generate_series(1, 20) i;
INSERT INTO child SELECT i, vec(i, 12) FROM generate_series(21, 40) i;
CREATE INDEX child_i ON child USING hnsw (v);

-- partitions: an index of the whole, one attached by hand, one of a partition only
CREATE TABLE parted (id int, v vector(24), at date) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200) PARTITION BY LIST (at);
CREATE TABLE parted_2_rest PARTITION OF parted_2 DEFAULT;
CREATE TABLE parted_3 (at date, dropped int, id int, v vector(24));
ALTER TABLE parted_3 DROP dropped;
INSERT INTO parted_3 SELECT '2020-02-02', i, vec(i, 24) FROM generate_series(200, 250) i;
CREATE INDEX parted_3_by_hand ON parted_3 USING hnsw (v vector_cosine_ops) WITH (m = 7);
ALTER TABLE parted ATTACH PARTITION parted_3 FOR VALUES FROM (200) TO (300);
CREATE INDEX parted_all ON parted USING hnsw (v) WITH (m = 8, ef_construction = 33);
CREATE INDEX parted_cosine ON ONLY parted USING hnsw (v vector_cosine_ops);
ALTER INDEX parted_cosine ATTACH PARTITION parted_3_by_hand;
INSERT INTO parted SELECT i, vec(i, 24), NULL FROM generate_series(1, 199) i;
CREATE TABLE by_vector (v vector(2)) PARTITION BY LIST (v);
CREATE TABLE by_vector_1 PARTITION OF by_vector FOR VALUES IN ('[1,2]', '[3,4]');
CREATE TABLE by_hash (v vector(2)) PARTITION BY HASH (v);
CREATE TABLE by_hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_hash_1 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_vector VALUES ('[1,2]'), ('[3,4]'), ('[1,2]');
INSERT INTO by_hash SELECT vec(i, 2) FROM generate_series(1, 40) i;

-- views, functions, rules, triggers, policies that name operators and types
CREATE VIEW app.nearest AS SELECT id, v <-> '[1,2,3]' AS l2, v <#> w AS ip, v <=> w AS cosine, v <+> w AS l1, v || w AS both, v[2] AS second,
	(v + w) * (v - w) AS product FROM raw WHERE v > '[-5]' AND v <> w ORDER BY v <-> '[1,2,3]' LIMIT 20;
CREATE MATERIALIZED VIEW grouped AS SELECT id % 5 AS kind, avg(v)::vector(48) AS v, sum(v) AS total, count(*) FROM plain GROUP BY 1;
CREATE INDEX grouped_i ON grouped USING hnsw (v);
CREATE UNIQUE INDEX grouped_kind ON grouped (kind);
CREATE FUNCTION app.nearer(a vector, b vector DEFAULT '[1,2,3]') RETURNS bool LANGUAGE sql IMMUTABLE RETURN a <-> b < 1;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := coalesce(NEW.v, '[0,0,0]'); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF v ON raw FOR EACH ROW WHEN (NEW.v <> '[9,9,9]') EXECUTE FUNCTION app.touch();
CREATE RULE quiet AS ON UPDATE TO child WHERE NEW.v = OLD.v DO INSTEAD NOTHING;
ALTER TABLE raw ENABLE ROW LEVEL SECURITY;
CREATE POLICY near ON raw USING (v <-> '[0,0,0]' < 1000);
CREATE AGGREGATE app.total (vector) (SFUNC = vector_add, STYPE = vector);
CREATE OPERATOR app.<<->> (LEFTARG = vector, RIGHTARG = vector, FUNCTION = l2_distance);
CREATE CAST (vector AS text) WITH INOUT;

-- an operator class of the user's, on the access method
CREATE OPERATOR CLASS app.my_l2_ops FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 vectorx_vector_l2_space(internal);
CREATE INDEX raw_mine ON raw USING hnsw (((v + w)::vector(3)) app.my_l2_ops);

-- settings and options that dumps keep
CREATE INDEX concurrently_i ON parted_1 USING hnsw (v vector_l1_ops);
ALTER INDEX plain_l2 SET (ef_construction = 70);
COMMENT ON INDEX plain_l2 IS 'options changed after it was built';
ALTER INDEX typed_n ALTER COLUMN 1 SET STATISTICS 300;
CLUSTER compared USING compared_pkey;
ANALYZE;
