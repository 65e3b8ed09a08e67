# Standbys that answer queries, promotion, and pg_rewind.
#
# Promised: while a standby replays whatever a primary does, its searches give as
# many rows as there are, each once, in order, of its own snapshot; what may go wrong
# is a recovery conflict.  Its index pages are those of the primary.  A scan that
# is open goes on when the standby is promoted, and the new primary goes on from
# there; so does the old one as its standby, after pg_rewind.
#
# Shown: with rows inserted, updated, deleted, rolled back and vacuumed on the
# primary, so that slots are used again, and two readers on the standby, one of
# which scans slowly; first with hot_standby_feedback, then without; under
# wal_consistency_checking.  Pages are compared when replay is done, and indexes
# checked on both nodes.  Then the standby is promoted under the load.
#
# VX_ROUNDS sets the number of rounds, VX_SECONDS their length.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use VxTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my $torture = $ENV{VX_TORTURE};
my $rounds = $ENV{VX_ROUNDS} // ($torture ? 10 : 2);
my $seconds = $ENV{VX_SECONDS} // ($torture ? 12 : 2);
my $promotions = $torture ? 6 : 1;
my $dims = 24;
my $dir = PostgreSQL::Test::Utils::tempdir();
my @indexes = qw(ti ui few_i calm_i);
random_seed();

my $primary = new_node('primary', <<'CONF', allows_streaming => 1);
wal_consistency_checking = 'all'
wal_log_hints = on
max_wal_size = 256MB
max_standby_streaming_delay = 200ms
wal_receiver_status_interval = 1
log_statement = none
CONF
$primary->start;
set_up($primary);
add_check_search($primary);
$primary->safe_psql('postgres', <<"SQL");
CREATE SEQUENCE ids;
CREATE TABLE t (id int PRIMARY KEY, n int, v vector($dims)) WITH (fillfactor = 80);
INSERT INTO t SELECT nextval('ids'), i, vec(i, $dims) FROM generate_series(1, 1500) i;
CREATE INDEX ti ON t USING hnsw (v, n) WITH (m = 6, ef_construction = 32);
CREATE TABLE u (id int PRIMARY KEY, n int, v vector(2500));
CREATE INDEX ui ON u USING hnsw (v) WITH (m = 4, ef_construction = 16);
INSERT INTO u SELECT nextval('ids'), i, vec(i, 2500) FROM generate_series(1, 40) i;
CREATE TABLE calm AS SELECT * FROM t;
CREATE INDEX calm_i ON calm USING hnsw (v);
CREATE TABLE few (id int PRIMARY KEY, n int, v vector($dims));
CREATE INDEX few_i ON few USING hnsw (v);
-- not logged, so no standby has it
CREATE UNLOGGED TABLE lost (id int, v vector(3));
CREATE INDEX lost_i ON lost USING hnsw (v);
INSERT INTO lost SELECT i, vec(i, 3) FROM generate_series(1, 100) i;
SQL
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$_->append_conf('postgresql.conf', "primary_slot_name = 'slot'") foreach $primary, $standby;
$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('slot', true)");
$standby->start;

# What the primary is loaded with, for so many seconds.  To truncate a table VACUUM would
# wait up to 5 s for a reader.
my $load = 0;
sub load
{
	my ($node, $for) = @_;
	my $id = '(SELECT id FROM t ORDER BY id OFFSET :o LIMIT 1)';
	return run_pgbench($node, "$dir/load" . $load++, [ '-c', 3, '-j', 1, '-T', $for, '--random-seed=' . int rand 1e9 ],
		6 => "\\set n random(1, 40000000)\nINSERT INTO t SELECT nextval('ids'), i, vec(i, $dims) FROM generate_series(:n, :n + 9) i;\n",
		3 => "\\set n random(1, 8)\nINSERT INTO t VALUES (nextval('ids'), :n, vec(:n, $dims));\n",
		5 => "\\set n random(1, 40000000)\n\\set o random(0, 1000)\nUPDATE t SET n = :n, v = vec(:n, $dims) WHERE id = $id;\n",
		5 => "\\set o random(0, 1000)\nUPDATE t SET n = n WHERE id = $id;\n",
		5 => "DELETE FROM t WHERE id IN (SELECT id FROM t TABLESAMPLE bernoulli (1) WHERE (SELECT count(*) FROM t) > 1500);\n",
		1 => "\\set n random(1, 40000000)\nBEGIN;\nINSERT INTO t SELECT nextval('ids'), i, vec(i, $dims) FROM generate_series(:n, :n + 9) i;\nROLLBACK;\n",
		1 => "\\set n random(1, 40000000)\nINSERT INTO u VALUES (nextval('ids'), :n, vec(:n, 2500));\nDELETE FROM u WHERE id < (SELECT max(id) - 200 FROM u);\n",
		1 => "DELETE FROM few;\nINSERT INTO few VALUES (nextval('ids'), 1, vec(1, $dims)), (nextval('ids'), 2, vec(2, $dims));\n",
		2 => "VACUUM (INDEX_CLEANUP on, TRUNCATE off) t;\n",
		1 => "VACUUM (INDEX_CLEANUP on, TRUNCATE off) u, few;\n");
}

