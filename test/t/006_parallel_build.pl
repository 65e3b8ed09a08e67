# CREATE INDEX by several processes.
#
# Promised: with workers the index is as complete, and as good, as without, filter
# columns included; also
# when it is built or rebuilt concurrently with changes of the table, when there
# is not enough memory, and when there is not enough shared memory for workers
# at all.  A build that is cancelled leaves nothing behind.
#
# Shown: each of these, by the server's log that there were workers, by full
# scans that the rows are there, by queries that recall is as it should be.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use VxTest;

my $node = new_node('parallel', "max_parallel_maintenance_workers = 2\nmax_worker_processes = 8\n"
	  . "maintenance_work_mem = 256MB\nlog_min_messages = debug1");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v vector(64), n int GENERATED ALWAYS AS (id % 100) STORED, w text DEFAULT 'w');
INSERT INTO t SELECT i, CASE WHEN i % 20 = 3 THEN vec(3, 64) ELSE vec(i, 64) END FROM generate_series(1, 20000) i;
ALTER TABLE t SET (parallel_workers = 2);
ANALYZE t;
SQL
my $off = 'SET enable_seqscan = off; SET enable_sort = off;';

# How many workers do builds say they had since this place in the log?
sub workers_since
{
	my ($offset) = @_;
	my $log = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset);
	return join(',', $log =~ /building index "\w+" with (\d+) parallel workers/g);
}

sub log_end { return -s $node->logfile; }

sub temporary_files
{
	my @files = glob($node->data_dir . '/base/pgsql_tmp/*');
	return scalar @files;
}

# Does the index answer for the table?
sub good
{
	my ($name, $recall) = @_;
	same_ids($node, 't', "(SELECT v FROM t WHERE id = 17)", "$name: all rows");
	same_ids($node, 't', "(SELECT v FROM t WHERE id = 17)", "$name: rows that meet a condition", "n IN (3, 4, 7) AND w = 'w'");
	check_index($node, 'ti', "$name: check of ti");
	cmp_ok(recall_of($node, 't', 10, 50, 1000000, 100), '>=', $recall // 0.95, "$name: recall");
}

my $at = log_end();
$node->safe_psql('postgres', 'CREATE INDEX ti ON t USING hnsw (v, n, w) WITH (ef_construction = 100)');
is(workers_since($at), '2', 'a build with two workers');
good('parallel');
is($node->safe_psql('postgres', "SELECT rows, duplicates BETWEEN 990 AND 999, dead FROM vectorx_index_info('ti')"),
	'20000|t|0', 'what the index says of itself');

# the leader only waits
$at = log_end();
$node->safe_psql('postgres', 'SET parallel_leader_participation = off; REINDEX INDEX ti');
is(workers_since($at), '2', 'without the leader');
good('without the leader');

# memory for a part of the rows
$at = log_end();
my ($out, $err);
$node->psql('postgres', "SET maintenance_work_mem = '2MB'; REINDEX INDEX ti", stdout => \$out, stderr => \$err);
like($err, qr/NOTICE: +hnsw graph no longer fits into maintenance_work_mem after \d+ rows/, 'memory is full');
unlike($err, qr/ERROR/, 'which is no error');
is(workers_since($at), '2', 'with little memory');
good('with little memory');

# concurrently, while rows come and go
sub busy
{
	my ($statement, $name) = @_;
	my $writer = start_psql($node, "SET client_min_messages = error;\n" . (join '', map { my $i = $_; "UPDATE t SET v = vec(id + 1, 64) WHERE id % 500 = $i; "
			  . "DELETE FROM t WHERE id % 1000 = 500 + $i; INSERT INTO t SELECT 1000 * $i + 100000 + j, vec(j + 7, 64) FROM generate_series(1, 10) j;\n" } 1 .. 60),
		'-v', 'ON_ERROR_STOP=1');
	my $at = log_end();
	$node->safe_psql('postgres', $statement);
	is(workers_since($at), '2', "$name: with workers");
	my (undef, $werr) = finish_psql($writer);
	is($werr, '', "$name: writer");
	good($name);
	$node->safe_psql('postgres', 'DELETE FROM t WHERE id > 20000; INSERT INTO t SELECT i, vec(i, 64) FROM generate_series(1, 20000) i ON CONFLICT DO NOTHING; VACUUM t');
	good("$name, afterwards");
}
$node->safe_psql('postgres', 'DROP INDEX ti');
busy('CREATE INDEX CONCURRENTLY ti ON t USING hnsw (v, n, w)', 'CREATE INDEX CONCURRENTLY');
busy('REINDEX INDEX CONCURRENTLY ti', 'REINDEX CONCURRENTLY');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_index WHERE NOT indisvalid'), '0', 'no invalid index');

# progress is reported, and a build can be cancelled while it is in several hands
$node->safe_psql('postgres', 'CREATE TABLE big (id int, v vector(256)); ALTER TABLE big SET (parallel_workers = 2);'
	  . 'INSERT INTO big SELECT i, (SELECT array_agg(random()) FROM generate_series(1, 256 + i * 0))::vector FROM generate_series(1, 15000) i');
for my $memory ('256MB', '4MB')
{
	my $build = IPC::Run::start(psql_command($node, '-c', "SET maintenance_work_mem = '$memory'", '-c',
			'CREATE INDEX bi ON big USING hnsw (v) WITH (ef_construction = 1000)'), '>', \my $bout, '2>', \my $berr);
	ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'parallel worker'"), "$memory: workers run");
	ok($node->poll_query_until('postgres', "SELECT tuples_done > 500 FROM pg_stat_progress_create_index"), "$memory: progress");
	is($node->safe_psql('postgres', "SELECT phase ~ 'building graph in memory|writing graph|logging|inserting rows' FROM pg_stat_progress_create_index"), 't', "$memory: phase");
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index");
	$build->finish;
	like($berr, qr/canceling statement due to user request/, "$memory: cancelled");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'parallel worker'"), "$memory: workers are gone");
	is(temporary_files(), 0, "$memory: no temporary file is left");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class WHERE relname = 'bi'"), '0', "$memory: no index is left");
}

# a worker that ends ends the build
my $build = IPC::Run::start(psql_command($node, '-c', 'CREATE INDEX bi ON big USING hnsw (v) WITH (ef_construction = 1000)'), '2>', \my $berr);
$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'parallel worker'");
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE backend_type = 'parallel worker' LIMIT 1) s");
$build->finish;
like($berr, qr/terminating connection due to administrator command|terminating background worker|lost connection to parallel worker/, 'a worker was terminated');
is(temporary_files(), 0, 'no temporary file is left');

# less shared memory than the graph may need, as the table's statistics have it
$node->safe_psql('postgres', "UPDATE pg_class SET reltuples = 1e8, relpages = 1 WHERE relname = 't'");
$at = log_end();
$node->psql('postgres', "SET maintenance_work_mem = '1000GB'; REINDEX INDEX ti", stdout => \$out, stderr => \$err);
like($err, qr/NOTICE: +not enough dynamic shared memory for a parallel index build/, 'not enough shared memory');
unlike($err, qr/ERROR/, 'which is no error');
is(workers_since($at), '', 'no parallel build');
good('without shared memory');
$node->safe_psql('postgres', 'ANALYZE t');

# no workers to be had
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
$at = log_end();
$node->safe_psql('postgres', 'REINDEX INDEX ti');
is(workers_since($at), '0', 'no workers');
good('without workers');

check_log($node, 'nothing bad in the log');
$node->stop;

done_testing();
