# Filter columns at random.
#
# Promised: a condition on filter columns costs no row and lets none through, for
# every type, every operator and every combination of them, whatever has become of
# the index, and whatever settings say.
#
# Shown: random conditions on a table with a column of every type, of values that
# are limits, equals, neighbors (sql/include/hnsw_filter.sql), compared with
# sequential scans: all rows, and the nearest few.  Between rounds rows are
# updated, deleted and inserted, the index vacuumed or rebuilt, and settings
# changed.  And that equality is that of the collation, if it is not that of bytes.
#
# VX_SEED repeats a sequence of rounds.  With VX_TORTURE there are 20,000
# conditions, in at most ten minutes.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use VxTest;

my $torture = $ENV{VX_TORTURE};
my ($rounds, $conditions) = $torture ? (100, 200) : (6, 60);
my $begin = time();
random_seed();

my $node = new_node('filter', "max_parallel_maintenance_workers = 2\nmin_parallel_table_scan_size = 0");
$node->start;
set_up($node);
my $include = source_dir() . '/sql/include';

sub pick { return $_[ int rand @_ ]; }

# Other values for the columns of some rows
sub change
{
	my ($dims) = @_;
	my $salt = int rand 1e6;
	my $share = pick(0.01, 0.1, 0.5);
	return pick(
		"SELECT format('UPDATE f SET (%s) = ROW (%s) WHERE random() < $share', string_agg(col, ', ' ORDER BY n), pg_temp.row_values('id + $salt')) FROM cols \\gexec",
		"UPDATE f SET v = pg_temp.cvec(id + $salt, $dims) WHERE random() < $share;",
		"UPDATE f SET v = (SELECT v FROM f LIMIT 1) WHERE random() < 0.2;",
		"DELETE FROM f WHERE random() < $share;",
		"SELECT format('INSERT INTO f SELECT i, pg_temp.cvec(i, $dims), %s FROM generate_series(%s, %s) i', pg_temp.row_values('i'), max(id) + 1, max(id) + 150) FROM f \\gexec",
		'VACUUM f;', 'VACUUM f;', 'REINDEX INDEX fi;');
}

sub setting
{
	return pick('SET hnsw.ef_search = 40;', 'SET hnsw.ef_search = 1;', 'SET hnsw.ef_search = 400;', "SET work_mem = '64kB';", "SET work_mem = '4MB';",
		'SET hnsw.iterative_scan = relaxed_order;', 'SET hnsw.iterative_scan = strict_order;', "SET TimeZone = 'Asia/Kathmandu';");
}

my ($tried, $rows) = (0, 0);
foreach my $round (1 .. $rounds)
{
	last if time() - $begin > 550;
	my ($dims, $options) = @{ pick([ 3, '' ], [ 20, 'WITH (m = 4, ef_construction = 20)' ], [ 40, 'WITH (code_bits = 4)' ], [ 100, 'WITH (m = 8)' ]) };
	my @script = (
		"\\i $include/hnsw_helpers.sql", "\\i $include/hnsw_filter.sql", '\set ECHO none',
		sprintf('SELECT setseed(%.9f);', rand), sprintf("SELECT pg_temp.make_filter_table(%d, %d, '%s');", pick(0, 100, 700), $dims, $options),
		"SELECT format('INSERT INTO f SELECT i, pg_temp.cvec(i, $dims), %s FROM generate_series(1001, 1300) i', pg_temp.row_values('i')) \\gexec");
	foreach (1 .. 4)
	{
		push @script, map { change($dims) } 0 .. rand 3;
		push @script, setting();
		push @script, sprintf "SELECT 'result', array_to_string(wrong, '; '), rows FROM pg_temp.check_random(%d, $dims);", $conditions / 4;
		push @script, "SELECT 'result', string_agg(f, '; '), 0 FROM index_findings('fi') f;";
	}
	my $script = join "\n", @script;
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', $script, stdout => \$out, stderr => \$err, on_error_stop => 1);
	my @results = map { [ split /\|/ ] } grep { /^result\|/ } split /\n/, $out;
	my @wrong = map { $_->[1] } grep { $_->[1] ne '' } @results;
	$tried += $conditions;
	$rows += $_->[2] foreach @results;
	ok(!@wrong && $status == 0 && @results == 8, "round $round, $dims dimensions $options")
	  or diag(join "\n", @wrong, $err, grep { !/^\\i/ } @script);
}
note(sprintf '%d conditions in %.0f s, %d rows', $tried, time() - $begin, $rows);
cmp_ok($rows, '>', 10 * $tried, 'there were rows to be found');

SKIP:
{
	skip 'no ICU', 1 if $node->safe_psql('postgres', "SELECT count(*) FROM pg_collation WHERE collprovider = 'i'") == 0;
	$node->safe_psql('postgres', <<'SQL');
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE t (id int, v vector(3), x text COLLATE nocase, a text[] COLLATE nocase, c char(8) COLLATE nocase, y text);
CREATE TABLE words (w text);
INSERT INTO words VALUES ('Aa'), ('aa'), ('AA'), ('aä'), ('Aä'), ('b'), ('B'), ('B '), ('straße'), ('STRASSE'), (''), (NULL);
INSERT INTO t SELECT row_number() OVER (), array[random(), random(), random()]::vector, p.w, array[p.w, q.w], left(q.w, 8), q.w FROM words p, words q, generate_series(1, 3);
CREATE INDEX ti ON t USING hnsw (v, x, a, c, y);
SQL
	my @wrong;
	my $found = 0;
	foreach my $condition ("x = 'aa'", "x = 'B'", "x = 'Aä' COLLATE \"C\"", "x IN ('aA', 'b')", "a && '{AA}'", "a @> '{b,aa}'", "a && '{STRASSE,none}'",
		"c = 'b'", "c = 'AA' AND x = 'b'", "y = 'aa'", "y = 'aa' COLLATE nocase", "x = ''", "NOT x = 'aa'", "x = y COLLATE nocase")
	{
		my $exact = $node->safe_psql('postgres', "SET enable_indexscan = off; SELECT id FROM t WHERE $condition ORDER BY id");
		my @indexed = sort { $a <=> $b } split /\n/, with_index($node, "SELECT id FROM t WHERE $condition ORDER BY v <-> '[0,0,0]'");
		push @wrong, $condition if $exact ne join "\n", @indexed;
		$found += @indexed;
	}
	is("@wrong", '', 'a collation that does not tell case');
	cmp_ok($found, '>', 500, 'of many rows');
	check_index($node, 'ti');
}
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
