# WAL and standbys.
#
# Promised: what is in the primary's indexes is in a standby's, page by page,
# and a standby gives the primary's answers, the same rows in the same order, also
# under conditions on filter columns.
#
# Shown: after every phase of a mixed load (build, inserts, updates, deletes,
# vacuum, space used again, CREATE INDEX CONCURRENTLY, REINDEX CONCURRENTLY) on
# small vectors and on ones larger than a page, by comparing answers; and by
# wal_consistency_checking, under which the standby compares every page that
# it changes with the primary's and stops at the first difference.  A promoted
# standby goes on.
use strict;
use warnings;
use Test::More;
use VxTest;
use PostgreSQL::Test::Cluster;

my $primary = new_node('primary', "wal_consistency_checking = 'all'\nhot_standby_feedback = on", allows_streaming => 1);
$primary->start;
set_up($primary);
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE small (id int, v vector(100), n int GENERATED ALWAYS AS (id % 10) STORED, w text DEFAULT 'new');
CREATE TABLE large (id int, v vector(3000), n int GENERATED ALWAYS AS (id % 10) STORED, w text DEFAULT 'new');
CREATE TABLE same (id int, v vector(3), n int GENERATED ALWAYS AS (id % 10) STORED, w text DEFAULT 'new');
CREATE TABLE few (id int, v vector(768));
CREATE INDEX few_l2 ON few USING hnsw (v);
INSERT INTO small (id, v) SELECT i, vec(i, 100) FROM generate_series(1, 1000) i;
CREATE INDEX small_l2 ON small USING hnsw (v, n, w) WITH (m = 8, ef_construction = 40);
SQL
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

my %dims = (small => 100, large => 3000, same => 3, crowd => 24);

sub answers
{
	my ($node, $table, $op, $queries) = @_;
	my @queries = map {
		my $k = 10 * $_ % 77 + 5;
		my $condition = ('true', 'n < 4', "w = 'other'", "n = 7 AND w <> 'x'")[ $_ % 4 ];
		"SELECT 'query $_', id FROM $table WHERE $condition ORDER BY v $op (SELECT vec(1000 * $_ + 7, $dims{$table})) LIMIT $k"
	} 1 .. $queries;
	return with_index($node, join '; ', @queries);
}

