# Searches read pages in shared buffers without holding them.
#
# Promised: that a page is evicted, or taken for another, at any moment does not
# change what a search returns.
#
# Shown: with shared buffers far smaller than the index, several clients search
# while others drive pages out, insert, delete and vacuum.  Every search is
# compared with the exact answer of the same snapshot: its rows must be distinct,
# in order, with the distances that the table gives, and nearly all of the true ones.
use strict;
use warnings;
use Test::More;
use VxTest;

my $seconds = $ENV{VX_SECONDS} // 12;
my $node = new_node('eviction', "shared_buffers = 1MB\nlog_min_messages = warning\nmax_connections = 20");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id int PRIMARY KEY, v vector(48));
INSERT INTO t SELECT i, vec(i, 48) FROM generate_series(1, 8000) i;
CREATE INDEX ti ON t USING hnsw (v);
CREATE TABLE filler AS SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 8000) i;
CREATE SEQUENCE s START 8001;
VACUUM ANALYZE;
-- The number of true neighbors found; raises an error if a row is wrong
CREATE FUNCTION search(q vector) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE
	ids int[];
	found float8[];
	true_ids int[];
	actual float8[];
BEGIN
	SET LOCAL enable_seqscan = off;
	SELECT array_agg(id ORDER BY r), array_agg(d ORDER BY r) INTO ids, found
		FROM (SELECT id, d, row_number() OVER () AS r
			FROM (SELECT id, v <-> q AS d FROM t ORDER BY v <-> q LIMIT 10) a) b;
	SET LOCAL enable_seqscan = on;
	SET LOCAL enable_indexscan = off;
	SELECT array_agg(id) INTO true_ids FROM (SELECT id FROM t ORDER BY v <-> q LIMIT 10) a;
	SELECT array_agg(v <-> q ORDER BY array_position(ids, id)) INTO actual FROM t WHERE id = ANY (ids);
	SET LOCAL enable_indexscan = on;
	IF cardinality(ids) <> 10 OR (SELECT count(DISTINCT x) FROM unnest(ids) x) <> 10 THEN
		RAISE EXCEPTION 'not ten distinct rows: %', ids;
	END IF;
	IF found <> actual OR found <> (SELECT array_agg(d ORDER BY d) FROM unnest(found) d) THEN
		RAISE EXCEPTION 'rows out of order: % %', found, actual;
	END IF;
	RETURN (SELECT count(*) FROM unnest(ids) i WHERE i = ANY (true_ids));
END $$;
ALTER FUNCTION search(vector) VOLATILE;
CREATE TABLE answers (hits int);
CREATE FUNCTION check_search(i int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO answers SELECT search(vec(i, 48))
$$;
SQL
my $big = $node->safe_psql('postgres',
	"SELECT pg_relation_size('ti') > 2 * pg_size_bytes(current_setting('shared_buffers'))");
is($big, 't', 'index larger than shared buffers');

$node->pgbench(
	"-n -c 6 -j 2 -T $seconds --max-tries=10",
	0,
	[ qr/number of failed transactions: 0 /, qr/number of transactions actually processed: [1-9]/ ],
	[qr/^$/],
	'pgbench without failures',
	{
		'006_search@40' => "\\set q random(1, 1000000)\nBEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT check_search(:q);\nCOMMIT;",
		'006_evict@4' => "SELECT sum(length(x)) FROM filler;",
		'006_insert@10' => "INSERT INTO t SELECT i, vec(i, 48) FROM CAST(nextval('s') AS int) i;",
		'006_delete@6' => "\\set id random(1, 8000)\nDELETE FROM t WHERE id = :id;",
		'006_vacuum@1' => 'VACUUM (INDEX_CLEANUP on) t;',
	});
my ($n, $hits) = split /\|/, $node->safe_psql('postgres', 'SELECT count(*), avg(hits) FROM answers');
cmp_ok($n, '>=', 50, "enough searches ($n)");
cmp_ok($hits, '>=', 9.5, "recall under eviction ($hits of 10)");
same_ids($node, 't', 'vec(5, 48)', 'index and table have the same rows');
check_index($node, 'ti');
check_log($node, 'log is clean');
$node->stop;
done_testing();
