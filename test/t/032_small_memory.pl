# Little memory of every kind.
#
# Promised: with the least of each kind of memory that PostgreSQL allows, all works,
# if slower: work_mem of 64 kB, maintenance_work_mem of 1 MB, 1 MB of shared buffers
# for a hundred sessions; where there is no shared memory, or no worker, for a parallel
# build, the session builds alone.
#
# Shown: builds, searches that walk and that go flat, a vacuum that calls bulk
# deletion several times, and vectorx_index_check with that; a hundred sessions
# that search and insert at once; parallel builds with each type of dynamic shared
# memory, with none left, with it running out on the way, and without workers to be had.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use VxTest;

my $query = '(SELECT v FROM data WHERE id = 17)';
my $node = new_node('small_memory', <<'CONF');
shared_buffers = 1MB
work_mem = 64kB
maintenance_work_mem = 1MB
max_connections = 120
max_worker_processes = 8
log_min_messages = debug1
client_min_messages = notice
CONF
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data AS SELECT i AS id, vec(i, 100)::vector(100) AS v FROM generate_series(1, 4000) i;
ALTER TABLE data ADD PRIMARY KEY (id);
CREATE TABLE t (id int, v vector(100));
INSERT INTO t SELECT * FROM data UNION ALL SELECT id + 4000, v + v FROM data WHERE id <= 2000;
ALTER TABLE t SET (parallel_workers = 2);
SQL
my $create = 'CREATE INDEX ti ON t USING hnsw (v)';

sub log_since
{
	my ($offset) = @_;
	return substr(slurp_file($node->logfile), $offset);
}

# Does the index answer for the table?
sub good
{
	my ($name) = @_;
	same_ids($node, 't', $query, "$name: all rows");
	check_index($node, 'ti', "$name: check");
	cmp_ok(recall_of($node, 't', 10, 20, 1000000, 100), '>=', 0.9, "$name: recall");
}

foreach my $workers (0, 2)
{
	my $offset = -s $node->logfile;
	is(sqlstate_of($node, "SET max_parallel_maintenance_workers = $workers; $create"), '', "build, $workers workers");
	like(log_since($offset), qr/building index "ti" with $workers parallel workers/, 'so many workers') if $workers;
	good("$workers workers");
	$node->safe_psql('postgres', 'DROP INDEX ti') unless $workers;
}

# scans that go flat, in many passes; at the same time
my $all = with_index($node, "SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> $query) s");
is($all, '6000', 'a search for all rows');
is(with_index($node, "SELECT strategy, nodes_visited > 7600 FROM (SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> $query) s OFFSET 0) s, LATERAL (SELECT * FROM vectorx_last_scan() WHERE count > 0) l"),
	'flat|t', 'goes flat, more than once');
is(with_index($node, "SELECT count(*) FROM (SELECT id FROM t WHERE id = 3210 ORDER BY v <-> $query LIMIT 1) s"), '1', 'a search for one row');
is(with_index($node, "SELECT count(*) FROM (SELECT * FROM t ORDER BY id LIMIT 20) a, LATERAL (SELECT id FROM t ORDER BY v <-> a.v LIMIT 500) s"), '10000', 'searches in a nested loop');

# bulk deletion in several calls: 15 and 16 remember 174,000 rows at a time; rows
# without a vector are not in the index, but removed in the same vacuum
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE b (id int, v vector(100));
INSERT INTO b SELECT i, v FROM generate_series(1, 400000) i LEFT JOIN data ON id * 100 = i;
CREATE INDEX bi ON b USING hnsw (v);
DELETE FROM b WHERE id % 1000 < 950;
SQL
my ($out, $err);
$node->psql('postgres', 'VACUUM (VERBOSE, PARALLEL 0) b', stdout => \$out, stderr => \$err);
my ($scans) = $err =~ /index scans: (\d+)/;
note("index scans: $scans");
my ($version) = $node->safe_psql('postgres', 'SHOW server_version_num');
cmp_ok($scans, '>=', $version < 170000 ? 2 : 1, 'bulk deletion in several calls');
is($node->safe_psql('postgres', "SELECT rows = (SELECT count(v) FROM b), dead FROM vectorx_index_info('bi')"), 't|0', 'what was deleted is gone');
is(with_index($node, "SELECT count(*) = (SELECT count(v) FROM b) FROM (SELECT id FROM b ORDER BY v <-> $query) s"), 't', 'what was not is there');
check_index($node, 'bi');

# a hundred sessions at once
my $dir = $node->basedir;
append_to_file("$dir/search.sql", "\\set i random(1, 4000)\nSET enable_seqscan = off;\nSET enable_sort = off;\n"
	  . "SELECT id FROM t ORDER BY v <-> (SELECT v FROM data WHERE id = :i) LIMIT 10;\n");
