# Ten thousand rows with one vector.
#
# Promised: many equal vectors cost nobody his rows, nor much time: a search that
# has to go through them gives each once, however they come and go.
#
# Shown: clients insert and delete such rows, vacuum takes them out of their chain,
# and every search, short or through all of them, is compared with the table as
# the same snapshot has it.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use VxTest;

my $seconds = $ENV{VX_SECONDS} // ($ENV{VX_TORTURE} ? 60 : 6);
my $node = new_node('equal_vectors', "log_min_messages = warning");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v vector(24)) WITH (fillfactor = 90);
CREATE SEQUENCE s START 100001;
CREATE INDEX ti ON t USING hnsw (v);
SQL
my $begin = time();
$node->safe_psql('postgres', "INSERT INTO t SELECT i, vec(CASE WHEN i % 20 = 0 THEN i ELSE 7 END, 24) FROM generate_series(1, 10500) i");
note(sprintf '10,500 rows inserted in %.1f s', time() - $begin);
is($node->safe_psql('postgres', "SELECT duplicates > 9900 FROM vectorx_index_info('ti')"), 't', 'they are in one chain');

my $one = 'BEGIN ISOLATION LEVEL REPEATABLE READ;';
$node->pgbench(
	"-n -c 5 -j 2 -T $seconds",
	0,
	[ qr/number of failed transactions: 0 /, qr/number of transactions actually processed: [1-9]/ ],
	[qr/^$/],
	'pgbench without failures',
	{
		'011_insert@20' => "INSERT INTO t SELECT CAST(nextval('s') AS int), vec(7, 24) FROM generate_series(1, 5) i;",
		'011_delete@10' => "\\set id random(1, 10500)\nDELETE FROM t WHERE id BETWEEN :id AND :id + 30;",
		'011_delete_new@5' => "DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id > 100000 ORDER BY random() LIMIT 10 FOR UPDATE SKIP LOCKED);",
		'011_rollback@3' => "BEGIN;\nINSERT INTO t SELECT CAST(nextval('s') AS int), vec(7, 24) FROM generate_series(1, 5) i;\nROLLBACK;",
		'011_search@10' => "\\set q random(1, 1000)\n$one\nSELECT search('t', vec(:q, 24), 20);\nCOMMIT;",
		'011_search_same@10' => "$one\nSELECT search('t', vec(7, 24), 300);\nCOMMIT;",
		'011_search_all@2' => "$one\nSELECT search('t', vec(7, 24), 1000000);\nCOMMIT;",
		'011_vacuum@2' => 'VACUUM (INDEX_CLEANUP on) t;',
	});
my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM t');
same_ids($node, 't', 'vec(7, 24)', "the index agrees with the table ($rows rows)");
check_index($node, 'ti');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
is($node->safe_psql('postgres', "SELECT rows = (SELECT count(*) FROM t), dead <= 1 FROM vectorx_index_info('ti')"), 't|t', 'vacuum leaves the rows');
same_ids($node, 't', 'vec(7, 24)', 'the index agrees with the table after vacuum');

# all of them go, and all of them come again
my $size = $node->safe_psql('postgres', "SELECT pg_relation_size('ti')");
$node->safe_psql('postgres', $_) foreach
  'DELETE FROM t WHERE v = vec(7, 24)', 'VACUUM (INDEX_CLEANUP on) t';
is($node->safe_psql('postgres', "SELECT duplicates, rows = (SELECT count(*) FROM t) FROM vectorx_index_info('ti')"), '0|t', 'nothing is left of the chain');
$node->safe_psql('postgres', "INSERT INTO t SELECT CAST(nextval('s') AS int), vec(7, 24) FROM generate_series(1, $rows - (SELECT count(*)::int FROM t)) i");
cmp_ok($node->safe_psql('postgres', "SELECT pg_relation_size('ti')"), '<=', 1.05 * $size, 'they take the slots that the others had');
same_ids($node, 't', 'vec(7, 24)', 'the index agrees with the table after that');
check_index($node, 'ti', 'check of ti after that');
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
