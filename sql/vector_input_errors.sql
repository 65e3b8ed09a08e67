--
-- Texts that are no vectors: SQLSTATE, message, and the place of the error
--
CREATE FUNCTION try_vector(input text, OUT code text, OUT message text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM input::vector;
	code := 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END $$;

SELECT t.input, e.* FROM (VALUES
	(1, ''), (2, ' '), (3, '1'), (4, '1,2'), (5, '{1,2}'), (6, '(1,2)'), (7, 'null'),
	(10, '['), (11, '[1'), (12, '[1,'), (13, '[1,2'), (14, '[1, '), (15, '[ '),
	(20, '[,'), (21, '[,1]'), (22, '[1,]'), (23, '[1,,2]'), (24, '[ ]'), (25, '[[1]]'),
	(30, '[1,2]]'), (31, '[1,2],'), (32, '[1,2] x'), (33, '[1][2]'),
	(40, '[1 2]'), (41, '[1;2]'), (42, '[1,2}'), (43, '[1.2.3]'), (44, '[1e1.5]'), (45, '[1-2]'),
	(50, '[a]'), (51, '[-]'), (52, '[+]'), (53, '[.]'), (54, '[-.]'), (55, '[.e1]'), (56, '[1e]'), (57, '[1e+]'),
	(58, '[--1]'), (59, '[- 1]'), (60, '[0x1]'), (61, '[0x1p3]'), (62, '[1f]'), (63, '[1_000]'), (64, '["1"]'), (65, '[null]'),
	(70, '[NaN]'), (71, '[1, nan ]'), (72, '[-NAN]'), (73, '[nano]'), (74, '[nan(1)]'),
	(80, '[inf]'), (81, '[1,-Infinity]'), (82, '[+INF,1]'), (83, '[infinit]'),
	(90, '[1e39]'), (91, '[1,-3.4028236e38]'), (92, '[1e-46]'), (93, '[7.0064923216240853e-46]'),
	(94, '[1e99999999999999999999]'), (95, '[1e-99999999999999999999]'), (96, '[0e99999999999999999999]')
) AS t(n, input), try_vector(t.input) AS e ORDER BY n;

-- long texts are cut in messages, between characters
SELECT e.* FROM try_vector('[' || repeat('1,', 100) || 'x]') AS e;
SELECT i, e.code, e.message = format('invalid input syntax for type vector: "%s..."', left(input, 64 / octet_length(ch))) AS as_expected, e.detail
FROM (SELECT i, ch, repeat('x', i) || repeat(ch, 100) AS input
	FROM generate_series(0, 1) i, (SELECT CASE getdatabaseencoding() WHEN 'UTF8' THEN chr(228) ELSE 'y' END) c(ch)) s,
	try_vector(input) AS e ORDER BY i;
SELECT e.* FROM try_vector('[1,' || repeat('9', 1000) || ']') AS e;
SELECT length(e.message), e.detail FROM try_vector(repeat(' ', 100000) || repeat('x', 100000)) AS e;

-- neither zeros nor digits in number are trouble
SELECT ('[0.' || repeat('0', 20000) || '15e20001]')::vector;
SELECT ('[25' || repeat('0', 20000) || 'e-20001]')::vector;
SELECT ('[1.' || repeat('3', 20000) || ']')::vector;

-- type modifier, and too many dimensions
SELECT '[1,2]'::vector(3);
SELECT e.* FROM try_vector('[' || repeat('1,', 16000) || '1]') AS e;
SELECT e.* FROM try_vector('[' || repeat('1,', 16000)) AS e;

DROP FUNCTION try_vector;
