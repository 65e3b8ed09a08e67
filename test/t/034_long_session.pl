# A session that lasts.
#
# Promised: however many statements a session has run, its memory is what it was
# after the first of their kind.
#
# Shown: for searches by plain and prepared statements, in nested loops, by cursors,
# beyond the beam, flat, that failed, and that were left in the middle; for rows inserted one
# by one and together, also rolled back; for builds, vacuums and the functions that look
# into an index.  Compared after a warm-up and at the end: bytes of all memory
# contexts, and the memory of the process that it shares with nobody.
#
# VX_TORTURE=1 does ten times as much.
use strict;
use warnings;
use Test::More;
use VxTest;

my $rounds = $ENV{VX_TORTURE} ? 200 : 20;
my $warm = 5;
my $node = new_node('long_session');
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int, v vector(20));
INSERT INTO t SELECT i, vec(i, 20) FROM generate_series(1, 1000) i;
CREATE INDEX ti ON t USING hnsw (v) WITH (m = 8, ef_construction = 32);
CREATE TABLE w AS TABLE t;
ALTER TABLE w ALTER v TYPE vector(20);
CREATE INDEX wi ON w USING hnsw (v) WITH (m = 4, ef_construction = 16);
CREATE TABLE memory (round int, what text, bytes bigint);
CREATE TABLE done (searches bigint);
CREATE VIEW now AS
	SELECT name AS what, sum(total_bytes) AS bytes FROM pg_backend_memory_contexts GROUP BY 1
	UNION ALL SELECT 'process', 1024 * (regexp_match(pg_read_file('/proc/self/status'), 'RssAnon:\s+(\d+)'))[1]::bigint;
SQL

my $round = <<'SQL';
-- nested loops: two thousand short searches, some long ones, and flat ones
SELECT count(*) FROM t a, generate_series(1, 2) i, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 5) s;
SELECT count(*) FROM (SELECT * FROM t LIMIT 20) a, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 200) s;
SELECT count(*) FROM (SELECT * FROM t LIMIT 10) a, LATERAL (SELECT id FROM t ORDER BY v <-> a.v) s;
SELECT count(*) FROM (SELECT * FROM t LIMIT 10) a, LATERAL (SELECT id FROM t WHERE id < 0 ORDER BY v <-> a.v LIMIT 1) s;
-- searches in a function, and prepared
SELECT many_searches(4000);
SELECT format('EXECUTE q(%L)', vec(i, 20)) FROM generate_series(1, 100) i \gexec
SELECT id FROM t ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT format('SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> %L LIMIT 10) s', vec(i, 20)) FROM generate_series(1, 50) i \gexec
-- cursors, read in part
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> vec(7, 20);
MOVE 3 FROM c;
DECLARE d CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY v <-> vec(8, 20) LIMIT 30;
MOVE 300 FROM c;
SAVEPOINT s;
SELECT id / 0 FROM t ORDER BY v <-> vec(9, 20) LIMIT 3;
ROLLBACK TO s;
MOVE 3 FROM c;
COMMIT;
CLOSE d;
-- rows
INSERT INTO w SELECT id + 1000, v + v FROM t WHERE id <= 100;
SELECT format('INSERT INTO w VALUES (2000, %L)', vec(i, 20)) FROM generate_series(2001, 2100) i \gexec
BEGIN;
INSERT INTO w SELECT id + 3000, v FROM t WHERE id <= 100;
ROLLBACK;
INSERT INTO w VALUES (1, '[1,2]');
UPDATE w SET v = v + v WHERE id < 50;
DELETE FROM w WHERE id > 1000;
VACUUM (INDEX_CLEANUP on) w;
REINDEX INDEX wi;
-- functions
SELECT vectorx_recall('ti', 5, 20), (vectorx_index_info('ti')).rows, (vectorx_last_scan()).hops;
SELECT count(*) FROM vectorx_index_check('ti');
SELECT vectorx_index_info('t');
SQL

my $script = <<'SQL';
SET enable_seqscan = off;
SET enable_sort = off;
SET client_min_messages = fatal;
PREPARE q(vector) AS SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> $1 LIMIT 10) s;
SQL
for my $i (1 .. $rounds)
{
	$script .= $round;
	$script .= "INSERT INTO memory SELECT $i, * FROM now;\n" if $i == $warm || $i == $rounds;
}
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION many_searches(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	q vector := vec(5, 20);
	found int;
BEGIN
	FOR i IN 1 .. n LOOP
		SELECT id INTO found FROM t ORDER BY v <-> q LIMIT 1;
	END LOOP;
	RETURN found;
END $$;
SQL
my ($out, $err) = finish_psql(start_psql($node, $script));
my $searches = $node->safe_psql('postgres', "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'ti'");
is($node->safe_psql('postgres', 'SELECT count(DISTINCT round) FROM memory'), 2, 'the session has come to its end') or diag(substr($err, 0, 1000));
cmp_ok($searches, '>', $rounds * 5000, 'and has searched');
my $grown = <<'SQL';
WITH a AS (SELECT * FROM memory WHERE round = (SELECT min(round) FROM memory)), b AS (SELECT * FROM memory WHERE round = (SELECT max(round) FROM memory))
SELECT what, coalesce(a.bytes, 0) AS before, coalesce(b.bytes, 0) AS after, coalesce(b.bytes, 0) - coalesce(a.bytes, 0) AS more FROM a FULL JOIN b USING (what)
SQL
my ($contexts, $process) = split /\|/, $node->safe_psql('postgres',
	"SELECT sum(more) FILTER (WHERE what <> 'process'), sum(more) FILTER (WHERE what = 'process') FROM ($grown) s");
diag(sprintf '%d searches; after round %d of %d memory contexts have grown by %d bytes, the process by %d kB', $searches, $warm, $rounds, $contexts, $process / 1024);
cmp_ok($contexts, '<', 200_000, 'memory contexts have not grown') or diag($node->safe_psql('postgres', "SELECT * FROM ($grown) s WHERE more > 8192 ORDER BY more DESC"));
cmp_ok($process, '<', 2_000_000 + ($ENV{VX_QUARANTINE} // 0), 'the process has not grown');
check_index($node, $_) foreach qw(ti wi);
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
