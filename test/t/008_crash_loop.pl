# Crashes, again and again.
#
# Promised: after a crash at any moment of any mix of work, table and index have
# exactly what was confirmed; the index is sound, complete and as good as a new one.
# While the work goes on, no search gives a row twice, out of order, with another
# vector, or one that was never committed, nor fewer rows than there are, be there a
# condition on filter columns or none.
#
# Shown: three writers run transactions whose effects are known beforehand; what
# psql has confirmed is the ledger, and only the one transaction that each writer
# had in flight is in doubt, as a whole.  Two readers compare searches with exact
# answers of the same snapshot.  Beside them run vacuum, CREATE INDEX CONCURRENTLY,
# REINDEX, CHECKPOINT and vectorx_index_check.  At a random moment a process is killed,
# or the server stopped at once.  After each recovery the table is compared with
# the ledger, and each index with the table.
#
# VX_SEED repeats a sequence of decisions (not the moments), VX_CRASHES sets the
# number of crashes.  With VX_TORTURE there are 200, in at most half an hour.
use strict;
use warnings;
use Errno;
use Test::More;
use Time::HiRes qw(sleep time);
use IPC::Run;
use VxTest;
use PostgreSQL::Test::Utils;

my $torture = $ENV{VX_TORTURE};
my $cycles = $ENV{VX_CRASHES} // ($torture ? 200 : 25);
my $time_limit = $torture ? 1800 : 140;
my $dims = 24;
my $writers = 3;
my $range = 100_000_000;    # ids of a writer
my $never = 900_000_000;    # ids of rows that are rolled back are beyond
my $rows_wanted = 1200;     # of a writer
random_seed();

# the server comes back by itself after the death of a process
my $node = new_node('crash_loop', "restart_after_crash = on\ncheckpoint_timeout = 30s\nmax_wal_size = 64MB\nmin_wal_size = 32MB\nfull_page_writes = on");
$node->start;
set_up($node);
add_check_search($node);
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE t (id int PRIMARY KEY, n int, v vector($dims), g int GENERATED ALWAYS AS (n % 10) STORED,
	w text GENERATED ALWAYS AS (CASE WHEN n % 3 > 0 THEN 'w' || n % 7 END) STORED) WITH (fillfactor = 80);
CREATE INDEX ti ON t USING hnsw (v, g, w) WITH (m = 8, ef_construction = 40);
-- The share of the true 10 nearest rows of a table, of each of so many queries
CREATE FUNCTION recalls(tab text, seed int, queries int) RETURNS SETOF int LANGUAGE plpgsql AS \$\$
DECLARE
	q vector;
	kth float8;
	n int;
BEGIN
	FOR i IN 1 .. queries LOOP
		q := vec(seed + i, $dims);
		SET LOCAL enable_indexscan = off;
		SET LOCAL enable_seqscan = on;
		EXECUTE format('SELECT max(d) FROM (SELECT v <-> \$1 AS d FROM %s ORDER BY 1 LIMIT 10) s', tab) INTO kth USING q;
		SET LOCAL enable_indexscan = on;
		SET LOCAL enable_seqscan = off;
		EXECUTE format('SELECT count(*) FROM (SELECT v <-> \$1 AS d FROM %s ORDER BY v <-> \$1 LIMIT 10) s WHERE d <= \$2 * 1.00001', tab)
			INTO n USING q, kth;
		RETURN NEXT n;
	END LOOP;
END \$\$;
CREATE FUNCTION check_index(index text) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	found text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(index) AND indisvalid) THEN
		RETURN;
	END IF;
	SELECT string_agg(f, '; ') INTO found FROM index_findings(index) f;
	IF found IS NOT NULL THEN
		RAISE EXCEPTION 'found in %: %', index, left(found, 1000);
	END IF;
END \$\$;
SQL

my $dir = PostgreSQL::Test::Utils::tempdir();
my %ledger;             # id => number of its vector, of what is confirmed
my @next = map { $range * $_ } 1 .. $writers;    # ids not yet used
my ($confirmed, $doubts, $done) = (0, 0, 0);

sub pick { return $_[ int rand @_ ]; }

# Number of a vector: one row in ten has one of few
sub number { return rand() < 0.1 ? int rand 8 : int rand 40_000_000; }

