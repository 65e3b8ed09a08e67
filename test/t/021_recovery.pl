# Recovery to any point of the WAL.
#
# Promised: each WAL record leaves a usable index, whatever comes after it is lost:
# the index is sound and has the table's rows, each once; insertions and VACUUM go on
# from there and mend what was unfinished.  A base backup may be taken at any
# moment, also while an index is being built.
#
# Shown: a base backup, then insertions (nodes, duplicates, vectors larger than a
# page), updates, deletions, rolled-back rows, vacuum, builds.  The backup is
# recovered to the end of generic records taken at random, each kind of moment
# among them, and promoted there.  Backups of which the first was begun before CREATE
# INDEX are recovered to the end.
#
# VX_SEED repeats the choice of records, VX_POINTS sets their number.
use strict;
use warnings;
use Test::More;
use File::Path qw(rmtree);
use IPC::Run;
use VxTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my $points = $ENV{VX_POINTS} // ($ENV{VX_TORTURE} ? 60 : 6);
my $dir = PostgreSQL::Test::Utils::tempdir();
my %dims = (t => 24, u => 7000);
random_seed();

# Generic WAL is compared where it is replayed
my $primary = new_node('primary', "wal_consistency_checking = 'generic'\nwal_level = replica\nmax_wal_senders = 4\nlog_statement = none\nfull_page_writes = on",
	has_archiving => 1, allows_streaming => 1, extra => ['--wal-segsize=1']);
$primary->start;
set_up($primary);
$primary->safe_psql('postgres', <<"SQL");
CREATE SEQUENCE ids;
CREATE TABLE t (id int PRIMARY KEY, n int, v vector(24)) WITH (fillfactor = 80);
INSERT INTO t SELECT nextval('ids'), i, vec(i, 24) FROM generate_series(1, 300) i;
CREATE INDEX ti ON t USING hnsw (v, n) WITH (m = 4, ef_construction = 16);
CREATE TABLE u (id int PRIMARY KEY, n int, v vector(7000));
CREATE INDEX ui ON u USING hnsw (v, n, id) WITH (m = 4, ef_construction = 16);
SQL
$primary->backup('before');

# The work of which prefixes are recovered
my $work = '';
foreach my $part (1 .. 6)
{
	my ($n, $m) = map { int rand 4e7 } 1 .. 2;
	$work .= <<"SQL";
INSERT INTO t SELECT nextval('ids'), i, vec(i, 24) FROM generate_series($n, $n + 59) i;
INSERT INTO t SELECT nextval('ids'), i % 5, vec(i % 5, 24) FROM generate_series(1, 20) i;
INSERT INTO u SELECT nextval('ids'), i, vec(i, 7000) FROM generate_series($n, $n + 4) i;
BEGIN;
INSERT INTO t SELECT nextval('ids'), i, vec(i, 24) FROM generate_series($m, $m + 19) i;
UPDATE t SET n = id + 1000000, v = vec(id + 1000000, 24) WHERE id % 11 = $part;
SAVEPOINT s;
DELETE FROM t WHERE id % 2 = 0;
ROLLBACK TO s;
@{[ $part % 3 ? 'COMMIT' : 'ROLLBACK' ]};
DELETE FROM t WHERE id % 7 = $part;
DELETE FROM u WHERE id % 3 = $part % 3;
VACUUM (INDEX_CLEANUP on) t;
VACUUM (INDEX_CLEANUP on) u;
SQL
	$work .= "DELETE FROM t WHERE n < 3;\nVACUUM (INDEX_CLEANUP on) t;\n" if $part == 3;
	$work .= "SET maintenance_work_mem = '1MB'; SET client_min_messages = error; REINDEX INDEX ti; RESET maintenance_work_mem;\n" if $part == 4;
	$work .= "REINDEX INDEX CONCURRENTLY ui;\nDELETE FROM u;\nVACUUM (INDEX_CLEANUP on) u;\n" if $part == 5;
}
my $from = $primary->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$primary->safe_psql('postgres', $work);
my $to = $primary->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');