sub compare
{
	my ($phase, @tables) = @_;
	my $differing = '';
	my $rows = 0;
	$primary->wait_for_catchup($standby);
	foreach my $table (@tables)
	{
		my ($name, $op) = split / /, $table;
		my $on_primary = answers($primary, $name, $op // '<->', 12);
		$differing .= " $table" if $on_primary ne answers($standby, $name, $op // '<->', 12);
		$rows += () = $on_primary =~ /^query/mg;
	}
	ok($differing eq '' && $rows > 100 * @tables, "$phase: the standby answers like the primary")
	  or diag("different answers for$differing");
}

compare('build', 'small');

$primary->safe_psql('postgres', <<'SQL');
INSERT INTO small (id, v) SELECT i, vec(i, 100) FROM generate_series(1001, 2000) i;
CREATE INDEX large_l2 ON large USING hnsw (v, w, n) WITH (m = 8, ef_construction = 40);
INSERT INTO large (id, v) SELECT i, vec(i, 3000) FROM generate_series(1, 120) i;
CREATE INDEX same_l2 ON same USING hnsw (v, n, w);
INSERT INTO same (id, v) SELECT i, CASE WHEN i % 2 = 0 THEN '[1,2,3]' ELSE vec(i % 30, 3) END FROM generate_series(1, 600) i;
SQL
compare('inserts', qw(small large same));

$primary->safe_psql('postgres', <<'SQL');
UPDATE small SET v = vec(id + 5000, 100) WHERE id % 5 = 0;
UPDATE large SET v = vec(id + 5000, 3000) WHERE id % 5 = 0;
UPDATE small SET w = 'other' WHERE id % 7 = 0;
UPDATE large SET w = 'other' WHERE id % 7 = 0;
UPDATE same SET w = 'other' WHERE id % 7 = 0;
DELETE FROM small WHERE id % 3 = 0;
DELETE FROM large WHERE id % 3 = 0;
DELETE FROM same WHERE id % 3 > 0;
SQL
compare('updates and deletes', qw(small large same));

$primary->safe_psql('postgres', "VACUUM $_") foreach qw(small large same);
compare('vacuum', qw(small large same));

$primary->safe_psql('postgres', <<'SQL');
INSERT INTO small (id, v) SELECT i, vec(i, 100) FROM generate_series(3, 2000, 3) i;
INSERT INTO large (id, v) SELECT i, vec(i, 3000) FROM generate_series(3, 120, 3) i;
INSERT INTO same (id, v) SELECT i, '[1,2,3]' FROM generate_series(1, 600) i WHERE i % 3 > 0;
SQL
compare('space used again', qw(small large same));

$primary->safe_psql('postgres', 'CREATE INDEX CONCURRENTLY small_cosine ON small USING hnsw (v vector_cosine_ops, n, w)');
$primary->safe_psql('postgres', 'CREATE INDEX CONCURRENTLY large_l1 ON large USING hnsw (v vector_l1_ops) WITH (m = 6)');
compare('CREATE INDEX CONCURRENTLY', 'small <=>', 'large <+>', 'small');
$primary->safe_psql('postgres', 'REINDEX TABLE CONCURRENTLY small');
$primary->safe_psql('postgres', 'REINDEX INDEX CONCURRENTLY large_l2');
$primary->safe_psql('postgres', 'SET maintenance_work_mem = \'1MB\'; SET client_min_messages = warning; REINDEX TABLE same; REINDEX INDEX small_cosine');
compare('REINDEX', 'small', 'small <=>', 'large', 'large <+>', 'same');

# delete all and fill again: entry point, upper layers and all links go
$primary->safe_psql('postgres', 'DELETE FROM small');
$primary->safe_psql('postgres', 'VACUUM small');
$primary->safe_psql('postgres', 'INSERT INTO small (id, v) SELECT i, vec(i, 100) FROM generate_series(1, 500) i');
compare('delete all and fill again', 'small', 'small <=>');
same_ids($standby, 'small', 'vec(1, 100)', 'a full scan on the standby gives all rows');

# several writers at once, into full lists on few pages, and vacuum among them
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE crowd (id serial, v vector(24), n int GENERATED ALWAYS AS (id % 10) STORED, w text DEFAULT 'new');
CREATE INDEX crowd_l2 ON crowd USING hnsw (v, n) WITH (m = 2, ef_construction = 8);
SQL
$primary->pgbench(
	'-n -c 6 -j 2 -t 400',
	0,
	[ qr/number of transactions actually processed: 2400/ ],
	[qr/^$/],
	'writers at once',
	{
		'001_insert@30' => "\\set i random(1, 100000)\nINSERT INTO crowd (v) SELECT vec(:i, 24);",
		'001_delete@6' => "\\set i random(1, 1500)\nDELETE FROM crowd WHERE id BETWEEN :i AND :i + 2;",
		'001_vacuum@1' => 'VACUUM (INDEX_CLEANUP on) crowd;',
	});
compare('writers at once', 'crowd');
same_ids($standby, 'crowd', 'vec(1, 24)', 'a full scan on the standby gives their rows');
same_ids($primary, 'crowd', 'vec(1, 24)', 'and on the primary');
check_index($primary, $_) foreach qw(small_l2 small_cosine large_l2 large_l1 same_l2 few_l2 crowd_l2);
check_index($standby, $_, "check of $_ on the standby") foreach qw(small_l2 small_cosine large_l2 large_l1 same_l2 few_l2 crowd_l2);

# the standby after a restart, and promoted
$standby->stop('immediate');
$standby->start;
compare('standby restarted', 'small', 'small <=>', 'large', 'large <+>', 'same');
my $before = answers($primary, 'large', '<->', 12);
# a stripe of which the standby has only what was logged
$primary->safe_psql('postgres', "INSERT INTO few SELECT i, vec(i, 768) FROM generate_series(1, 3) i");
$primary->stop('fast');
$standby->promote;
is(answers($standby, 'large', '<->', 12), $before, 'the promoted standby answers as before');
$standby->safe_psql('postgres', <<'SQL');
INSERT INTO small (id, v) SELECT i, vec(i, 100) FROM generate_series(501, 800) i;
INSERT INTO large (id, v) SELECT i, vec(i, 3000) FROM generate_series(121, 150) i;
INSERT INTO few SELECT i, vec(i, 768) FROM generate_series(4, 40) i;
DELETE FROM same WHERE id % 2 = 0;
SQL
$standby->safe_psql('postgres', "VACUUM $_") foreach qw(small large same);
same_ids($standby, 'small', 'vec(1, 100)', 'promoted: rows of small vectors');
same_ids($standby, 'large', 'vec(1, 3000)', 'promoted: rows of large vectors');
same_ids($standby, 'same', 'vec(1, 3)', 'promoted: duplicates');
same_ids($standby, $_, "vec(1, $dims{$_})", "promoted: rows of $_ that meet a condition", "n < 4 AND w = 'new'") foreach qw(small large same);
same_ids($standby, 'few', 'vec(1, 768)', 'promoted: rows on the last stripe');
check_index($standby, $_, "promoted: check of $_") foreach qw(small_l2 small_cosine large_l2 large_l1 same_l2 few_l2 crowd_l2);
check_log($primary, "nothing bad in the primary's log");
check_log($standby, "nothing bad in the standby's log");
$standby->stop;
done_testing();