# One transaction of a writer, as SQL, and its effects: id => number, or undef for
# a row that is deleted.  $have is what the writer has, in a hash and a list.
sub transaction
{
	my ($w, $state) = @_;
	my (@sql, %effects);
	my $chance = @{ $state->{ids} } > $rows_wanted ? 0.12 : 0.7;
	my $statements = rand() < 0.8 ? 1 : 2 + int rand 4;

	if (rand() < 0.05)
	{
		my $id = $never + int rand 1_000_000_000;
		my $end = pick('ROLLBACK', 'SAVEPOINT s; ROLLBACK TO s; ROLLBACK');
		return ("BEGIN; INSERT INTO t SELECT $id + i, i, vec(i, $dims) FROM generate_series(1, 5) i; $end;", {});
	}
	foreach (1 .. $statements)
	{
		my $dice = rand();
		my $id = @{ $state->{ids} } ? pick(@{ $state->{ids} }) : undef;
		my $known = defined $id && exists $state->{numbers}{$id} && !exists $effects{$id};
		if ($dice < $chance || !$known)
		{
			my @rows;
			foreach (1 .. pick(1, 1, 1, 2, 10))
			{
				my $n = number();
				my $new = $next[$w]++;
				$effects{$new} = $n;
				push @rows, "($new, $n, vec($n, $dims))";
			}
			push @sql, 'INSERT INTO t VALUES ' . join(', ', @rows) . ';';
		}
		elsif ($dice < $chance + 0.1)
		{
			my $n = number();
			$effects{$id} = $n;
			push @sql, "UPDATE t SET n = $n, v = vec($n, $dims) WHERE id = $id;";
		}
		elsif ($dice < $chance + 0.15)
		{
			push @sql, "UPDATE t SET n = n WHERE id = $id;";
		}
		else
		{
			$effects{$id} = undef;
			push @sql, "DELETE FROM t WHERE id = $id;";
		}
	}
	@sql = ('BEGIN;', @sql, 'COMMIT;') if @sql > 1;
	return (join(' ', @sql), \%effects);
}

# A writer's script for a cycle: its transactions, each followed by its number once
# it is confirmed; returns the effects
sub write_script
{
	my ($w, $file, $count) = @_;
	my (@lines, @effects);
	my %numbers = map { $_ => $ledger{$_} } grep { int($_ / $range) == $w + 1 } keys %ledger;
	my $state = { numbers => \%numbers, ids => [ sort { $a <=> $b } keys %numbers ] };

	push @lines, "SET wal_consistency_checking = 'generic';" if rand() < 0.5;
	foreach my $i (0 .. $count - 1)
	{
		my ($sql, $effects) = transaction($w, $state);
		push @lines, $sql, "\\echo c$i";
		push @effects, $effects;
		foreach my $id (keys %$effects)
		{
			push @{ $state->{ids} }, $id if !exists $numbers{$id};
			if (defined $effects->{$id}) { $numbers{$id} = $effects->{$id}; }
			else { delete $numbers{$id}; }
		}
		# forget the deleted ones from time to time
		$state->{ids} = [ grep { exists $numbers{$_} } @{ $state->{ids} } ] if $i % 50 == 49;
	}
	append_to_file($file, join("\n", @lines) . "\n");
	return \@effects;
}

sub reader_script
{
	my @lines;
	foreach (1 .. 1500)
	{
		my ($k, $part) = (pick(1, 10, 10, 10, 40, 100, 5000), pick(1, 1, 1, 3, 50));
		my $condition = pick('true', 'true', 'g < 5', 'g = 3', "w = 'w1'", 'w IS NULL AND g >= 8', "w IN ('w2', 'w4')");
		push @lines, sprintf "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT check_search('t', vec(%d, %d), %d, %d, %d, \$\$%s\$\$); COMMIT;",
		  number(), $dims, $k, $part, $never, $condition;
	}
	return join("\n", @lines) . "\n";
}

sub maintenance_script
{
	my @lines;
	foreach (1 .. 60)
	{
		push @lines, pick(
			('VACUUM (INDEX_CLEANUP on) t;') x 5,
			('CHECKPOINT;') x 2,
			"SELECT check_index('ti');",
			"DROP INDEX IF EXISTS tj;\nCREATE INDEX CONCURRENTLY tj ON t USING hnsw (v) WITH (m = 8, ef_construction = 40);\nSELECT check_index('tj');",
			'REINDEX INDEX CONCURRENTLY ti;', 'REINDEX INDEX ti;'),
		  sprintf('SELECT pg_sleep(%.3f);', rand(0.05));
	}
	return join("\n", @lines) . "\n";
}

# Start psql with a script; its output goes into files
sub launch
{
	my ($what, $cycle, $script) = @_;
	my $base = "$dir/$what-$cycle";
	append_to_file("$base.sql", $script) if defined $script;
	append_to_file("$base.out", '');
	append_to_file("$base.err", '');
	return { what => $what, base => $base,
		run => IPC::Run::start(psql_command($node, '-v', 'ON_ERROR_STOP=1', '-f', "$base.sql"), '>', "$base.out", '2>', "$base.err") };
}

