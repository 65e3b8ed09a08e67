# Prepared transactions.
#
# Promised: rows of a transaction that is prepared are in the index or not as
# its end decides, hours and crashes later; until then nobody sees them, and
# vacuum does not touch them.
#
# Shown: transactions that insert, delete, and move rows are prepared, the server
# crashes, vacuum runs, and then some are committed and some rolled back, before or
# after another crash.
use strict;
use warnings;
use Test::More;
use VxTest;

my $node = new_node('prepared', 'max_prepared_transactions = 10');
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v vector(24));
CREATE INDEX ti ON t USING hnsw (v) WITH (m = 8, ef_construction = 32);
INSERT INTO t SELECT i, vec(i, 24) FROM generate_series(1, 500) i;
SQL

# The rows are as they should be, by the table and by the index
sub rows_are
{
	my ($count, $sum, $name) = @_;
	is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM t'), "$count|$sum", "$name: rows");
	is(with_index($node, 'SELECT count(*), sum(id), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> vec(9, 24)) s'),
		"$count|$sum|$count", "$name: rows by index");
	check_index($node, 'ti', "$name: check");
}

sub crash
{
	$node->stop('immediate');
	$node->start;
}

my $sum = 500 * 501 / 2;
foreach my $prefix ('keep', 'undo')
{
	my $base = $prefix eq 'keep' ? 1000 : 2000;
	my $third = $prefix eq 'keep' ? 0 : 1;
	$node->safe_psql('postgres', "BEGIN; INSERT INTO t SELECT i, vec(i, 24) FROM generate_series($base + 1, $base + 100) i; PREPARE TRANSACTION '${prefix}_insert'");
	# of vectors that others have, in a subtransaction
	$node->safe_psql('postgres', "BEGIN; SAVEPOINT s; INSERT INTO t SELECT $base + 100 + i, vec(i, 24) FROM generate_series(1, 50) i; RELEASE s;
		SAVEPOINT r; INSERT INTO t SELECT 9000 + i, vec(i, 24) FROM generate_series(1, 50) i; ROLLBACK TO r; PREPARE TRANSACTION '${prefix}_equal'");
	$node->safe_psql('postgres', "BEGIN; DELETE FROM t WHERE id % 3 = $third AND id <= 240; PREPARE TRANSACTION '${prefix}_delete'");
	$node->safe_psql('postgres', "BEGIN; UPDATE t SET v = vec(id + 5000, 24) WHERE id % 3 = $third AND id > 240 AND id <= 500; PREPARE TRANSACTION '${prefix}_move'");
}
rows_are(500, $sum, 'prepared');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
rows_are(500, $sum, 'prepared and vacuumed');
crash();
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '8', 'prepared transactions survive a crash');
rows_are(500, $sum, 'after a crash');
$node->safe_psql('postgres', 'INSERT INTO t SELECT i, vec(i, 24) FROM generate_series(3001, 3100) i; DELETE FROM t WHERE id > 3050');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
my $more = 50 * (3001 + 3050) / 2;
rows_are(550, $sum + $more, 'vacuumed after a crash');

$node->safe_psql('postgres', "COMMIT PREPARED 'keep_insert'");
$node->safe_psql('postgres', "ROLLBACK PREPARED 'undo_insert'");
$node->safe_psql('postgres', "COMMIT PREPARED 'keep_delete'");
my $inserted = 100 * (1001 + 1100) / 2;
my $deleted = 3 * 80 * 81 / 2;
rows_are(550 + 100 - 80, $sum + $more + $inserted - $deleted, 'some committed');
crash();
rows_are(550 + 100 - 80, $sum + $more + $inserted - $deleted, 'some committed, after a crash');
foreach my $what ('equal', 'move')
{
	$node->safe_psql('postgres', "COMMIT PREPARED 'keep_$what'");
	$node->safe_psql('postgres', "ROLLBACK PREPARED 'undo_$what'");
}
$node->safe_psql('postgres', "ROLLBACK PREPARED 'undo_delete'");
my $equal = 50 * (1101 + 1150) / 2;
rows_are(550 + 100 - 80 + 50, $sum + $more + $inserted - $deleted + $equal, 'all ended');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
rows_are(550 + 100 - 80 + 50, $sum + $more + $inserted - $deleted + $equal, 'all ended, and vacuumed');
is($node->safe_psql('postgres', "SELECT rows FROM vectorx_index_info('ti')"), 550 + 100 - 80 + 50, 'nothing is left of those rolled back');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id % 3 = 0 AND id BETWEEN 241 AND 500 AND v <> vec(id + 5000, 24)'), '0', 'rows were moved');
crash();
rows_are(550 + 100 - 80 + 50, $sum + $more + $inserted - $deleted + $equal, 'after a last crash');
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
