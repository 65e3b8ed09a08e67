# A crash at each place where it could leave something half done.
#
# Promised: whatever an insertion, a vacuum or a build was about when the server
# went down, the index is sound after recovery, has the rows of the table, each
# once, and the next vacuum leaves nothing of it.
#
# Shown: with the library that has injection points (src/inject.h), a session
# brings the server down at each of them, and in the middle of records not yet
# logged.  One table's rows have vectors that share a page; the other's take four
# pages each, so that nearly every insertion extends the index.
#
# VX_SEED repeats the run.  The first crash at a point is the first time that it is
# passed, others are later; with VX_TORTURE there are as many as four minutes hold.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use IPC::Run;
use VxTest;
use PostgreSQL::Test::Utils;

my $seed = $ENV{VX_SEED} // time() % 1_000_000_000;
my $time_limit = $ENV{VX_TORTURE} ? 240 : 0;
diag(sprintf 'VX_SEED=%d', $seed);
srand($seed);

# the server comes back by itself
my $node = new_node('crash_points', "restart_after_crash = on\nshared_preload_libraries = 'vectorx'\nwal_consistency_checking = 'generic'",
	injection => 1);
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE small (id serial PRIMARY KEY, v vector(24)) WITH (fillfactor = 80);
CREATE INDEX small_v ON small USING hnsw (v) WITH (m = 8, ef_construction = 32);
CREATE TABLE large (id serial PRIMARY KEY, v vector(7000));
ALTER TABLE large ALTER v SET STORAGE EXTERNAL;
CREATE INDEX large_v ON large USING hnsw (v) WITH (m = 8, ef_construction = 32);
-- rows of numbers from a sequence, some with the vector of others
CREATE FUNCTION more(tab text, k int, dims int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %I (v) SELECT vec(CASE WHEN random() < 0.3 THEN (i %% 4)::int ELSE (random() * 1000000)::int END, %s)
		FROM generate_series(1, %s) i', tab, dims, k);
END $$;
SELECT more('small', 150, 24), more('large', 12, 7000);
SQL

my $insert_small = "SELECT more('small', 20, 24)";
my $insert_large = "SELECT more('large', 5, 7000)";
# more than there are free slots for
my $extend = "SELECT more('large', 20, 7000)";
# nearly every node has upper layers, so that some become the entry point
my $insert_high = "SET vectorx.inject_level = 2; DELETE FROM small; VACUUM (INDEX_CLEANUP on) small; SELECT more('small', 150, 24)";
my $delete = 'DELETE FROM small WHERE id % 4 = (random() * 3)::int OR id < (SELECT max(id) - 300 FROM small)';
my $vacuum = "$delete; VACUUM (INDEX_CLEANUP on) small";
my $reindex = 'REINDEX INDEX small_v';

# point => what passes it
my @points = (
	[ 'build-load', $reindex ],
	[ 'build-write', $reindex ],
	[ 'build-rest', "SET maintenance_work_mem = '1MB'; REINDEX INDEX CONCURRENTLY small_v" ],
	[ 'build-log', 'REINDEX INDEX CONCURRENTLY small_v' ],
	[ 'insert-searched', $insert_small ],
	[ 'insert-join', $insert_small ],
	[ 'slot-choose', $insert_small ],
	[ 'slot-taken', $insert_large ],
	[ 'extend-locked', $extend ],
	[ 'extend-done', $extend ],
	[ 'vector-early', $insert_large ],
	[ 'insert-publish', $insert_small ],
	[ 'insert-upper', $insert_high ],
	[ 'insert-link', $insert_small ],
	[ 'insert-begin', $insert_high ],
	[ 'insert-entry', $insert_high ],
	[ 'vacuum-noted', $vacuum ],
	[ 'vacuum-marking', $vacuum ],
	[ 'vacuum-marked', $vacuum ],
	[ 'vacuum-trimmed', $vacuum ],
	[ 'vacuum-surveyed', $vacuum ],
	[ 'vacuum-mending', $vacuum ],
	[ 'vacuum-judged', $vacuum ],
	[ 'vacuum-mended', $vacuum ],
	[ 'vacuum-entry', $vacuum ],
	[ 'vacuum-freeing', $vacuum ],
	[ 'vacuum-freed', $vacuum ],
	[ 'vacuum-done', $vacuum ],
	[ 'change', $insert_small ],
	[ 'change', $insert_large ],
	[ 'change', $vacuum ],
	[ 'scan-ranked', "SET enable_seqscan = off; $insert_small; SELECT count(*) FROM (SELECT FROM small ORDER BY v <-> vec(1, 24)) s" ]);

# Run statements of which the last is to bring the server down; did it?
sub crash
{
	my ($point, $nth, $sql) = @_;
	my ($before, $last) = $sql =~ /^(.*; )?([^;]*)$/s;
	my ($out, $err) = ('', '');
	# each statement is a transaction of its own, as vacuum must be
	my @commands = map { ('-c', $_) } (split(/; /, $before // ''), "SET vectorx.inject = '$point\@$nth:panic'", $last);
	IPC::Run::run(psql_command($node, @commands), '>', \$out, '2>', \$err);
	return 1 if $err =~ /PANIC:  crash at injection point "$point"/;
	die "$point: $err" if $err =~ /ERROR|FATAL|PANIC/;
	return 0;
}

# What is wrong with a table and its index.  An insertion that was cut short leaves one that is no row; after vacuum there
# is none of those left.
sub wrong
{
	my ($table, $vacuumed) = @_;
	my $dims = $table eq 'small' ? 24 : 7000;
	my @wrong = grep { $vacuumed || !/there is no entry point/ }
	  split /\n/, $node->safe_psql('postgres', "SELECT index_findings('${table}_v')");
	my @indexed = sort @{ ids_by_index($node, $table, "vec(3, $dims)") };
	my @stored = sort @{ ids_by_seqscan($node, $table) };
	push @wrong, scalar(@indexed) . ' rows by index, ' . @stored . ' in the table' if "@indexed" ne "@stored";
	push @wrong, 'vacuum left dead rows' if $vacuumed &&
	  $node->safe_psql('postgres', "SELECT dead > duplicates OR rows <> (SELECT count(*) FROM $table) FROM vectorx_index_info('${table}_v')") ne 'f';
	return map { "$table: $_" } @wrong;
}

my ($crashes, $missed, $rounds) = (0, 0, 0);
my $begin = time();
do
{
	foreach my $at (@points)
	{
		my ($point, $sql) = @$at;
		my $nth = $rounds == 0 ? 1 : 1 + int(exp(rand(log(60))));
		my $table = $sql =~ /large/ ? 'large' : 'small';
		my $log_end = -s $node->logfile;
		my @wrong;

		if (crash($point, $nth, $sql))
		{
			$crashes++;
			wait_for_server($node, $log_end);
			@wrong = wrong($table, 0);
		}
		elsif ($rounds == 0) { @wrong = ('the point was not passed'); }
		else { $missed++; }
		# go on with what the crash left, then be rid of it
		$node->safe_psql('postgres', $table eq 'small' ? $insert_small : $insert_large);
		push @wrong, wrong($table, 0);
		$node->safe_psql('postgres', "VACUUM (INDEX_CLEANUP on) $table");
		push @wrong, wrong($table, 1);
		if ($rounds == 0) { is(join("\n", @wrong), '', "crash at $point, $table"); }
		elsif (@wrong) { fail("crash at $point, pass $nth"); diag(join("\n", @wrong)); }
	}
	$rounds++;
	$node->safe_psql('postgres', 'DELETE FROM large WHERE id < (SELECT max(id) - 10 FROM large)');
} while (time() - $begin < $time_limit);
note(sprintf '%d crashes in %d rounds, %.0f s; %d times the point was not passed so often', $crashes, $rounds, time() - $begin, $missed);

# recovery says nothing, and compares each page with what was logged of it
my @bad = grep { /PANIC:(?!  crash at injection point)|TRAP:|signal (?!6:)\d+|XX00[12]|inconsistent page|invalid page|could not read block|leak: |resource was not closed/ }
  split /\n/, slurp_file($node->logfile);
is(join("\n", @bad[ 0 .. ($#bad < 9 ? $#bad : 9) ]), '', 'nothing else in the log');
$node->stop;
done_testing();