# Backups while indexes are built, the second one mostly by insertion.  So that a build
# lasts as long as a backup, it sleeps at some of its rows.
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE b (id int, n int, v vector(200));
INSERT INTO b SELECT i, i, vec(i, 200) FROM generate_series(1, 2500) i;
CREATE FUNCTION taken(id int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
	IF current_setting('vx.sleep', true) = 'on' AND id % 10 = 0 THEN
		PERFORM pg_sleep(0.01);
	END IF;
	RETURN id % 5 > 0;
END $$;
SQL
$dims{b} = 200;
my @builds;
foreach my $memory ('64MB', '1MB')
{
	my $name = "build_$memory";
	my $build = run_psql($primary, "$dir/$name", "SET client_min_messages = error; SET vx.sleep = 'on'; SET maintenance_work_mem = '$memory';\n"
		. "CREATE INDEX bi ON b USING hnsw (v) WITH (m = 12, ef_construction = 40) WHERE taken(id);\n\\echo built\n");
	$primary->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_progress_create_index WHERE phase LIKE 'building index%'");
	$primary->backup($name);
	my $running = $primary->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_progress_create_index');
	$build->{run}->finish;
	like(slurp_file($build->{out}), qr/built/, "$memory: built") or diag(slurp_file($build->{err}));
	$primary->safe_psql('postgres', "INSERT INTO b SELECT i, i, vec(i, 200) FROM generate_series(3001, 3020) i");
	push @builds, { name => $name, lsn => $primary->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()') };
	# or else the machine is very slow
	note("$memory: the build had ended when the backup was done") if !$running;
	$primary->safe_psql('postgres', 'DROP INDEX bi; DELETE FROM b WHERE id > 3000') if $memory eq '64MB';
}
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');
my $last = $primary->safe_psql('postgres', 'SELECT pg_walfile_name(pg_current_wal_lsn() - 1)');
$primary->poll_query_until('postgres', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver") or die 'WAL is not archived';

# The generic records of the work: where each begins
my ($list, $err) = run_command([ $primary->installed_command('pg_waldump'), '--rmgr=Generic', "--path=" . $primary->archive_dir,
		"--start=$from", "--end=$to", map { $primary->safe_psql('postgres', "SELECT pg_walfile_name('$_')") } $from, $to ]);
my @records = $list =~ m{lsn: ([0-9A-F]+/[0-9A-F]+)}g;
cmp_ok(scalar @records, '>', 1000, 'there are generic records') or diag($err);
$primary->stop;

# Recover a backup, up to a place, and promote it there; a node, started
my $recoveries = 0;
sub recover
{
	my ($backup, $lsn) = @_;
	my $node = PostgreSQL::Test::Cluster->new('recovered' . $recoveries++);
	$node->init_from_backup($primary, $backup, has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', "recovery_target_lsn = '$lsn'\nrecovery_target_action = promote\narchive_mode = off\n");
	$node->start;
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die "recovery to $lsn does not end";
	return $node;
}

# What is wrong with a table and its index
sub faults
{
	my ($node, $table, $when) = @_;
	my $faults = $node->safe_psql('postgres', <<"SQL");
SELECT index_faults('${table}i') LIMIT 5;
SELECT 'another vector', id FROM $table WHERE v <> vec(n, $dims{$table}) LIMIT 5;
SQL
	return map { "$when: $table: $_" } split /\n/, $faults;
}

# Everything that must hold of a recovered node, before and after it goes on
sub verify
{
	my ($node, @tables) = @_;
	my @faults = map { faults($node, $_, 'recovered') } @tables;
	foreach my $table (@tables)
	{
		$node->safe_psql('postgres', <<"SQL");
INSERT INTO $table SELECT 5000000 + i, i, vec(i, $dims{$table}) FROM generate_series(1, 12) i;
DELETE FROM $table WHERE id % 5 = 0;
VACUUM (INDEX_CLEANUP on) $table;
INSERT INTO $table SELECT 6000000 + i, 3, vec(3, $dims{$table}) FROM generate_series(1, 12) i;
SQL
		push @faults, faults($node, $table, 'gone on');
		my $rows = $node->safe_psql('postgres', "SELECT rows = (SELECT count(*) FROM $table WHERE @{[ $table eq 'b' ? 'taken(id)' : 'true' ]}) FROM vectorx_index_info('${table}i')");
		push @faults, "gone on: $table: rows that vacuum left" if $rows ne 't';
	}
	my $log = slurp_file($node->logfile);
	push @faults, grep { /PANIC:|TRAP:|terminated by signal|XX00|inconsistent page|invalid page|is damaged/ } split /\n/, $log;
	return @faults;
}

# One record in each stretch of the work, so that the whole of it is tried
foreach my $i (0 .. $points - 1)
{
	my $lsn = $records[ int(@records * ($i + rand) / $points) ];
	my $node = recover('before', $lsn);
	is(join("\n", verify($node, qw(t u))), '', "recovered to $lsn");
	$node->stop('immediate');
	$node->clean_node;
}
foreach my $build (@builds)
{
	my $node = recover($build->{name}, $build->{lsn});
	is(join("\n", verify($node, qw(t u b))), '', "$build->{name}: the backup is recovered");
	$node->stop('immediate');
	$node->clean_node;
}
done_testing();
