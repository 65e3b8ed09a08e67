--
-- COPY and the binary form of vectors
--
CREATE TABLE vy (id int, v vector(4));
COPY vy FROM stdin;
1	[1,2,3,4]
2	\N
3	 [ -1.5 , 1e-3 , 0.1 , -0 ] 
\.
COPY vy FROM stdin;
4	[1,2,3]
\.
COPY vy FROM stdin;
4	[1,2,3,x]
\.
COPY vy FROM stdin WITH (FORMAT csv);
4,"[5,6,7,8]"
5,
\.
COPY vy TO stdout;
COPY vy TO stdout WITH (FORMAT csv);

-- binary form
SELECT vector_send('[1,-2,0.5]'), length(vector_send(array_fill(1, ARRAY[16000])::vector));
SELECT vector_send('[-0]');

-- binary there and back; files are written where the server may
CREATE TABLE vz (id int, v vector(4));
SELECT current_setting('data_directory') || '/vectorx_copy_test.bin' AS file \gset
COPY vy TO :'file' WITH (FORMAT binary);
COPY vz FROM :'file' WITH (FORMAT binary);
SELECT count(*) AS n, count(*) FILTER (WHERE vector_send(vy.v) IS DISTINCT FROM vector_send(vz.v)) AS differ FROM vy JOIN vz USING (id);
CREATE TABLE vw (id int, v vector(3));
COPY vw FROM :'file' WITH (FORMAT binary);

-- messages of someone's own making: a COPY file with one row of one column is
-- made around the bytes and read as vectors
CREATE FUNCTION try_recv(message bytea, typename text DEFAULT 'vector', OUT result text, OUT detail text)
LANGUAGE plpgsql AS $$
DECLARE
	file text := current_setting('data_directory') || '/vectorx_copy_test.bin';
	lo oid;
BEGIN
	lo := lo_from_bytea(0, '\x5047434f50590aff0d0a0000000000000000000001'::bytea || int4send(length(message)) || message || '\xffff'::bytea);
	PERFORM lo_export(lo, file);
	PERFORM lo_unlink(lo);
	EXECUTE format('CREATE TEMP TABLE recv (v %s)', typename);
	EXECUTE format('COPY recv FROM %L WITH (FORMAT binary)', file);
	SELECT v::text INTO result FROM recv;
	DROP TABLE recv;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	result := SQLSTATE || ': ' || SQLERRM;
END $$;
SELECT m.message, r.* FROM (VALUES
	(1, '00020000 3f800000 c0000000'),	-- good
	(2, '00010000 80000000'),	-- minus zero
	(3, '00010000 00000001'),	-- least subnormal
	(4, ''), (5, '00'), (6, '0001'), (7, '000100'),	-- cut short
	(8, '00010000'), (9, '00010000 3f8000'), (10, '00020000 3f800000'),
	(11, '00010000 3f80000000'),	-- too long
	(12, '00000000'), (13, 'ffff0000'), (14, '80000000'), (15, '3e810000'), (16, '3e800000'), (17, '7fff0000'),	-- dimensions
	(18, '00010001 3f800000'), (19, '0001ffff 3f800000'),	-- reserved
	(20, '00010000 7fc00000'), (21, '00010000 ffffffff'), (22, '00010000 7f800001'),	-- NaN
	(23, '00010000 7f800000'), (24, '00020000 3f800000 ff800000')	-- infinite
) AS m(n, message), try_recv(decode(m.message, 'hex')) AS r ORDER BY n;
SELECT * FROM try_recv('\x000100003f800000', 'vector(1)');
SELECT * FROM try_recv('\x000100003f800000', 'vector(2)');
-- the type modifier is wrong, and the message is short
SELECT * FROM try_recv('\x00030000', 'vector(2)');
-- leave an empty file
SELECT lo_from_bytea(0, '') AS lo \gset
SELECT lo_export(:lo, :'file'), lo_unlink(:lo);
DROP FUNCTION try_recv;
DROP TABLE vy, vz, vw;
