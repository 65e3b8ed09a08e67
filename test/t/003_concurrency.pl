# Everything at once.
#
# Promised: inserts, updates, deletes, searches, vacuum, checks, and building an
# index anew or a second one may all run at the same time; no search gives a row
# twice, one that is not there, or fewer than there are, nor a distance that is
# not the row's, nor out of order; nobody waits for long; the graph stays good; and
# the index does not grow with the rows that pass through it.
#
# Shown: by pgbench, of which every search compares its rows with the table as the
# same snapshot has it, under conditions on filter columns that change or without;
# by a check of the index, which must find nothing; by a watch over what sessions
# wait for; then by comparing a full scan of the index with the table, its recall
# and size with those of a new one.
#
# VX_SECONDS is the length of the load, by default 20, or 180 with VX_TORTURE.
use strict;
use warnings;
use Test::More;
use IPC::Run;
use PostgreSQL::Test::Utils;
use VxTest;

my $seconds = $ENV{VX_SECONDS} // ($ENV{VX_TORTURE} ? 180 : 20);
my $node = new_node('concurrency', "log_min_messages = warning\ndeadlock_timeout = 5s");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v vector(32), n int GENERATED ALWAYS AS (id % 10) STORED, w int DEFAULT 0) WITH (fillfactor = 70);
INSERT INTO t SELECT i, vec(i, 32) FROM generate_series(1, 2000) i;
CREATE INDEX ti ON t USING hnsw (v, n, w) WITH (m = 8, ef_construction = 32);
CREATE SEQUENCE s START 2001;
-- fails if anything is found
CREATE FUNCTION check_index(heap bool) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	-- while we have a lock of the table, the index that has the name now is not dropped
	PERFORM FROM t LIMIT 1;
	FOR attempt IN 1 .. 3 LOOP
		BEGIN
			SELECT string_agg(f, '; ') INTO found FROM index_findings('ti', heap) f;
			EXIT;
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			-- between the look at its name and that at the index, another got the name
			IF attempt = 3 THEN
				RAISE;
			END IF;
		END;
	END LOOP;
	IF found IS NOT NULL THEN
		RAISE EXCEPTION 'found: %', found;
	END IF;
END $$;
SQL

# Builds, one after the other, and a look each second at who waits for what
my $dir = PostgreSQL::Test::Utils::tempdir();
my ($watched, $built, $build_err) = ('', '', '');
$node->safe_psql('postgres', 'CREATE TABLE stop (yes bool)');
append_to_file("$dir/watch.sql", "SELECT pid || ' ' || query_start || ' ' || wait_event_type || ' ' || wait_event FROM pg_stat_activity WHERE wait_event_type IN ('LWLock', 'BufferPin', 'Buffer');\n\\watch 1\n");
my $watch = IPC::Run::start(psql_command($node, '-f', "$dir/watch.sql"), '>', \$watched);
append_to_file("$dir/builds.sql", <<~'SQL' x (2 * $seconds));
	SELECT EXISTS (SELECT FROM stop) AS stop \gset
	\if :stop
	\q
	\endif
	REINDEX INDEX CONCURRENTLY ti;
	CREATE INDEX CONCURRENTLY tj ON t USING hnsw (v) WITH (m = 4, ef_construction = 16);
	BEGIN; SELECT check_index(true); COMMIT;
	SELECT pg_sleep(0.3);
	DROP INDEX CONCURRENTLY tj;
	\echo built
	SELECT pg_sleep(0.3);
	SQL
my $begin = 'BEGIN ISOLATION LEVEL REPEATABLE READ;';
my $build = IPC::Run::start(psql_command($node, '-v', 'ON_ERROR_STOP=1', '-f', "$dir/builds.sql"), '>', \$built, '2>', \$build_err);

