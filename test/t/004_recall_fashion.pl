# Recall on real data.
#
# Promised, for Fashion-MNIST (60,000 x 784), m = 16, ef_construction = 200:
# recall@10 of at least 0.99 at ef_search = 40, by visiting at most 600 nodes a
# query, with node pages of less than 45 MB; and no worse after a tenth of the
# rows have been deleted and vacuumed.
#
# Shown: on 200 test images, of which the exact answers are computed by
# sequential scans.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use VxTest;

my $dir = $ENV{VX_FASHION_DIR} // '/usr/share/datasets/fashion-mnist';
plan skip_all => "no Fashion-MNIST in $dir (package dataset-fashion-mnist)"
  unless -r "$dir/train-images-idx3-ubyte.gz";

my $node = new_node('fashion', "maintenance_work_mem = 1GB\nwal_level = minimal\nmax_wal_senders = 0\nstatement_timeout = ${\(300 * slow())}s\nmax_wal_size = 4GB");
$node->start;
set_up($node);
my $t = time();
sub took { my $s = time() - $t; $t = time(); return sprintf '%.1f s', $s; }

# plain storage: exact answers without fetching 12 million values from elsewhere
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE train (id int, label int, v vector(784));
ALTER TABLE train ALTER v SET STORAGE PLAIN;
CREATE TABLE test (id int, label int, v vector(784));
ALTER TABLE test ALTER v SET STORAGE PLAIN;
SQL
load_fashion($node, 'test', 'test', 200);
load_fashion($node, 'train', 'train');
$node->safe_psql('postgres', 'VACUUM ANALYZE train');
is($node->safe_psql('postgres', 'SELECT count(*) FROM train'), 60000, 'data');
note('loaded in ' . took());

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE exact AS SELECT test.id AS q, s.* FROM test,
	LATERAL (SELECT train.id, train.v <-> test.v AS d FROM train ORDER BY 2 LIMIT 30) s;
-- recall@10 of the 200 queries against the rows still there, and nodes visited a query
CREATE FUNCTION measure(OUT recall float8, OUT visited float8, OUT fewest int) LANGUAGE plpgsql AS $$
DECLARE
	query record;
	wanted int := 0;
	found int := 0;
	nodes int8 := 0;
	n int;
	near int;
	kth float8;
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	fewest := 10;
	FOR query IN SELECT id, v FROM test LOOP
		SELECT d INTO kth FROM exact e WHERE q = query.id AND EXISTS (SELECT FROM kept WHERE kept.id = e.id) ORDER BY d OFFSET 9 LIMIT 1;
		SELECT count(*), count(*) FILTER (WHERE d <= kth + 1e-3) INTO n, near
			FROM (SELECT v <-> query.v AS d FROM train ORDER BY v <-> query.v LIMIT 10) s;
		fewest := least(fewest, n);
		wanted := wanted + 10;
		found := found + near;
		nodes := nodes + (SELECT nodes_visited FROM vectorx_last_scan());
	END LOOP;
	recall := found::float8 / wanted;
	visited := nodes::float8 / (SELECT count(*) FROM test);
END $$;
CREATE TABLE kept AS SELECT id FROM train;
CREATE INDEX ON kept (id);
SQL
note('exact answers in ' . took());

$node->safe_psql('postgres', 'CREATE INDEX fashion ON train USING hnsw (v) WITH (m = 16, ef_construction = 200)');
note('built in ' . took());
is($node->safe_psql('postgres', "SELECT * FROM vectorx_index_check('fashion')"), '', 'a new index is sound, and every node within reach');
my ($recall, $visited, $fewest) = split /\|/, $node->safe_psql('postgres', 'SELECT * FROM measure()');
note("recall $recall, $visited nodes visited; " . took());
cmp_ok($recall, '>=', 0.99, 'recall@10 at ef_search = 40');
cmp_ok($visited, '<=', 600, 'nodes visited a query');
cmp_ok($visited, '>=', 41, 'and they were counted');
is($fewest, 10, 'ten rows each');
my $bytes = $node->safe_psql('postgres', "SELECT node_bytes FROM vectorx_index_info('fashion')");
note("$bytes bytes of node pages");
cmp_ok($bytes, '<', 45e6, 'bytes of node pages');
is($node->safe_psql('postgres', "SELECT rows, dead, code FROM vectorx_index_info('fashion')"), '60000|0|rotated', 'all rows are in the index');

# more candidates, better answers
my ($better) = split /\|/, $node->safe_psql('postgres', 'SET hnsw.ef_search = 200; SELECT * FROM measure()');
cmp_ok($better, '>=', $recall, 'recall at ef_search = 200 is no worse');
note("recall at ef_search 200: $better");

# a filter: labels are tenths of the rows
my $filtered = $node->safe_psql('postgres', <<'SQL');
SET enable_seqscan = off; SET enable_sort = off;
SELECT count(*) FROM test, LATERAL (SELECT id FROM train WHERE label = (test.label + 5) % 10 ORDER BY v <-> test.v LIMIT 10) s WHERE test.id < 20
SQL
is($filtered, 200, 'under a filter, too, there are ten rows each');

$node->safe_psql('postgres', <<'SQL');
DELETE FROM train WHERE hashint4(id) % 10 = 0;
DELETE FROM kept WHERE hashint4(id) % 10 = 0;
SQL
$t = time();
$node->safe_psql('postgres', 'VACUUM train');
note('vacuum in ' . took());
my ($after, $visited_after) = split /\|/, $node->safe_psql('postgres', 'SELECT * FROM measure()');
note("after deletions: recall $after, $visited_after nodes visited");
cmp_ok($after, '>=', $recall - 0.01, 'recall after a tenth was deleted');
is($node->safe_psql('postgres', "SELECT dead, rows - (SELECT count(*) FROM train), rows < 55000 FROM vectorx_index_info('fashion')"), '0|0|t', 'the index has the rows left');
check_index($node, 'fashion');
check_log($node, 'nothing bad in the log');
$node->stop;
done_testing();
