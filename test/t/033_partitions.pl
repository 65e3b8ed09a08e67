# A thousand partitions.
#
# Promised: an index on a partitioned table serves searches through all partitions and
# through those that the query leaves, and planning costs no more than with other
# indexes.
#
# Shown: with 1,000 partitions of 20 rows, whose exact answers are known, as each
# partition is searched to its end.  Time of planning, with what is known of the tables
# and indexes cached, and memory of the session, are compared with those of the same
# query by a B-tree.
use strict;
use warnings;
use Test::More;
use VxTest;

my $node = new_node('partitions', "max_locks_per_transaction = 512\nfsync = off");
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE p (id int, part int, v vector(8)) PARTITION BY LIST (part);
SELECT format('CREATE TABLE p%s PARTITION OF p FOR VALUES IN (%1$s)', i) FROM generate_series(1, 1000) i \gexec
INSERT INTO p SELECT i, 1 + i % 1000, vec(i, 8) FROM generate_series(1, 19000) i;
CREATE INDEX pv ON p USING hnsw (v) WITH (m = 4, ef_construction = 10);
CREATE INDEX pb ON p (id);
INSERT INTO p SELECT i, 1 + i % 1000, vec(i, 8) FROM generate_series(19001, 20000) i;
ANALYZE p;
SQL
is($node->safe_psql('postgres', "SELECT count(*), sum((vectorx_index_info(relid)).rows) FROM pg_partition_tree('pv') WHERE isleaf"), '1000|20000', 'an index of each partition');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_partition_tree('pv') t, index_findings(relid) WHERE isleaf"), '0', 'nothing is wrong with them');

# Ids by index and by sequential scan
sub same_answer
{
	my ($name, $from, $limit) = @_;
	my $sql = "SELECT id FROM $from ORDER BY v <-> vec(123456, 8) LIMIT $limit";
	my $off = join ' ', map { "SET enable_$_ = off;" } qw(indexscan indexonlyscan bitmapscan);
	is(with_index($node, $sql), $node->safe_psql('postgres', "$off $sql"), "$name: the exact answer");
}
same_answer('all partitions', 'p', 10);
same_answer('all partitions, more rows than one has', 'p', 100);
same_answer('one partition', 'p WHERE part = 77', 10);
same_answer('some partitions', 'p WHERE part IN (1, 500, 501, 1000)', 30);
same_answer('all partitions, a filter', 'p WHERE id % 100 = 7', 20);
is(with_index($node, 'SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM p ORDER BY v <-> vec(123456, 8)) s'), '20000|20000', 'all rows of all partitions');
my $plan = $node->safe_psql('postgres', 'SET enable_seqscan = off; SET enable_sort = off; EXPLAIN (COSTS OFF) SELECT id FROM p WHERE part = 77 ORDER BY v <-> vec(1, 8) LIMIT 3');
is(scalar(() = $plan =~ /Index Scan/g), 1, 'only the partition wanted is in the plan');
is($node->safe_psql('postgres', <<'SQL'), join("\n", (3) x 5), 'or searched, if that is known only when it runs');
SET enable_seqscan = off;
SET enable_sort = off;
SET plan_cache_mode = force_generic_plan;
PREPARE q(int) AS SELECT count(*) FROM (SELECT id FROM p WHERE part = $1 ORDER BY v <-> vec(1, 8) LIMIT 3) s;
EXECUTE q(1); EXECUTE q(2); EXECUTE q(3); EXECUTE q(4); EXECUTE q(1000);
SQL
$node->safe_psql('postgres', 'CREATE TABLE p1001 PARTITION OF p FOR VALUES IN (1001); INSERT INTO p SELECT i, 1001, vec(i, 8) FROM generate_series(20001, 20020) i; ALTER TABLE p DETACH PARTITION p1000');
same_answer('partitions that came and went', 'p', 50);

# planning, several times in a session
sub planning
{
	my ($order) = @_;
	my $out = $node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off;\n"
		  . "EXPLAIN (SUMMARY, COSTS OFF) SELECT id FROM p ORDER BY $order LIMIT 10;\n" x 7
		  . "SELECT 'memory ' || sum(used_bytes) / 1024 FROM pg_backend_memory_contexts;\n");
	my ($first, @times) = $out =~ /Planning Time: ([\d.]+) ms/g;
	my ($memory) = $out =~ /memory (\d+)/;
	return ($first, (sort { $a <=> $b } @times)[0], $memory);
}
my ($first, $time, $memory) = planning("v <-> '[1,2,3,4,5,6,7,8]'");
my ($btree_first, $btree_time, $btree_memory) = planning('id');
diag(sprintf 'planning for 1,000 partitions: first %.0f ms, then %.0f, %d kB (B-tree: %.0f, %.0f, %d kB)',
	$first, $time, $memory, $btree_first, $btree_time, $btree_memory);
cmp_ok($time, '<', 5 * $btree_time + 20, 'planning takes no longer than with a B-tree');
cmp_ok($memory, '<', 1.5 * $btree_memory, 'nor more memory');
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