# Bring the server down; returns how
my $log_end;    # before the crash
sub crash
{
	$log_end = -s $node->logfile;
	if (rand() < 0.5)
	{
		$node->stop('immediate');
		return 'stopped at once';
	}
	my ($out, $pid, $type) = ('');
	# one may have ended by itself meanwhile
	for (my $tries = 1;; $tries++)
	{
		$node->psql('postgres', "SELECT pid, backend_type FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type IN ('client backend', 'checkpointer', 'background writer', 'walwriter') ORDER BY random() LIMIT 1",
			stdout => \$out);
		($pid, $type) = split /\|/, $out;
		return "$type killed" if kill 'KILL', $pid;
		die "cannot kill $pid: $!" if !$!{ESRCH} || $tries == 100;
	}
}

# Wait until the server has recovered
sub recover
{
	my ($how) = @_;
	if ($how =~ /stopped/) { $node->start; }
	else { wait_for_server($node, $log_end); }
}

# What is in the table: id => number
sub stored
{
	return map { split /\|/ } split /\n/, $node->safe_psql('postgres', 'SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; SELECT id, n FROM t');
}

# Compare the table with the ledger, of which each writer's transaction in flight is
# not known to be in it or not; then take it up into the ledger
sub settle
{
	my ($stored, @in_doubt) = @_;
	my @wrong;
	foreach my $effects (@in_doubt)
	{
		my @ids = keys %$effects;
		next unless @ids;
		my $done = grep { defined $effects->{$_} ? ($stored->{$_} // -1) == $effects->{$_} : !exists $stored->{$_} } @ids;
		$doubts++;
		if ($done == @ids)
		{
			foreach (@ids) { if (defined $effects->{$_}) { $ledger{$_} = $effects->{$_}; } else { delete $ledger{$_}; } }
		}
	}
	foreach (keys %ledger)
	{
		push @wrong, "$_ lost" if !exists $stored->{$_};
		push @wrong, "$_ has vector $stored->{$_} instead of $ledger{$_}" if exists $stored->{$_} && $stored->{$_} != $ledger{$_};
	}
	foreach (keys %$stored) { push @wrong, "$_ has risen" if !exists $ledger{$_}; }
	%ledger = %$stored;
	return @wrong;
}

# Take up what a writer's psql confirmed; returns the effects in doubt
sub take_up
{
	my ($writer, $effects) = @_;
	my @seen = slurp_file("$writer->{base}.out") =~ /^c(\d+)$/mg;
	my $n = @seen;
	die "confirmations out of order" if $n > 0 && $seen[-1] != $n - 1;
	$confirmed += $n;
	foreach my $e (@$effects[ 0 .. $n - 1 ])
	{
		foreach (keys %$e) { if (defined $e->{$_}) { $ledger{$_} = $e->{$_}; } else { delete $ledger{$_}; } }
	}
	return $effects->[$n] // {};
}

# Errors that psql met, but for those of a server that is gone
sub complaints
{
	my ($job) = @_;
	return map { "$job->{what}: $_" } grep { /ERROR:|PANIC:/ } split /\n/, slurp_file("$job->{base}.err");
}

# Everything that must hold after recovery
sub verify
{
	my @wrong;
	my $indexes = $node->safe_psql('postgres', "SELECT c.relname || '|' || indisvalid FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam WHERE amname = 'hnsw' AND indrelid = 't'::regclass");
	foreach (split /\n/, $indexes)
	{
		my ($name, $valid) = split /\|/;
		if ($valid eq 'true')
		{
			my $found = $node->safe_psql('postgres', "SELECT index_findings('$name') LIMIT 10");
			push @wrong, "$name: $found" if $found ne '';
		}
		$node->safe_psql('postgres', "DROP INDEX $name") if $name ne 'ti';
	}
	my $other = $node->safe_psql('postgres', "SELECT count(*) FROM t WHERE v <> vec(n, $dims)");
	push @wrong, "$other rows with another vector" if $other ne '0';
	my $stored = ids_by_seqscan($node, 't');
	my $indexed = ids_by_index($node, 't', "vec(3, $dims)");
	push @wrong, 'index and table have different rows: ' . @$indexed . ' and ' . @$stored
	  if join(',', sort @$indexed) ne join(',', sort @$stored);
	foreach my $condition ('g = ' . int rand 10, "w = 'w" . int(rand 7) . "'", 'w IS NULL AND g < 5')
	{
		$stored = ids_by_seqscan($node, 't', $condition);
		$indexed = ids_by_index($node, 't', "vec(3, $dims)", $condition);
		push @wrong, "index and table have different rows where $condition: " . @$indexed . ' and ' . @$stored
		  if join(',', sort @$indexed) ne join(',', sort @$stored);
	}
	return @wrong;
}

# How many of the nearest rows the index finds that a new one does not, by query.
# Vacuum comes first: as long as removed rows are in the index, a search finds
# them, too, in place of others.
my @gains;
sub compare_recall
{
	my ($seed, $queries) = @_;
	$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
	$node->safe_psql('postgres', 'CREATE TABLE fresh AS SELECT id, v FROM t; CREATE INDEX ON fresh USING hnsw (v) WITH (m = 8, ef_construction = 40)');
	my @old = split /\n/, $node->safe_psql('postgres', "SELECT recalls('t', $seed, $queries)");
	my @new = split /\n/, $node->safe_psql('postgres', "SELECT recalls('fresh', $seed, $queries)");
	$node->safe_psql('postgres', 'DROP TABLE fresh');
	my ($old, $new) = (0, 0);
	foreach (0 .. $queries - 1)
	{
		push @gains, ($old[$_] - $new[$_]) / 10;
		$old += $old[$_] / 10 / $queries;
		$new += $new[$_] / 10 / $queries;
	}
	return ($old, $new);
}

my $begin = time();
my %ways;
my @recalls;
foreach my $cycle (1 .. $cycles)
{
	last if time() - $begin > $time_limit;
	my (@jobs, @effects);
	foreach my $w (0 .. $writers - 1)
	{
		push @effects, write_script($w, "$dir/writer$w-$cycle.sql", 1200);
		push @jobs, launch("writer$w", $cycle);
	}
	push @jobs, launch("reader$_", $cycle, reader_script()) foreach 0 .. 1;
	push @jobs, launch('maintenance', $cycle, maintenance_script());
	sleep(rand() < 0.2 ? rand(0.3) : 0.5 + rand(1.5));
	my $how = crash();
	$ways{$how}++;
	foreach (@jobs) { $_->{run}->finish; }
	recover($how);

	my @in_doubt = map { take_up($jobs[$_], $effects[$_]) } 0 .. $writers - 1;
	my @wrong = map { complaints($_) } @jobs;
	my %stored = stored();
	push @wrong, settle(\%stored, @in_doubt);
	push @wrong, verify();
	if (keys %ledger >= 500)
	{
		my ($old, $new) = compare_recall(500_000_000 + 1000 * $cycle, 60);
		push @recalls, sprintf '%.3f/%.3f', $old, $new;
		# chance alone makes a difference of .02 or so
		push @wrong, sprintf 'recall %.3f, of a new index %.3f', $old, $new if $old < $new - 0.08;
	}
	$done++;
	is(join("\n", @wrong[ 0 .. ($#wrong < 19 ? $#wrong : 19) ]), '', "crash $cycle, $how: all is as confirmed");
	unlink glob "$dir/*-$cycle.*";
}
note(sprintf '%d crashes in %.0f s: %s', $done, time() - $begin, join ', ', map { "$_ $ways{$_}" } sort keys %ways);
note("$confirmed transactions confirmed, $doubts in doubt, " . keys(%ledger) . ' rows at the end');
note("recall after crashes, of new indexes: @recalls");
cmp_ok($confirmed, '>', 20 * $done, 'the writers did write');

# Is recall worse than that of new indexes by more than .005, beyond chance?
my $mean = 0;
$mean += $_ / @gains foreach @gains;
my $variance = 0;
$variance += ($_ - $mean)**2 / (@gains - 1) foreach @gains;
my $error = sqrt($variance / @gains);
cmp_ok($mean + 3.5 * $error, '>', -0.005, 'recall is that of new indexes');
note(sprintf 'difference of recall %+.4f, standard error %.4f, %d queries', $mean, $error, scalar @gains);

$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
is($node->safe_psql('postgres', "SELECT rows = (SELECT count(*) FROM t) FROM vectorx_index_info('ti')"), 't', 'vacuum leaves the rows of the table');
check_index($node, 'ti');
check_crash_log($node, 'nothing bad in the log');
$node->stop;
done_testing();

# check_log, but that processes were killed, on purpose
sub check_crash_log
{
	my ($node, $name) = @_;
	my @bad = grep { /PANIC:|TRAP:|signal (?!9:)\d+|XX00|inconsistent page|invalid page|could not read block|is damaged|leak: |resource was not closed/ }
	  split /\n/, slurp_file($node->logfile);
	is(join("\n", @bad[ 0 .. ($#bad < 9 ? $#bad : 9) ]), '', $name);
}
