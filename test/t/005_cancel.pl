# Cancelling.
#
# Promised: statement_timeout and query cancel take effect at once wherever the
# index is at work; afterwards the index is usable and complete.
#
# Shown: with a timeout of 50 ms in a build, the insertions of a statement, a
# flat scan, a chain of duplicates, vacuum, vectorx_recall and
# vectorx_index_info.  "At once" is 100 ms on a quiet machine; the test allows
# for a busy one and prints what it measured.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use VxTest;

my $bound = ($ENV{VX_CANCEL_BOUND} // 1.0) * slow();
my $node = new_node('cancel', "maintenance_work_mem = 512MB");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int, v vector(256));
ALTER TABLE t ALTER v SET STORAGE PLAIN;
INSERT INTO t SELECT i, (SELECT array_agg(random()) FROM generate_series(1, 256 + i * 0))::vector FROM generate_series(1, 12000) i;
CREATE TABLE d (id int, v vector(3));
INSERT INTO d SELECT i, '[1,2,3]' FROM generate_series(1, 400000) i;
SQL

# Run statements with a timeout on the last; returns seconds that took
sub cancelled
{
	my ($name, $before, $statement, $timeout) = @_;
	my ($out, $err);
	$timeout //= 50;
	# two lines of output frame the statement's own time, without psql's start
	my $script = "$before\nSET statement_timeout = $timeout;\n\\set ON_ERROR_STOP off\n"
	  . "SELECT extract(epoch FROM clock_timestamp());\n$statement;\nSELECT extract(epoch FROM clock_timestamp());\n";
	$node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 0);
	my @times = grep { /^\d{9,}\.\d+$/ } split /\n/, $out;
	my $took = @times == 2 ? $times[1] - $times[0] : 1e9;
	like($err, qr/canceling statement due to statement timeout/, "$name: cancelled");
	cmp_ok($took, '<', $timeout / 1000 + $bound, "$name: in time");
	note(sprintf '%s: %.0f ms after the timeout', $name, ($took - $timeout / 1000) * 1000);
	diag("$name: $out$err") if $took > 1e6;
}

cancelled('build', '', 'CREATE INDEX ti ON t USING hnsw (v) WITH (m = 16, ef_construction = 200)');
cancelled('build, some way on', '', 'CREATE INDEX ti ON t USING hnsw (v) WITH (m = 16, ef_construction = 200)', 700);
cancelled('build beyond memory', "SET maintenance_work_mem = '4MB'; SET client_min_messages = error;",
	'CREATE INDEX ti ON t USING hnsw (v) WITH (m = 16, ef_construction = 200)', 700);
cancelled('build of duplicates', '', 'CREATE INDEX di ON d USING hnsw (v)');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname IN ('ti', 'di')"), '0', 'no index is left behind');

$node->safe_psql('postgres', 'CREATE INDEX ti ON t USING hnsw (v) WITH (m = 8, ef_construction = 32)');
$node->safe_psql('postgres', 'CREATE INDEX di ON d USING hnsw (v)');
my $off = 'SET enable_seqscan = off; SET enable_sort = off;';
cancelled('flat scan', $off, 'SELECT count(*) FROM t a, LATERAL (SELECT id FROM t ORDER BY v <-> a.v) s');
cancelled('filter that nothing passes', "$off SET work_mem = '64kB';", 'SELECT count(*) FROM t a, LATERAL (SELECT id FROM t WHERE id < 0 ORDER BY v <-> a.v LIMIT 1) s');
cancelled('many searches', $off, 'SELECT count(*) FROM t a, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 10) s');
cancelled('large beam', "$off SET hnsw.ef_search = 10000;", 'SELECT count(*) FROM t a, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 10) s');
cancelled('chain of duplicates', $off, "SELECT sum(id) FROM (SELECT id FROM d ORDER BY v <-> '[1,2,3]') s");
cancelled('inserts', '', 'INSERT INTO t SELECT id + 100000, v + v FROM t');
cancelled('recall', '', "SELECT vectorx_recall('ti', 10, 10000)");
cancelled('check', 'SET vectorx.kernels = plain;', "SELECT count(*) FROM generate_series(1, 50) i, vectorx_index_check('ti')");
cancelled('check of duplicates', '', "SELECT count(*) FROM vectorx_index_check('di')");
cancelled('recall of duplicates', '', "SELECT vectorx_recall('di', 10, 1000)");
same_ids($node, 't', "(SELECT v FROM t WHERE id = 1)", 'the index is complete after what was cancelled');

# vacuum: in its delays, and at work
$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 3 = 0 OR id > 100000');
cancelled('vacuum with delays', "SET vacuum_cost_delay = '20ms'; SET vacuum_cost_limit = 50;", 'VACUUM t', 300);
cancelled('vacuum', '', 'VACUUM t');
same_ids($node, 't', "(SELECT v FROM t WHERE id = 1)", 'the index is complete after a vacuum that was cancelled');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
is($node->safe_psql('postgres', "SELECT dead, rows = (SELECT count(*) FROM t) FROM vectorx_index_info('ti')"), '0|t', 'a later vacuum finishes the work');
same_ids($node, 't', "(SELECT v FROM t WHERE id = 1)", 'and the index is complete');
$node->safe_psql('postgres', 'DELETE FROM d WHERE id % 2 = 0');
cancelled('vacuum of duplicates', '', 'VACUUM d');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) d');
is(with_index($node, "SELECT count(*) FROM (SELECT id FROM d ORDER BY v <-> '[1,2,3]') s"), '200000', 'the chain is complete');
check_index($node, $_) foreach qw(ti di);
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