append_to_file("$dir/insert.sql", "\\set i random(1, 4000)\nINSERT INTO t SELECT nextval('ids'), v + v FROM data WHERE id = :i;\n");
my $seconds = $ENV{VX_TORTURE} ? 60 : 4;
$node->safe_psql('postgres', 'CREATE SEQUENCE ids START 10000');
my $result = run_log([ $node->installed_command('pgbench'), '-n', '-c', 100, '-j', 2, '-T', $seconds, '-f', "$dir/search.sql\@2", '-f', "$dir/insert.sql\@1", $node->connstr('postgres') ],
	'>', \$out, '2>', \$err);
ok($result, 'a hundred sessions, 128 buffers') or diag(substr($err, 0, 2000));
note($1) if $out =~ /(number of transactions actually processed.*)/;
unlike(slurp_file($node->logfile), qr/no unpinned buffers/, 'there is always a buffer');
good('after a hundred sessions');

# parallel builds: kinds of shared memory, and none
my $disk = $ENV{VX_SMALL_DISK};
my @kinds = (
	[ 'mmap', 'dynamic_shared_memory_type = mmap', 2 ],
	[ 'sysv', 'dynamic_shared_memory_type = sysv', 2 ],
	[ 'preallocated', "dynamic_shared_memory_type = posix\nmin_dynamic_shared_memory = 16MB", 2 ],
	[ 'no worker process', "min_dynamic_shared_memory = 0\nmax_worker_processes = 0", 0 ],
	[ 'no parallel worker', "max_worker_processes = 8\nmax_parallel_workers = 0", 0 ],
	[ 'no parallel maintenance', "max_parallel_workers = 8\nmax_parallel_maintenance_workers = 0", undef ]);
$node->append_conf('postgresql.conf', "shared_buffers = 32MB\nmaintenance_work_mem = 64MB\nmax_parallel_maintenance_workers = 2");
# of a table that is no larger for a longer run
$node->safe_psql('postgres', 'DELETE FROM t WHERE id >= 11000; VACUUM FULL t');
foreach my $kind (@kinds)
{
	my ($name, $conf, $workers) = @$kind;
	$node->append_conf('postgresql.conf', $conf);
	$node->restart;
	my $offset = -s $node->logfile;
	is(sqlstate_of($node, 'REINDEX INDEX ti'), '', "$name: built");
	my ($had) = log_since($offset) =~ /building index "ti" with (\d+) parallel workers/;
	is($had, $workers, "$name: workers");
	check_index($node, 'ti', "$name: check");
}
SKIP:
{
	skip 'no small file system could be mounted', 1 unless $disk;

	$node->append_conf('postgresql.conf', "dynamic_shared_memory_type = mmap\nmax_parallel_maintenance_workers = 2");
	$node->stop;
	mkdir "$disk/shm" or die $!;
	rename $node->data_dir . '/pg_dynshmem', $node->data_dir . '/pg_dynshmem.old' or die $!;
	symlink "$disk/shm", $node->data_dir . '/pg_dynshmem' or die $!;
	$node->start;
	my $offset = -s $node->logfile;
	$node->psql('postgres', 'REINDEX INDEX ti', stderr => \$err);
	unlike($err, qr/ERROR|NOTICE/, 'room for shared memory: built');
	like(log_since($offset), qr/building index "ti" with 2 parallel workers/, 'with workers');
	leave($disk, 2000);
	$offset = -s $node->logfile;
	$node->psql('postgres', 'REINDEX INDEX ti', stderr => \$err);
	like($err, qr/NOTICE:  not enough dynamic shared memory for a parallel index build/, 'no room for shared memory: said');
	unlike($err, qr/ERROR/, 'and no error');
	unlike(log_since($offset), qr/building index "ti" with/, 'without workers');
	good('no room');
	# what is there is taken by others after the build looked
	unlink "$disk/ballast";
	$node->safe_psql('postgres', 'ALTER INDEX ti SET (ef_construction = 500)');
	my %segments = map { $_ => 1 } glob("$disk/shm/*");
	foreach my $pause (0.01, 0.03, 0.1)
	{
		my $psql = start_psql($node, 'REINDEX INDEX ti', '-v', 'VERBOSITY=sqlstate');
		$node->poll_query_until('postgres', 'SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)', 't') or die;
		select undef, undef, undef, $pause;
		leave($disk, 0);
		(undef, $err) = finish_psql($psql);
		unlink "$disk/ballast";
		unlike($err, qr/FATAL|ERROR:  (?!53)/, 'shared memory that runs out: an error of its kind, or none');
		note("after $pause s: $err");
		same_ids($node, 't', $query, 'the index is there');
		is(join(' ', grep { !$segments{$_} } glob("$disk/shm/*")), '', 'and no segment is left behind');
	}
	is(sqlstate_of($node, 'REINDEX INDEX ti'), '', 'and then it is built');
	good('with room again');
}
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
