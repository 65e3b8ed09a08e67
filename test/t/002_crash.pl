# Crashes under load.
#
# Promised: a row whose insertion was confirmed is found by the index after a
# crash at any moment, one whose deletion was confirmed is not, and the index
# agrees with the table; an unlogged index is empty and usable.
#
# Shown: with writers that record every confirmation, and vacuum, running while
# the server is killed, several times; then a full scan by the index, compared
# to a sequential scan and to the confirmations.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use IPC::Run;
use VxTest;
use PostgreSQL::Test::Utils;

my $cycles = $ENV{VX_CRASHES} // 8;
my $seed = $ENV{VX_SEED} // time();
diag("VX_SEED=$seed");
srand($seed);

my $node = new_node('crash', "checkpoint_timeout = 30s\nfull_page_writes = on");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int, v vector(48));
CREATE INDEX ti ON t USING hnsw (v) WITH (m = 12, ef_construction = 48);
CREATE UNLOGGED TABLE u (id int, v vector(8));
INSERT INTO u SELECT i, vec(i, 8) FROM generate_series(1, 500) i;
CREATE INDEX ui ON u USING hnsw (v);
SQL

my $dir = PostgreSQL::Test::Utils::tempdir();
my (%present, %gone);    # by id, as confirmed

# A writer's statements.  psql prints a row only when its transaction has been
# committed, so that what it has printed is confirmed.
sub script
{
	my ($cycle, $writer) = @_;
	my $first = 1_000_000 * $writer + 20_000 * $cycle;
	my $file = "$dir/script-$cycle-$writer.sql";
	my @lines;
	foreach my $i (1 .. 8000)
	{
		my $id = $first + $i;
		# a tenth of the rows have one of few vectors
		my $vector = $i % 10 == 0 ? 'vec(' . ($i % 7) . ', 48)' : "vec($id, 48)";
		push @lines, "INSERT INTO t VALUES ($id, $vector) RETURNING 'i' || id;";
		push @lines, 'DELETE FROM t WHERE id = ' . ($id - 1 - int(rand(20))) . " RETURNING 'd' || id;"
		  if $i > 30 && $i % 3 == 0;
		push @lines, 'UPDATE t SET v = vec(' . ($id + 500_000) . ', 48) WHERE id = ' . ($id - 1) . ';' if $i % 11 == 0;
	}
	append_to_file($file, join("\n", @lines) . "\n");
	return $file;
}

sub confirmed
{
	my ($file) = @_;
	my $n = 0;
	foreach (split /\n/, slurp_file($file))
	{
		if (/^i(\d+)$/) { $present{$1} = 1; $n++; }
		elsif (/^d(\d+)$/) { delete $present{$1}; $gone{$1} = 1; }
	}
	return $n;
}

my $total = 0;
foreach my $cycle (1 .. $cycles)
{
	my @runs;
	foreach my $writer (1 .. 2)
	{
		my $file = script($cycle, $writer);
		my $out = "$dir/out-$cycle-$writer";
		append_to_file($out, '');
		push @runs, [ $out, IPC::Run::start(psql_command($node, '-v', 'ON_ERROR_STOP=1', '-f', $file), '>', $out, '2>', '/dev/null') ];
	}
	append_to_file("$dir/vacuum.sql", "VACUUM (INDEX_CLEANUP on) t;\nSELECT pg_sleep(0.05);\n" x 200) if $cycle == 1;
	push @runs, [ undef, IPC::Run::start(psql_command($node, '-v', 'ON_ERROR_STOP=1', '-f', "$dir/vacuum.sql"), '>', '/dev/null', '2>', '/dev/null') ];
	if ($cycle % 3 == 0)
	{
		push @runs, [ undef, IPC::Run::start(psql_command($node, '-c', 'CHECKPOINT'), '>', '/dev/null', '2>', '/dev/null') ];
	}

	sleep(0.7 + rand(0.8));
	$node->stop('immediate');
	$_->[1]->finish foreach @runs;
	$total += confirmed($_->[0]) foreach grep { defined $_->[0] } @runs;
	$node->start;

	my $found = ids_by_index($node, 't', 'vec(3, 48)');
	my %found = map { $_ => 1 } @$found;
	my $lost = grep { !$found{$_} } keys %present;
	# a deletion may have been done without having been confirmed
	my $stored = ids_by_seqscan($node, 't');
	my %stored = map { $_ => 1 } @$stored;
	my $lost_by_table = grep { !$stored{$_} } keys %present;
	my $risen = grep { $found{$_} } keys %gone;
	ok($lost <= 2 && $lost == $lost_by_table && $risen == 0,
		"crash $cycle: confirmed rows are found")
	  or diag("of " . keys(%present) . " lost: $lost, in the table $lost_by_table; risen: $risen");
	delete $present{$_} foreach grep { !$stored{$_} } keys %present;
	same_ids($node, 't', 'vec(3, 48)', "crash $cycle: the index agrees with the table");
	check_index($node, 'ti', "crash $cycle: check of ti");
	if ($cycle == 1)
	{
		is($node->safe_psql('postgres', 'SELECT count(*) FROM u'), '0', 'the unlogged table is empty');
		is($node->safe_psql('postgres', "SELECT rows, total_bytes FROM vectorx_index_info('ui')"), '0|8192', 'so is its index');
		is(with_index($node, "SELECT count(*) FROM (SELECT id FROM u ORDER BY v <-> vec(1, 8)) s"), '0', 'which can be searched');
		$node->safe_psql('postgres', 'INSERT INTO u SELECT i, vec(i, 8) FROM generate_series(1, 300) i');
		same_ids($node, 'u', 'vec(1, 8)', 'and filled');
	}
}
cmp_ok($total, '>=', 20 * $cycles, 'the writers did write') and note("$total insertions confirmed");
cmp_ok(scalar keys %gone, '>', 5 * $cycles, 'and delete');

# the graph is still one
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
# what may stay are removed rows that head a chain of the seven vectors with duplicates
my ($dead, $same) = split /\|/,
  $node->safe_psql('postgres', "SELECT dead, rows = (SELECT count(*) FROM t) FROM vectorx_index_info('ti')");
ok($dead <= 7 && $same eq 't', 'vacuum finishes what crashes interrupted') or diag("$dead dead");
same_ids($node, 't', 'vec(3, 48)', 'the index agrees with the table after vacuum');
check_index($node, $_) foreach qw(ti ui);
my $recall = recall_of($node, 't', 10, 40, 500_000_000, 160);
$node->safe_psql('postgres', 'REINDEX INDEX ti');
my $fresh = recall_of($node, 't', 10, 40, 500_000_000, 160);
cmp_ok($recall, '>=', $fresh - 0.05, 'recall is that of a new index');
note("recall $recall, new index $fresh");
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