# Deadlocks of the load with itself are no matter; nothing else may go wrong
sub load_ended
{
	my ($job) = @_;
	$job->{run}->finish;
	return grep { /error|abort/i && !/deadlock/ } split /\n/, slurp_file($job->{err});
}

sub readers
{
	my ($node, $name, $count) = @_;
	my $fast = "\\set VERBOSITY verbose\n";
	my $slow = $fast;
	foreach (1 .. $count)
	{
		my ($table, $k, $part) = ((qw(t t t u few))[ rand 5 ], (1, 10, 10, 40, 100, 5000)[ rand 6 ], (1, 1, 3, 50)[ rand 4 ]);
		my $d = $table eq 'u' ? 2500 : $dims;
		$fast .= sprintf "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT check_search('%s', vec(%d, %d), %d, %d); COMMIT;\n",
		  $table, rand() < 0.2 ? rand 8 : rand 4e7, $d, $k, $part;
		$slow .= sprintf "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT check_slow_scan('t', vec(%d, %d)); COMMIT;\n", rand 4e7, $dims
		  if $_ % 10 == 0;
		$slow .= "SELECT 'finding', index_findings('ti');\n" if $_ % 50 == 0;
	}
	return map { run_psql($node, "$dir/$name-$_->[0]", $_->[1]) } [ fast => $fast ], [ slow => $slow ];
}

# What readers met that they must not meet, and how many of their answers were right.
# They are ended where they are.
my ($right, $conflicts) = (0, 0);
sub readers_ended
{
	my (@jobs) = @_;
	my @bad;
	foreach my $job (@jobs)
	{
		$job->{run}->signal('TERM');
		$job->{run}->finish;
		my ($out, $err) = map { slurp_file($job->{$_}) } qw(out err);
		$right += () = $out =~ /^right$/mg;
		$conflicts += () = $err =~ /ERROR:  40001:/g;
		push @bad, grep { /finding/ } split /\n/, $out;
		push @bad, grep { /(ERROR|FATAL|PANIC):  / && !/40001:|25P02:/ } split /\n/, $err;
	}
	return @bad;
}

sub note_answers
{
	my ($name) = @_;
	cmp_ok($right, '>', 0, "$name: searches were made") and note("$right right answers, $conflicts recovery conflicts");
	($right, $conflicts) = (0, 0);
}

sub check_all
{
	my ($name, @nodes) = @_;
	foreach my $node (@nodes)
	{
		check_index($node, $_, "$name: check of $_ on " . $node->name) foreach @indexes;
		foreach my $table (qw(t u few))
		{
			my $d = $table eq 'u' ? 2500 : $dims;
			same_ids($node, $table, "vec(7, $d)", "$name: rows of $table on " . $node->name);
		}
	}
}

foreach my $round (1 .. $rounds)
{
	my $feedback = $round % 2 ? 'on' : 'off';
	my $name = "round $round, feedback $feedback";
	$standby->append_conf('postgresql.conf', "hot_standby_feedback = $feedback");
	$standby->reload;
	my $load = load($primary, $seconds);
	my @readers = readers($standby, "round$round", 300 * $seconds);
	my @bad = load_ended($load);
	push @bad, readers_ended(@readers);
	is(join("\n", @bad), '', "$name: nothing worse than a conflict");
	note_answers($name);
	same_pages($primary, $standby, "$name: pages are those of the primary", @indexes);
	check_all($name, $primary, $standby);
}

# what is not on the standby
foreach my $case ([ 'SELECT id FROM lost ORDER BY v <-> vec(1, 3)', 'ERROR:  0A000: cannot access temporary or unlogged relations during recovery' ],
	[ "SELECT * FROM vectorx_index_check('lost_i')", 'NOTICE:  25006: cannot check unlogged index "lost_i" during recovery, skipping' ],
	[ "SELECT * FROM vectorx_index_info('lost_i')", 'ERROR:  55000: cannot read unlogged index "lost_i" during recovery' ],
	[ "SELECT vectorx_recall('lost_i')", 'ERROR:  55000: cannot read unlogged index "lost_i" during recovery' ])
{
	my ($query, $answer) = @$case;
	my $err = '';
	$standby->psql('postgres', "\\set VERBOSITY verbose\nSET enable_seqscan = off;\n$query", stderr => \$err);
	like($err, qr/\Q$answer\E/, "unlogged index on a standby: $query");
}