$node->pgbench(
	"-n -c 6 -j 2 -T $seconds",
	0,
	[ qr/number of failed transactions: 0 /, qr/number of transactions actually processed: [1-9]/ ],
	[qr/^$/],
	'pgbench without failures',
	{
		'003_insert@30' => "INSERT INTO t SELECT i, vec(i % 40000, 32) FROM CAST(nextval('s') AS int) i;",
		'003_insert_same@5' => "INSERT INTO t SELECT i, vec(i % 5, 32) FROM CAST(nextval('s') AS int) i;",
		# a sparse range of ids, of rows that may be there or not
		'003_delete@14' => "\\set id random(1, 6000)\nDELETE FROM t WHERE id BETWEEN :id AND :id + 1 AND (SELECT last_value FROM s) > 2500;",
		'003_update@8' => "\\set id random(1, 6000)\nUPDATE t SET v = vec(:id + 77, 32) WHERE id = :id;",
		'003_search@20' => "\\set q random(1, 1000000)\n$begin\nSELECT search('t', vec(:q, 32), 20);\nCOMMIT;",
		'003_search_far@3' => "\\set q random(1, 1000000)\n$begin\nSELECT search('t', vec(:q, 32), 400);\nCOMMIT;",
		'003_search_all@1' => "\\set q random(1, 1000000)\n$begin\nSELECT search('t', vec(:q, 32), 100000);\nCOMMIT;",
		'003_update_filter@6' => "\\set id random(1, 6000)\nUPDATE t SET w = w + 1 WHERE id BETWEEN :id AND :id + 3;",
		(map { ("003_search_where_$_\@3" => "\\set q random(1, 1000000)\n$begin\nSELECT search('t', vec(:q, 32), "
			  . ('20, $$n < 5$$', '20, $$n = 3 AND w = 0$$', '2000, $$w > 0$$', '10, $$w = 2 AND n < 3$$')[$_] . ");\nCOMMIT;") } 0 .. 3),
		'003_check@2' => "BEGIN;\nSELECT check_index(true);\nCOMMIT;\nBEGIN;\nSELECT check_index(false);\nCOMMIT;",
		'003_vacuum@1' => 'VACUUM (INDEX_CLEANUP on) t;',
		'003_rollback@2' => "BEGIN;\nINSERT INTO t SELECT i, vec(i, 32) FROM CAST(nextval('s') AS int) i;\nROLLBACK;",
	});
$node->safe_psql('postgres', 'INSERT INTO stop VALUES (true)');
$build->finish;
is($build_err, '', 'builds without failures');
my $builds = () = $built =~ /^built$/mg;
cmp_ok($builds, '>=', 1, "indexes were built ($builds times two)");
$watch->kill_kill;
# who has waited for the same, within one statement, at ten looks and more
my %waits;
$waits{$_}++ foreach grep { /./ } split /\n/, $watched;
is(join("\n", grep { $waits{$_} >= 10 } sort keys %waits), '', 'nobody waits for ten seconds for a lock of the server');
note('longest: ' . join(', ', (map { "$_ ($waits{$_})" } sort { $waits{$b} <=> $waits{$a} } keys %waits)[ 0 .. (keys %waits > 2 ? 2 : keys(%waits) - 1) ])) if %waits;
$node->safe_psql('postgres', 'DROP INDEX IF EXISTS tj');
cmp_ok($node->safe_psql('postgres', "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'ti'"), '>', 20, 'searches use the index');

my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM t');
my $inserted = $node->safe_psql('postgres', 'SELECT last_value - 2000 FROM s');
note("$inserted insertions, $rows rows left");
cmp_ok($inserted, '>', 10 * $seconds, 'there was a load');
same_ids($node, 't', 'vec(3, 32)', 'the index agrees with the table');
same_ids($node, 't', 'vec(3, 32)', 'and under a condition', 'n < 7 AND w > 0');
check_index($node, 'ti');
my $recall = recall_of($node, 't', 10, 50, 500_000_000, 80);
note("recall $recall");

$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP on) t');
# but those that head a chain of duplicates
is($node->safe_psql('postgres', "SELECT dead <= duplicates, rows = (SELECT count(*) FROM t) FROM vectorx_index_info('ti')"), 't|t', 'vacuum leaves no dead rows');
same_ids($node, 't', 'vec(3, 32)', 'the index agrees with the table after vacuum');
check_index($node, 'ti', 'check of ti after vacuum');
# a new index of the same rows says what can be had; how many rows there are
# depends on the machine
my $vacuumed = recall_of($node, 't', 10, 50, 500_000_000, 80);
$node->safe_psql('postgres', 'REINDEX INDEX ti');
my $fresh = recall_of($node, 't', 10, 50, 500_000_000, 80);
note("recall after vacuum $vacuumed, of a new index $fresh");
# rows that come in place of others take their slots
my $size = "SELECT pg_relation_size('ti')";
my $before = $node->safe_psql('postgres', $size);
foreach my $round (1 .. 6)
{
	$node->safe_psql('postgres', $_) foreach
	  "DELETE FROM t WHERE id % 3 = $round % 3",
	  'VACUUM (INDEX_CLEANUP on) t',
	  "INSERT INTO t SELECT CAST(nextval('s') AS int), vec(CAST(i AS int) + 50000 * $round, 32) FROM generate_series(1, $rows - (SELECT count(*) FROM t)) i";
}
my $after = $node->safe_psql('postgres', $size);
cmp_ok($after, '<=', 1.1 * $before, 'the index does not grow as rows are replaced');
note("size before $before, after $after");
same_ids($node, 't', 'vec(3, 32)', 'the index agrees with the table after that');
check_index($node, 'ti', 'check of ti after that');
cmp_ok($recall, '>=', $fresh - 0.05, 'recall after the load');
cmp_ok($vacuumed, '>=', $fresh - 0.05, 'recall after vacuum');
check_log($node, 'nothing bad in the log');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
is(join("\n", grep { /ERROR:/ } split /\n/, $log), '', 'no error in the log');
$node->stop;
done_testing();
