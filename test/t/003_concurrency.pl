# Everything at once.
#
# Promised: inserts, updates, deletes, searches and vacuum may run at the same
# time; no row is lost or found twice, and the graph stays good.
#
# Shown: by pgbench, of which every search checks that its rows are distinct and
# in order, and a check of the index must find nothing; then by comparing a full scan of the index with the table, and its
# recall with the exact answer.
use strict;
use warnings;
use Test::More;
use VxTest;

my $seconds = $ENV{VX_SECONDS} // 20;
my $node = new_node('concurrency', "log_min_messages = warning\ndeadlock_timeout = 5s");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v vector(32)) WITH (fillfactor = 70);
INSERT INTO t SELECT i, vec(i, 32) FROM generate_series(1, 2000) i;
CREATE INDEX ti ON t USING hnsw (v) WITH (m = 8, ef_construction = 32);
CREATE SEQUENCE s START 2001;
-- fails if the rows of a search are not distinct, or not in order; rows that
-- are kept back to the end may begin anew once
CREATE FUNCTION search(q int, k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int;
	once int;
	falls int;
BEGIN
	SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE d < before - 1e-5) INTO n, once, falls
		FROM (SELECT id, d, lag(d) OVER (ORDER BY r) AS before FROM (
			SELECT id, d, row_number() OVER () AS r FROM (
				SELECT id, v <-> vec(q, 32) AS d FROM t ORDER BY v <-> vec(q, 32) LIMIT k) a) b) c;
	IF n <> once OR falls > 1 OR n < least(k, 500) THEN
		RAISE EXCEPTION 'search gave % rows, % distinct, % falls', n, once, falls;
	END IF;
END $$;
-- fails if vectorx_index_check finds anything but nodes out of reach
CREATE FUNCTION check_index(heap bool) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	SELECT string_agg(f::text, '; ') INTO found FROM vectorx_index_check('ti', heap) f WHERE kind <> 'unreachable';
	IF found IS NOT NULL THEN
		RAISE EXCEPTION 'found: %', found;
	END IF;
END $$;
ALTER DATABASE postgres SET enable_seqscan = off;
ALTER DATABASE postgres SET enable_sort = off;
SQL

$node->pgbench(
	"-n -c 6 -j 2 -T $seconds",
	0,
	[ qr/number of failed transactions: 0 /, qr/number of transactions actually processed: [1-9]/ ],
	[qr/^$/],
	'pgbench without failures',
	{
		'003_insert@30' => "INSERT INTO t SELECT i, vec(i % 40000, 32) FROM CAST(nextval('s') AS int) i;",
		'003_insert_same@5' => "INSERT INTO t SELECT i, vec(i % 5, 32) FROM CAST(nextval('s') AS int) i;",
		# a sparse range of ids, of rows that may be there or not
		'003_delete@14' => "\\set id random(1, 6000)\nDELETE FROM t WHERE id BETWEEN :id AND :id + 1 AND (SELECT last_value FROM s) > 2500;",
		'003_update@8' => "\\set id random(1, 6000)\nUPDATE t SET v = vec(:id + 77, 32) WHERE id = :id;",
		'003_search@20' => "\\set q random(1, 1000000)\nSELECT search(:q, 20);",
		'003_search_far@3' => "\\set q random(1, 1000000)\nSELECT search(:q, 400);",
		'003_search_all@1' => "\\set q random(1, 1000000)\nSELECT search(:q, 100000);",
		'003_check@2' => "SELECT check_index(true);\nSELECT check_index(false);",
		'003_vacuum@1' => 'VACUUM (INDEX_CLEANUP on) t;',
		'003_rollback@2' => "BEGIN;\nINSERT INTO t SELECT i, vec(i, 32) FROM CAST(nextval('s') AS int) i;\nROLLBACK;",
	});
$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET ALL');

my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM t');
my $inserted = $node->safe_psql('postgres', 'SELECT last_value - 2000 FROM s');
note("$inserted insertions, $rows rows left");
cmp_ok($inserted, '>', 10 * $seconds, 'there was a load');
same_ids($node, 't', 'vec(3, 32)', 'the index agrees with the table');
check_index($node, 'ti');
my $recall = recall_of($node, 't', 10, 50, 500_000_000, 80);
note("recall $recall");

$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
# but those that head a chain of duplicates
is($node->safe_psql('postgres', "SELECT dead <= duplicates, rows = (SELECT count(*) FROM t) FROM vectorx_index_info('ti')"), 't|t', 'vacuum leaves no dead rows');
same_ids($node, 't', 'vec(3, 32)', 'the index agrees with the table after vacuum');
check_index($node, 'ti', 'check of ti after vacuum');
# a new index of the same rows says what can be had; how many rows there are
# depends on the machine
my $vacuumed = recall_of($node, 't', 10, 50, 500_000_000, 80);
$node->safe_psql('postgres', 'REINDEX INDEX ti');
my $fresh = recall_of($node, 't', 10, 50, 500_000_000, 80);
note("recall after vacuum $vacuumed, of a new index $fresh");
cmp_ok($recall, '>=', $fresh - 0.05, 'recall after the load');
cmp_ok($vacuumed, '>=', $fresh - 0.05, 'recall after vacuum');
check_log($node, 'nothing bad in the log');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
is(join("\n", grep { /ERROR:/ } split /\n/, $log), '', 'no error in the log');
$node->stop;
done_testing();
