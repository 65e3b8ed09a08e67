# Searches among the rows that other indexes tell.
#
# Promised: as many rows as match, each once, in order, whatever the conditions,
# indexes and limits, and while others write; rows that were changed while the
# query waited for them are tested again; and a session needs nothing to be
# preloaded for such plans.
#
# Shown: random conditions on random tables, each query compared with a
# sequential scan under the same snapshot, alone and beside writers and vacuum;
# SELECT FOR UPDATE of rows that a prepared transaction has changed; the first
# statement of a session.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use VxTest;

my $seed = $ENV{VX_SEED} // int(rand(1 << 30));
my $rounds = $ENV{VX_TORTURE} ? 40 : 3;
my $queries = 25;
my $seconds = $ENV{VX_TORTURE} ? 120 : 8;

note("seed $seed (set VX_SEED to repeat)");
my $node = new_node('bitmap', "max_prepared_transactions = 2\ndeadlock_timeout = 5s");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
-- true, and so dear that a plan must look at few rows
CREATE FUNCTION dear(id int) RETURNS bool LANGUAGE plpgsql COST 100000 AS 'BEGIN RETURN true; END';
-- a table of random size, columns and indexes
CREATE FUNCTION make_table(dims int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int := 300 + random() * random() * 6000;
BEGIN
	DROP TABLE IF EXISTS t;
	EXECUTE format('CREATE TABLE t (id int, a int, b int, c int[], d int, g point, pad text, v vector(%s)) WITH (fillfactor = %s)',
		dims, 50 + (random() * 50)::int);
	INSERT INTO t SELECT i, (random() * 1000)::int, (random() * random() * 20)::int, ARRAY[(random() * 5)::int, (random() * 300)::int],
		i / 10, point(i % 60, i / 60), repeat('x', (random() * 300)::int), vec(i, dims) FROM generate_series(1, n) i;
	UPDATE t SET v = vec(id % 100, dims) WHERE id % 9 = 0;
	UPDATE t SET v = NULL WHERE id % 51 = 0;
	EXECUTE format('CREATE INDEX tv ON t USING hnsw (v%s) WITH (m = 6, ef_construction = 30)',
		(ARRAY['', ', b', ', b, d'])[1 + (random() * 2)::int]);
	EXECUTE 'CREATE INDEX ON t ' || (ARRAY['(a)', '(a, b)'])[1 + random()::int];
	EXECUTE 'CREATE INDEX ON t ' || (ARRAY['USING hash (b)', '(b)', '(b) WHERE a < 600'])[1 + (random() * 2)::int];
	CREATE INDEX ON t USING gin (c);
	CREATE INDEX ON t USING gist (g);
	EXECUTE format('CREATE INDEX ON t USING brin (d) WITH (pages_per_range = %s)', 1 + (random() * 5)::int);
	ANALYZE t;
END $$;
-- changes without and with new index entries, removals, and sometimes a vacuum
CREATE FUNCTION change_table(dims int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE t SET pad = pad || 'y' WHERE random() < 0.1;
	UPDATE t SET a = (random() * 1000)::int WHERE random() < 0.05;
	UPDATE t SET v = vec((random() * 5000)::int, dims) WHERE random() < 0.05;
	DELETE FROM t WHERE random() < 0.05;
	INSERT INTO t SELECT (SELECT max(id) FROM t) + i, (random() * 1000)::int, 3, '{1,2}', 5, point(i, i), '', vec(i % 70, dims) FROM generate_series(1, 50) i;
END $$;
CREATE FUNCTION random_condition(depth int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	width int := 1 + 1000 * random() * random() * random();
	at int := random() * 1000;
BEGIN
	IF depth > 0 AND random() < 0.5 THEN
		RETURN format('(%s %s %s)', random_condition(depth - 1), (ARRAY['AND', 'OR'])[1 + (random())::int], random_condition(depth - 1));
	END IF;
	RETURN CASE (random() * 8)::int
		WHEN 0 THEN format('b = %s', (random() * 20)::int)
		WHEN 1 THEN format('b IN (%s, %s)', (random() * 20)::int, (random() * 20)::int)
		WHEN 2 THEN format('c @> ''{%s}''', (random() * 5)::int)
		WHEN 3 THEN format('c && ''{%s,%s}''', (random() * 300)::int, (random() * 300)::int)
		WHEN 4 THEN format('g <@ box ''(%s,0),(%s,%s)''', at % 60, at % 60 + width % 20, width % 100)
		WHEN 5 THEN format('d BETWEEN %s AND %s', at % 300, at % 300 + width % 50)
		ELSE format('a BETWEEN %s AND %s', at, at + width) END;
END $$;
-- Compare a search with a sequential scan: fails if rows are missing, twice,
-- wrong, or not in order; returns how many near ones were to be found, and were,
-- and how it was done
CREATE FUNCTION compare(cond text, k int, q vector, OUT wanted int, OUT near int, OUT strategy text) LANGUAGE plpgsql AS $$
DECLARE
	query text := format('SELECT id, v <-> %1$L AS d FROM t WHERE %2$s AND v IS NOT NULL AND dear(id) ORDER BY v <-> %1$L LIMIT %3$s', q, cond, k);
	line text;
	ids int[];
	ds float8[];
	exact float8[];
	matching int[];
	falls int;
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	strategy := 'none';
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'HnswBitmapFilter' THEN
			strategy := 'search';
		END IF;
	END LOOP;
	EXECUTE format('SELECT coalesce(array_agg(id), ''{}''), coalesce(array_agg(d), ''{}'') FROM (%s) s', query) INTO ids, ds;
	IF strategy = 'search' AND (SELECT nodes_visited FROM vectorx_last_scan()) = 0 THEN
		strategy := 'exact';
	END IF;
	SET LOCAL enable_seqscan = on;
	SET LOCAL enable_sort = on;
	SET LOCAL enable_indexscan = off;
	SET LOCAL enable_bitmapscan = off;
	EXECUTE format('SELECT coalesce(array_agg(d), ''{}'') FROM (%s) s', query) INTO exact;
	EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM t WHERE %s', cond) INTO matching;
	SET LOCAL enable_indexscan = on;
	SET LOCAL enable_bitmapscan = on;
	wanted := cardinality(exact);
	SELECT count(*) FILTER (WHERE d <= exact[wanted] * 1.00001), count(*) FILTER (WHERE d < before - 1e-5) INTO near, falls
		FROM (SELECT d, lag(d) OVER (ORDER BY n) AS before FROM unnest(ds) WITH ORDINALITY u(d, n)) s;
	IF cardinality(ids) <> wanted OR (SELECT count(DISTINCT i) FROM unnest(ids) i) <> wanted OR NOT ids <@ matching OR
		falls > (CASE WHEN k <= 40 AND cardinality(matching) > 4 * k THEN 0 ELSE 1 END) THEN
		RAISE EXCEPTION '% LIMIT % (%): % rows, % distinct, % matching instead of %; % falls', cond, k, strategy, cardinality(ids),
			(SELECT count(DISTINCT i) FROM unnest(ids) i), (SELECT count(*) FROM unnest(ids) i WHERE i = ANY (matching)), wanted, falls;
	END IF;
END $$;
CREATE TABLE result (wanted int, near int, strategy text);
SQL

# ---- random conditions
for my $round (1 .. $rounds)
{
	my $dims = (3, 17, 64)[ $round % 3 ];
	my $s = ($seed + $round) % 2147483647 / 2147483647;
	my $mem = (64, 64, 1024, 65536)[ ($seed + $round) % 4 ];
	my $ef = (10, 40, 100)[ ($seed + $round) % 3 ];
	my $sql = "SET work_mem = '${mem}kB'; SELECT setseed($s); SELECT make_table($dims);\n";
	for my $query (1 .. $queries)
	{
		$sql .= "SELECT change_table($dims);\n" if $query % 5 == 0;
		$sql .= "VACUUM t;\n" if $query % 10 == 0;
		$sql .= "SET hnsw.ef_search = $ef;\n"
		  . "INSERT INTO result SELECT c.* FROM (SELECT random_condition(2) AS cond) r, compare(cond, (ARRAY[1, 10, 10, 50, 2000])[1 + (random() * 4)::int],"
		  . " vec((random() * 100000)::int, $dims)) c;\n";
	}
	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', $sql, on_error_stop => 1, stdout => \$out, stderr => \$err);
	is($status, 0, "random conditions, round $round") or diag("seed $seed, round $round: $err");
}
my $exact = $node->safe_psql('postgres', "SELECT count(*) FROM result WHERE strategy = 'exact' AND near < wanted");
is($exact, 0, 'ranked rows are the nearest');
my ($used, $recall) = split /\|/, $node->safe_psql('postgres',
	"SELECT count(*) FILTER (WHERE strategy <> 'none'), sum(near)::float8 / sum(wanted) FROM result");
note('strategies: ' . $node->safe_psql('postgres', "SELECT string_agg(s, ', ') FROM (SELECT strategy || ' ' || count(*) AS s FROM result GROUP BY strategy) s"));
note("recall $recall");
cmp_ok($used, '>=', $rounds * $queries / 3, 'bitmaps were searched in');
cmp_ok($recall, '>=', 0.9, 'recall of all of them');

# ---- beside writers and vacuum
$node->safe_psql('postgres', <<'SQL');
SELECT setseed(0.5), make_table(17);
CREATE SEQUENCE s START 100000;
SQL
$node->pgbench(
	"-n -c 4 -j 2 -T $seconds",
	0,
	[ qr/number of failed transactions: 0 /, qr/number of transactions actually processed: [1-9]/ ],
	[qr/^$/],
	'searches beside writers',
	{
		'014_search@4' => "\\set k random(1, 40)\nBEGIN ISOLATION LEVEL REPEATABLE READ;\n"
		  . "SELECT compare(random_condition(1), :k, vec(:k, 17)) FROM generate_series(1, 6);\nCOMMIT;",
		'014_insert@2' => "INSERT INTO t SELECT i, i % 1000, i % 20, ARRAY[i % 5, i % 300], i % 300, point(i % 60, i % 60), '', vec(i % 3000, 17) FROM CAST(nextval('s') AS int) i;",
		'014_update@2' => "\\set a random(1, 1000)\nUPDATE t SET pad = pad || 'z' WHERE id = (SELECT id FROM t WHERE a = :a LIMIT 1);",
		'014_move@2' => "\\set a random(1, 1000)\nUPDATE t SET a = 1000 - a WHERE id = (SELECT id FROM t WHERE a = :a LIMIT 1);",
		'014_delete@2' => "\\set a random(1, 1000)\nDELETE FROM t WHERE id = (SELECT id FROM t WHERE a = :a LIMIT 1);",
		'014_vacuum@1' => "VACUUM t;",
	});
check_index($node, 'tv', 'the index is sound');

# ---- rows changed while a query waits for them
$node->safe_psql('postgres', <<'SQL');
DROP TABLE t;
CREATE TABLE t (id int PRIMARY KEY, a int, pad text, v vector(8));
INSERT INTO t SELECT i, i % 100, '', vec(i, 8) FROM generate_series(1, 4000) i;
CREATE INDEX tv ON t USING hnsw (v);
CREATE INDEX ta ON t (a);
VACUUM ANALYZE t;
SQL

# Lock the nearest k rows of a condition while one of them is changed; returns
# "id pad" of each
sub lock_changed
{
	my ($cond, $change) = @_;
	my $query = "SELECT id, pad FROM t WHERE $cond AND dear(id) ORDER BY v <-> vec(7, 8) LIMIT 5 FOR UPDATE";
	my $off = 'SET enable_seqscan = off; SET enable_sort = off; ';
	my $plan = $node->safe_psql('postgres', "$off EXPLAIN (COSTS OFF) $query");
	my ($out, $err) = ('', '');
	die "no bitmap filter: $plan" unless $plan =~ /LockRows.*HnswBitmapFilter/s;
	$node->safe_psql('postgres', "BEGIN; $change; PREPARE TRANSACTION 'change'");
	my $waiting = IPC::Run::start(psql_command($node, '-c', "SET application_name = 'waits'; $off $query"), '>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waits' AND wait_event_type = 'Lock'")
	  or die 'it does not wait';
	$node->safe_psql('postgres', "COMMIT PREPARED 'change'");
	$waiting->finish;
	die $err if $err ne '';
	return [ split /\n/, $out ];
}

foreach my $cond ('a < 1', 'a < 60')
{
	my $nearest = "(SELECT id FROM t WHERE $cond ORDER BY v <-> vec(7, 8), id LIMIT 1 OFFSET 1)";
	my $before = $node->safe_psql('postgres', "SELECT $nearest");
	my $rows = lock_changed($cond, "UPDATE t SET pad = 'new' WHERE id = $nearest");
	is(scalar(grep { $_ eq "$before|new" } @$rows), 1, "a row changed that still matches, $cond");
	is(scalar(@$rows), 5, "all rows, $cond");
	$before = $node->safe_psql('postgres', "SELECT $nearest");
	$rows = lock_changed($cond, "UPDATE t SET a = 99 WHERE id = $nearest");
	is(scalar(grep { /^$before\|/ } @$rows), 0, "a row changed that does not match any more, $cond");
	$before = $node->safe_psql('postgres', "SELECT $nearest");
	$rows = lock_changed($cond, "DELETE FROM t WHERE id = $nearest");
	is(scalar(grep { /^$before\|/ } @$rows), 0, "a row deleted, $cond");
}

# ---- the first statement of a session, of which only the index knows the library
my $first = $node->safe_psql('postgres', 'SET enable_sort = off; EXPLAIN (COSTS OFF) SELECT id FROM t WHERE a = 5 ORDER BY v <-> (SELECT v FROM t WHERE id = 7) LIMIT 5');
like($first, qr/Custom Scan \(HnswBitmapFilter\) on t/, 'nothing needs to be preloaded');
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
