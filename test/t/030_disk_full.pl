# Full disks.
#
# Promised: when there is no room on the disk of an index, or on that of temporary
# files, a statement fails with disk_full (53100) and nothing worse; the index has
# what it had before, no file is left behind, and with room again all goes on.
#
# Shown: on a small file system, with all but some of it filled, INSERT by one
# statement and by many, CREATE INDEX and REINDEX, serial and parallel, also
# beyond memory, and when temporary files have no room; VACUUM; the temporary
# files of vectorx_index_check; temp_file_limit.  How much room there is varies at
# random, so that it ends in different places.
use strict;
use warnings;
use File::Find;
use PostgreSQL::Test::Utils;
use Test::More;
use VxTest;

my $disk = $ENV{VX_SMALL_DISK};
plan skip_all => 'no small file system could be mounted' unless $disk;
my $rounds = $ENV{VX_TORTURE} ? 60 : 5;

random_seed();
my $node = new_node('disk_full', "max_worker_processes = 8\nmaintenance_work_mem = 64MB\nlog_min_messages = debug1");
$node->start;
set_up($node);
mkdir "$disk/$_" or die $! foreach qw(space temp);
$node->safe_psql('postgres', "CREATE TABLESPACE $_ LOCATION '$disk/$_'") foreach qw(space temp);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE data AS SELECT i AS id, vec(i, 256)::vector(256) AS v FROM generate_series(1, 4000) i;
CREATE INDEX ON data (id);
CREATE TABLE t (id int, v vector(256));
ALTER TABLE t ALTER v SET STORAGE PLAIN;
INSERT INTO t SELECT * FROM data;
ALTER TABLE t SET (parallel_workers = 2);
SQL
my $query = '(SELECT v FROM data WHERE id = 17)';

sub make_room { unlink "$disk/ballast"; }

# Files of the tablespaces, those apart that an index has besides its main one
sub files
{
	my @files;
	$node->safe_psql('postgres', 'CHECKPOINT');
	find({ wanted => sub { push @files, $File::Find::name if -f && !/ballast/ && !/PG_VERSION/ && !/\d_(fsm|vm)$/ }, no_chdir => 1 }, "$disk/space", "$disk/temp");
	push @files, glob($node->data_dir . '/base/pgsql_tmp/*');
	return join("\n", sort @files);
}

my $none = files();