# Begin a scan in a session that stays.  That of a table under load may meet a conflict
# even under hot_standby_feedback: replay of vacuum waits for pins of heap pages.
sub begin_scan
{
	my ($scan) = @_;
	my $session = $scan->{session};
	eval {
		$scan->{all} = $session->ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_indexscan = off; SELECT id FROM $scan->{table};");
		$session->ask("SET LOCAL enable_indexscan = on; SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off;
			DECLARE c CURSOR FOR SELECT id FROM $scan->{table} ORDER BY v <-> vec(11, $dims);");
		$scan->{first} = $session->ask('FETCH 100 FROM c;');
	};
}

sub end_scan
{
	my ($scan, $name) = @_;
	my ($table, $session) = @$scan{qw(table session)};
	my $rest = eval { $session->ask('FETCH ALL FROM c;') };
	if ($table ne 'calm' && $session->{err} =~ /conflict with recovery/)
	{
		note("$name: a recovery conflict ended the scan of $table");
		return;
	}
	is(join(',', sort @{ $scan->{first} }, @{ $rest // [] }), join(',', sort @{ $scan->{all} }), "$name: a scan of $table goes on across it")
	  or diag($session->{err});
	my $again = eval { $session->ask("ROLLBACK; SET enable_seqscan = off; SELECT id FROM $table ORDER BY v <-> vec(12, $dims) LIMIT 10;") };
	is(scalar @{ $again // [] }, 10, "$name: so does its session");
	$session->end;
}

# Promote the standby under the load; what was the primary diverges and is made its
# standby.
foreach my $promotion (1 .. $promotions)
{
	my $name = "promotion $promotion";
	# pg_rewind and what follows it need the WAL of both nodes since the last checkpoint
	# before they diverged; feedback, so that no conflict ends the scan
	foreach my $node ($primary, $standby)
	{
		$node->append_conf('postgresql.conf', "wal_keep_size = 2GB\nwal_consistency_checking = 'generic'\nhot_standby_feedback = on");
		$node->reload;
	}
	$primary->poll_query_until('postgres', 'SELECT xmin IS NOT NULL FROM pg_replication_slots') or die 'there is no feedback';
	my $load = load($primary, 2);
	my @readers = readers($standby, "promotion$promotion", 2000);
	sleep(0.5 + rand 0.5);
	my @scans = map { { table => $_, session => new_session($standby) } } qw(calm t);
	begin_scan($_) foreach @scans;
	$standby->promote;
	$standby->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('slot', true)");
	$primary->safe_psql('postgres', "SELECT pg_drop_replication_slot('slot')");
	end_scan($_, $name) foreach @scans;

	my $more = load($standby, 1);
	my @bad = (load_ended($load), load_ended($more), readers_ended(@readers));
	is(join("\n", @bad), '', "$name: nothing worse than a conflict");
	note_answers($name);
	$standby->safe_psql('postgres', "VACUUM (INDEX_CLEANUP on) $_") foreach qw(t u few);
	check_all($name, $standby);

	# the old primary, which has what the new one has not
	$primary->safe_psql('postgres', "DELETE FROM t WHERE id % 3 = 0; VACUUM t; INSERT INTO t SELECT nextval('ids'), i, vec(i, $dims) FROM generate_series(1, 300) i");
	$primary->stop;
	my $conf = slurp_file($primary->data_dir . '/postgresql.conf');
	$standby->safe_psql('postgres', 'CHECKPOINT');
	my ($out, $err) = run_command([ $primary->installed_command('pg_rewind'), '--no-sync', '--target-pgdata=' . $primary->data_dir,
			'--source-server=' . $standby->connstr('postgres') ]);
	like($err, qr/Done!/, "$name: pg_rewind") or diag($err);
	unlink $primary->data_dir . '/postgresql.conf';
	append_to_file($primary->data_dir . '/postgresql.conf', $conf);
	$primary->enable_streaming($standby);
	$primary->start;
	($primary, $standby) = ($standby, $primary);
	is(join("\n", load_ended(load($primary, 1))), '', "$name: the new primary takes load");
	same_pages($primary, $standby, "$name: pages after pg_rewind are those of the new primary", @indexes);
	check_all("$name, after pg_rewind", $standby);
}

foreach ($primary, $standby)
{
	check_log($_, 'nothing bad in the log of ' . $_->name);
	$_->stop;
}
done_testing();