# A build must fail, by one process and with two workers, and leave nothing
sub build_fails
{
	my ($name, $before, $statement, $state) = @_;
	foreach my $workers (0, 2)
	{
		my $offset = -s $node->logfile;
		my $files = files();
		is(sqlstate_of($node, "$before; SET max_parallel_maintenance_workers = $workers; $statement"), $state // '53100', "$name, $workers workers: disk is full");
		is(files(), $files, "$name, $workers workers: no file is left");
		my $log = substr(slurp_file($node->logfile), $offset);
		my $had = () = $log =~ /starting background worker process "parallel worker/g;
		is($had, $workers, "$name: so many workers");
	}
}

my $create = 'CREATE INDEX ti ON t USING hnsw (v) WITH (m = 8, ef_construction = 32)';
leave($disk, 3000);
build_fails('build', 'SET client_min_messages = error', "$create TABLESPACE space");
build_fails('build with little memory', "SET client_min_messages = error; SET maintenance_work_mem = '2MB'", "$create TABLESPACE space");
build_fails('temporary files', "SET client_min_messages = error; SET temp_tablespaces = temp", $create);
build_fails('temporary files, little memory', "SET client_min_messages = error; SET temp_tablespaces = temp; SET maintenance_work_mem = '2MB'", $create);
make_room();
build_fails('temp_file_limit', "SET temp_file_limit = '1MB'", $create, '53400');
is(files(), $none, 'nothing is on the disk');

# wherever it ends
my %ended;
for my $i (1 .. $rounds)
{
	my $temp = $i % 3 == 0;
	my $kb = int(rand($temp ? 5000 : 8000));
	my $workers = int(rand(3));
	make_room();
	leave($disk, $kb);
	my $state = sqlstate_of($node, sprintf "SET client_min_messages = error; SET max_parallel_maintenance_workers = %d; SET maintenance_work_mem = '%dMB'; %s; %s",
		$workers, 1 + int(rand(8)), $temp ? 'SET temp_tablespaces = temp' : '', $temp ? $create : "$create TABLESPACE space");
	$ended{$state}++;
	if ($state eq '')
	{
		check_index($node, 'ti', "build with $kb kB: check");
		$node->safe_psql('postgres', 'DROP INDEX ti');
	}
	else
	{
		is($state, '53100', "build with $kb kB, $workers workers: disk is full");
	}
	is(files(), $none, "build with $kb kB: no file is left");
}
note(join ', ', map { "$_: $ended{$_}" } sort keys %ended);

# an index that is there survives a REINDEX that fails
make_room();
$node->safe_psql('postgres', "$create TABLESPACE space");
leave($disk, 2000);
build_fails('REINDEX', 'SET client_min_messages = error', 'REINDEX INDEX ti');
same_ids($node, 't', $query, 'REINDEX: the index has all rows');
make_room();
is(sqlstate_of($node, 'REINDEX INDEX ti'), '', 'REINDEX with room');
check_index($node, 'ti');

# insertion, by one statement
leave($disk, 1500);
my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM t');
is(sqlstate_of($node, 'INSERT INTO t SELECT id + 10000, v + v FROM data'), '53100', 'INSERT: disk is full');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), $before, 'INSERT: it has failed as a whole');
same_ids($node, 't', $query, 'INSERT: all rows are there');
check_index($node, 'ti', 'INSERT: check');
# by many, in turn, from several sessions; what was committed is there
$node->safe_psql('postgres', 'VACUUM t');
my @writers = map {
	my $writer = $_;	# no two of whom insert the same vector
	start_psql($node, (join '', map { "INSERT INTO t SELECT ${writer}00000 + d.id, d.v + o.v FROM data d, data o WHERE d.id = $_ AND o.id = $_ + $writer;\n" } 1 .. 1200), '-v', 'VERBOSITY=sqlstate')
} 1 .. 3;
my @errors;
foreach my $writer (@writers)
{
	my (undef, $err) = finish_psql($writer);
	push @errors, $err =~ /ERROR: +(\w+)/g;
}
cmp_ok(scalar @errors, '>', 0, 'INSERTs: some fail');
is(scalar(grep { $_ ne '53100' } @errors), 0, 'INSERTs: by disk_full only');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), $before + 3600 - @errors, 'INSERTs: those that did not are there');
same_ids($node, 't', $query, 'INSERTs: all rows are in the index');
check_index($node, 'ti', 'INSERTs: check');
note(scalar(@errors) . ' of 3600 failed');

# vacuum frees slots without room on the disk, and then there is some
$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 3 = 0');
leave($disk, 0);
my $state = sqlstate_of($node, 'VACUUM (INDEX_CLEANUP on) t');
like($state, qr/^(53100|)$/, 'VACUUM: done, or the disk is full');
note("VACUUM: $state");
same_ids($node, 't', $query, 'VACUUM: all rows are there');
check_index($node, 'ti', 'VACUUM: check');
if ($state ne '')
{
	make_room();
	is(sqlstate_of($node, 'VACUUM (INDEX_CLEANUP on) t'), '', 'VACUUM: done with room');
	leave($disk, 0);
}
is($node->safe_psql('postgres', "SELECT dead FROM vectorx_index_info('ti')"), '0', 'VACUUM: nothing is left to do');
is(sqlstate_of($node, 'INSERT INTO t SELECT id + 900000, v + v FROM data WHERE id <= 300'), '', 'INSERT into what was freed');
same_ids($node, 't', $query, 'all rows are there');
check_index($node, 'ti');

# vectorx_index_check sorts rows in temporary files
$node->safe_psql('postgres', 'CREATE TABLE many (id int, v vector(2)); INSERT INTO many SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 60000) i;'
	  . 'CREATE INDEX mi ON many USING hnsw (v) WITH (m = 4, ef_construction = 10)');
my $check = "SET maintenance_work_mem = '1MB'; SET temp_tablespaces = temp; SELECT count(*) FROM index_findings('mi')";
is(sqlstate_of($node, $check), '53100', 'check: disk is full');
make_room();
is($node->safe_psql('postgres', $check), '0', 'check with room');

# with room, all is as if nothing had been
is(sqlstate_of($node, 'INSERT INTO t SELECT id + 10000, v + v FROM data; VACUUM t; REINDEX INDEX ti'), '', 'with room');
same_ids($node, 't', $query, 'all rows are there');
check_index($node, 'ti');
$node->safe_psql('postgres', 'DROP TABLE t');
is(files(), $none, 'nothing is left on the disk');
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
