# Damaged indexes.
#
# Promised: vectorx_index_check finds damage, wherever it is, and says where; and
# whatever the damage, scans, insertions, VACUUM and the check itself end, with a
# result or with an error of SQLSTATE XX001 or XX002, and never bring the server
# down.  REINDEX mends it.
#
# Shown: by tables alike, each with an index of which a few bytes are changed while
# the server is down.  Then each is checked, searched, inserted into, vacuumed,
# checked again and rebuilt.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use VxImage;
use VxTest;
use PostgreSQL::Test::Utils;

my $BLOCK = 8192;
my $NONE = 0xFFFFFFFF;
my ($FREE, $LIVE, $DEAD, $DUPLICATE, $DUPLICATE_DEAD, $LONE, $UPPER) = 0 .. 6;

my $LEVEL = 1;
my $GENERATION = 2;
my $TID = 4;
my $CHAIN = 12;
my $OTHER = 16;
my $FACTORS = 20;
my $ATTRS = 32;
my $KINDS = 72;    # of the filter columns, in the metapage

# The index that is being damaged
my $im;

# A live node with some links that no chain hangs on
sub plain_node { return $im->find($LIVE, sub { $im->links($_[0]) > 3 && $im->get($_[0], $CHAIN, 'L') == $NONE && $_[0] != $im->{entry} }); }
sub head { return $im->find($LIVE, sub { $im->get($_[0], $CHAIN, 'L') != $NONE }); }
sub tall_node { return $im->find($LIVE, sub { $im->get($_[0], $OTHER, 'L') != $NONE }); }
# A duplicate that others follow
sub member { return $im->find($DUPLICATE, sub { $im->get($_[0], $CHAIN, 'L') != $NONE }); }

# name, what is done to $im, the kind of finding, what it says; the damage
# returns where the finding is to be, "slot ID" or "block N", or nothing
my @damages = (
	[ 'unknown state', sub { my $n = plain_node(); $im->put($n, 0, 'C', 77); "slot $n" }, 'state', qr/unknown state 77/ ],
	[ 'node freed', sub { my $n = plain_node(); $im->put($n, 0, 'C', $FREE); undef }, 'missing', qr/not in the index/ ],
	[ 'node said to be removed', sub { my $n = plain_node(); $im->put($n, 0, 'C', $DEAD); "slot $n" }, 'state', qr/removed has a heap TID/ ],
	[ 'node said to be a duplicate', sub { my $n = plain_node(); $im->put($n, 0, 'C', $DUPLICATE); "slot $n" }, 'chain', qr/head of the chain/ ],
	[ 'node said to be lone', sub { my $n = plain_node(); $im->put($n, 0, 'C', $LONE); "slot $n" }, 'state', qr/can be ranked/ ],
	[ 'node said to be upper', sub { my $n = plain_node(); $im->put($n, 0, 'C', $UPPER); "slot $n" }, 'upper', qr/does not exist|does not name/ ],
	[ 'level too high', sub { my $n = plain_node(); $im->put($n, $LEVEL, 'C', 200); "slot $n" }, 'level', qr/level 200/ ],
	[ 'all levels too high', sub { $im->put($_, $LEVEL, 'C', 255) foreach @{ $im->{by_state}[$LIVE] }, @{ $im->{by_state}[$UPPER] }; undef }, 'level', qr/level 255/ ],
	[ 'link to nowhere', sub { my $n = plain_node(); $im->put_link($n, 1, 0xFFFFFFF0); "slot $n" }, 'link', qr/does not exist/ ],
	[ 'all links to nowhere', sub { foreach my $n (@{ $im->{by_state}[$LIVE] }) { $im->put_link($n, $_, 0x7FFFFF00 + $_) foreach 0 .. 2 * $im->{m} - 1; } undef }, 'link', qr/does not exist/ ],
	[ 'link to itself', sub { my $n = plain_node(); $im->put_link($n, 1, $n); "slot $n" }, 'link', qr/link 1 leads to the node itself/ ],
	[ 'link twice', sub { my $n = plain_node(); $im->put_link($n, 2, ($im->links($n))[0]); "slot $n" }, 'link', qr/links 0 and 2 are the same/ ],
	[ 'all links the same', sub { foreach my $n (@{ $im->{by_state}[$LIVE] }) { $im->put_link($n, $_, 1) foreach 0 .. 2 * $im->{m} - 1; } undef }, 'link', qr/are the same/ ],
	[ 'gap in the links', sub { my $n = plain_node(); $im->put_link($n, 1, $NONE); "slot $n" }, 'link', qr/after the end/ ],
	[ 'links lost', sub { foreach my $n (@{ $im->{by_state}[$LIVE] }) { $im->put_link($n, $_, $NONE) foreach 0 .. 2 * $im->{m} - 1; } undef }, 'unreachable', qr/cannot be reached/ ],
	[ 'links to free slots', sub { my @free = @{ $im->{by_state}[$FREE] }; my $i = 0; foreach my $n (@{ $im->{by_state}[$LIVE] }) { my @l = $im->links($n); $im->put_link($n, scalar @l, $free[ $i++ % @free ]) if @l < 2 * $im->{m}; } undef }, 'stale', qr/no nodes have links/ ],
	[ 'upper link to itself', sub { my $n = $im->find($UPPER); $im->put($n, 8, 'L', $im->get($n, 4, 'L')); "slot $n" }, 'link', qr/layer 1: link 0 leads to the node itself/ ],
	[ 'upper slot with another owner', sub { my $n = $im->find($UPPER); $im->put($n, 4, 'L', 0xFFFFFF); "slot $n" }, 'upper', qr/does not exist/ ],
	[ 'upper slot of level 0', sub { my $n = $im->find($UPPER); $im->put($n, $LEVEL, 'C', 0); "slot $n" }, 'level', qr/slot of 0 upper layers/ ],
	[ 'upper slot of another level', sub { my $n = $im->find($UPPER); my $o = $im->get($n, 4, 'L'); $im->put($o, $LEVEL, 'C', $im->get($o, $LEVEL, 'C') % $im->{max_level} + 1); "slot $o" }, 'upper', qr/another level/ ],
	[ 'upper slot freed', sub { my $n = $im->find($UPPER); $im->put($n, 0, 'C', $FREE); 'slot ' . $im->get($n, 4, 'L') }, 'upper', qr/not this node's/ ],
	[ 'upper slot that does not exist', sub { my $n = tall_node(); $im->put($n, $OTHER, 'L', 0x7FFFFFFF); "slot $n" }, 'upper', qr/does not exist/ ],
	[ 'upper slot of a node of level 0', sub { my $n = plain_node(); $im->put($n, $LEVEL, 'C', 0); $im->put($n, $OTHER, 'L', $im->find($UPPER)); "slot $n" }, 'level', qr/level 0 has/ ],
	[ 'chain to nowhere', sub { my $n = head(); $im->put($n, $CHAIN, 'L', 0xFFFFFFFE); "slot $n" }, 'chain', qr/next of the chain, \d+, does not exist/ ],
	[ 'chain to a node', sub { my $n = head(); $im->put($n, $CHAIN, 'L', plain_node()); "slot $n" }, 'chain', qr/is no duplicate/ ],
	[ 'chain to itself', sub { my $n = head(); $im->put($n, $CHAIN, 'L', $n); "slot $n" }, 'chain', qr/to itself/ ],
	[ 'chain of members in a circle', sub { my $n = member(); $im->put($n, $CHAIN, 'L', $im->get($im->get($n, $OTHER, 'L'), $CHAIN, 'L')); 'slot ' . $im->get($n, $OTHER, 'L') }, 'chain', qr/does not end/ ],
	[ 'member leading to itself', sub { my $n = member(); $im->put($n, $CHAIN, 'L', $n); "slot $n" }, 'chain', qr/to itself/ ],
	[ 'chain cut', sub { my $n = head(); my $lost = $im->get($n, $CHAIN, 'L'); $im->put($n, $CHAIN, 'L', $im->get($lost, $CHAIN, 'L')); "slot $lost" }, 'chain', qr/is not in the chain|is no head of one/ ],	# the latter, if it was the only member
	[ 'member of another head', sub { my $n = member(); $im->put($n, $OTHER, 'L', plain_node()); "slot $n" }, 'chain', qr/is no head/ ],
	[ 'member of no head', sub { my $n = member(); $im->put($n, $OTHER, 'L', 0xFFFFFFFE); "slot $n" }, 'chain', qr/head of the chain, \d+, does not exist/ ],
	[ 'code', sub { my $n = plain_node(); my $at = $im->{code_offset} + 5; $im->put($n, $at, 'C', $im->get($n, $at, 'C') ^ 0x88); "slot $n" }, 'code', qr/not those of the vector/ ],
	[ 'factor', sub { my $n = plain_node(); $im->put($n, $FACTORS + 4, 'f', 1.1 * $im->get($n, $FACTORS + 4, 'f')); "slot $n" }, 'code', qr/not those of the vector/ ],
	[ 'factors that are no numbers', sub { $im->put($_, $FACTORS, 'L3', (0x7FC00000) x 3) foreach @{ $im->{by_state}[$LIVE] }; undef }, 'code', qr/not those of the vector/ ],
	[ 'infinite factors', sub { $im->put($_, $FACTORS, 'L3', 0x7F800000, 0xFF800000, 0x7F800000) foreach @{ $im->{by_state}[$LIVE] }; undef }, 'code', qr/not those of the vector/ ],
	[ 'vector', sub { my $n = plain_node(); $im->put_at($im->vector_offset($n), pack('f2', 1, 2)); "slot $n" }, 'vector', qr/not th(at|ose) of the row/ ],
	[ 'vector that is no number', sub { my $n = plain_node(); $im->put_at($im->vector_offset($n), pack('L2', 0x7FC00000, 0x7F800000)); "slot $n" }, 'vector', qr/no numbers/ ],
	[ 'vector of a raw index', sub { my $n = plain_node(); $im->put($n, $im->{code_offset}, 'f', 5); "slot $n" }, 'vector', qr/not th(at|ose) of the row/, 'raw' ],
	[ 'vector of a raw index that is no number', sub { $im->put($_, $im->{code_offset}, 'L', 0x7FC00000) foreach @{ $im->{by_state}[$LIVE] }; undef }, 'vector', qr/no numbers/, 'raw' ],
	[ 'filter column', sub { my $n = plain_node(); $im->put($n, $ATTRS + 1, 'C', $im->get($n, $ATTRS + 1, 'C') ^ 1); "slot $n" }, 'vector', qr/filter columns are not those of the row/, 'filter' ],
	[ 'filter column of a duplicate', sub { my $n = member(); $im->put($n, $ATTRS + 5, 'C', $im->get($n, $ATTRS + 5, 'C') ^ 0x80); "slot $n" }, 'vector', qr/filter columns are not those of the row/, 'filter' ],
	[ 'filter column said to be NULL', sub { my $n = plain_node(); $im->put($n, $ATTRS, 'C', $im->get($n, $ATTRS, 'C') ^ 2); "slot $n" }, 'vector', qr/filter columns are not those of the row/, 'filter' ],
	[ 'filter columns of noise', sub { srand(9); foreach my $n (@{ $im->{by_state}[$LIVE] }) { $im->put($n, $ATTRS, 'C*', map { int rand 256 } 1 .. $im->{attr_size}); } undef }, 'vector', qr/filter columns are not those of the row/, 'filter' ],
	[ 'filter column of an unknown kind', sub { $im->put_at($KINDS, pack('C', 99)); 'block 0' }, 'metapage', qr/impossible filter columns/, 'filter' ],
	[ 'filter columns of other widths', sub { $im->put_at($KINDS, pack('C3', 7, 7, 7)); 'block 0' }, 'metapage', qr/impossible filter columns/, 'filter' ],
	[ 'filter columns of another type', sub { $im->put_at($KINDS, pack('C3', 3, 12, 8)); 'block 0' }, 'metapage', qr/filter columns are not those of the index/, 'filter' ],
	[ 'more filter columns than there are', sub { $im->put_at($KINDS, pack('C5', 3, 8, 12, 1, 1)); 'block 0' }, 'metapage', qr/filter columns are not those of the index/, 'filter' ],
	[ 'fewer filter columns than there are', sub { $im->put_at($KINDS, pack('C3', 8, 12, 0)); 'block 0' }, 'metapage', qr/filter columns are not those of the index|impossible/, 'filter' ],
	[ 'TID of another row', sub { my $n = plain_node(); my @tid = $im->get($im->find($LIVE, sub { $_[0] > $n }), $TID, 'S3'); $im->put($n, $TID, 'S3', @tid); undef }, 'tid', qr/has the same row/ ],
	[ 'TID beyond the table', sub { my $n = plain_node(); $im->put($n, $TID, 'S3', 1, 0, 1); "slot $n" }, 'tid', qr/no such row/ ],
	[ 'TID beyond the files of the table', sub { my $n = plain_node(); $im->put($n, $TID, 'S3', 0x7FFF, 0, 1); "slot $n" }, 'tid', qr/no such row/ ],
	[ 'TID beyond its page', sub { my $n = plain_node(); $im->put($n, $TID, 'S3', 0, 0, 2000); "slot $n" }, 'tid', qr/no such row/ ],
	[ 'TID of no block', sub { $im->put($_, $TID, 'S3', 0xFFFF, 0xFFFF, 1) foreach @{ $im->{by_state}[$LIVE] }; undef }, 'tid', qr/no heap TID/ ],
	[ 'TID of no row', sub { my $n = plain_node(); $im->put($n, $TID, 'S3', 0, 0, 0); "slot $n" }, 'tid', qr/no heap TID/ ],
	[ 'no entry point', sub { $im->put_at(64, pack('L', $NONE)); 'block 0' }, 'entry', qr/no entry point/ ],
	[ 'entry point that does not exist', sub { $im->put_at(64, pack('L', 0x7FFFFFFF)); 'block 0' }, 'entry', qr/does not exist/ ],
	[ 'entry point that is free', sub { my $n = $im->find($FREE); $im->put_at(64, pack('L', $n)); "slot $n" }, 'entry', qr/no node/ ],
	[ 'entry point that is a duplicate', sub { my $n = member(); $im->put_at(64, pack('L', $n)); "slot $n" }, 'entry', qr/no node/ ],
	[ 'entry point of another level', sub { $im->put_at(62, pack('S', 60000)); "slot $im->{entry}" }, 'entry', qr/level 60000/ ],
	[ 'no magic number', sub { $im->put_at(24, 'xxxx'); 'block 0' }, 'metapage', qr/magic/ ],
	[ 'another version', sub { $im->put_at(28, pack('L', 99)); 'block 0' }, 'metapage', qr/version/, 'any error' ],
	[ 'impossible layout', sub { $im->put_at(54, pack('S', 8)); 'block 0' }, 'metapage', qr/layout/ ],
	[ 'layout with more vector pages', sub { $im->put_at(58, pack('S', 65535)); 'block 0' }, 'metapage', qr/layout/ ],
	[ 'layout of other dimensions', sub { $im->put_at(32, pack('L', 47)); 'block 0' }, 'metapage', qr/other vectors/, 'any error' ],
	[ 'another metric', sub { $im->put_at(38, pack('S', 1)); 'block 0' }, 'metapage', qr/another distance/, 'any error' ],
	[ 'metapage zeroed', sub { $im->put_at(0, "\0" x 8192); 'block 0' }, 'metapage', qr/no metapage/ ],
	[ 'header of the metapage zeroed', sub { $im->put_at(0, "\0" x 24); 'block 0' }, 'metapage', qr/invalid page/ ],
	[ 'header of a node page zeroed', sub { my $b = $im->block(plain_node()); $im->put_at(8192 * $b, "\0" x 24); "block $b" }, 'page', qr/invalid page/ ],
	[ 'node page zeroed', sub { my $b = $im->block(plain_node()); $im->put_at(8192 * $b, "\0" x 8192); undef }, 'missing', qr/not in the index/ ],
	[ 'node page of another kind', sub { my $b = $im->block(plain_node()); $im->put_at(8192 * $b + 8184, pack('S', 3)); "block $b" }, 'page', qr/no node page/ ],
	[ 'node page of another stripe', sub { my $b = $im->block(plain_node()); $im->put_at(8192 * $b + 8188, pack('L', 7777)); "block $b" }, 'page', qr/stripe 7777/ ],
	[ 'node page with another lower bound', sub { my $b = $im->block(plain_node()); $im->put_at(8192 * $b + 12, pack('S', 24)); "block $b" }, 'page', qr/not zero/ ],
	[ 'header of a vector page zeroed', sub { my $b = 1 + $im->block(plain_node()); $im->put_at(8192 * $b, "\0" x 24); "block $b" }, 'page', qr/invalid page/ ],
	[ 'vector page zeroed', sub { my $n = plain_node(); $im->put_at(8192 * int($im->vector_offset($n) / 8192), "\0" x 8192); "slot $n" }, 'vector', qr/not on its pages/ ],
	[ 'vector page of another kind', sub { my $b = 1 + $im->block(plain_node()); $im->put_at(8192 * $b + 8184, pack('S', 2)); "block $b" }, 'page', qr/no vector page/ ],
	[ 'file cut off', sub { substr($im->{bytes}, length($im->{bytes}) * 2 / 3) = ''; undef }, 'missing', qr/not in the index/ ],
	[ 'file empty', sub { $im->{bytes} = ''; 'block 0' }, 'metapage', qr/missing/ ],
	[ 'file of noise', sub { srand(7); $im->put_at(24 + 8192, join '', map { chr rand 256 } 1 .. 7000); undef }, 'state', qr/unknown state/ ],
	[ 'slots of noise', sub { srand(8); foreach my $n (@{ $im->{by_state}[$LIVE] }) { $im->put($n, 4, 'C*', map { int rand 256 } 5 .. $im->{slot_size}); } undef }, 'link', qr/does not exist/ ],
);

my $node = new_node('check', "log_min_messages = warning\nzero_damaged_pages = off", extra => [ no_checksums() ]);
$node->start;
set_up($node);
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION make(name text, dims int, filter bool) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	EXECUTE format('CREATE TABLE %I (id int, v vector(%s), n int GENERATED ALWAYS AS (id %% 10) STORED,
		u uuid DEFAULT ''00000000-0000-0000-0000-000000000001'', tags text[] DEFAULT ''{a,b}'') WITH (autovacuum_enabled = off)', name, dims);
	EXECUTE format('INSERT INTO %I SELECT * FROM data%s', name, dims);
	EXECUTE format('CREATE INDEX %I ON %I USING hnsw (v%s) WITH (m = 8, ef_construction = 32)', name || 'i', name,
		CASE WHEN filter THEN ', n, u, tags' ELSE '' END);
	-- not all slots are as a build leaves them
	EXECUTE format('DELETE FROM %I WHERE id > 500 AND id %% 2 = 0', name);
END $$;
CREATE TABLE data48 AS SELECT i AS id, CASE WHEN i % 10 = 0 THEN vec(i % 20, 48) ELSE vec(i, 48) END AS v FROM generate_series(1, 700) i;
CREATE TABLE data6 AS SELECT i AS id, CASE WHEN i % 10 = 0 THEN vec(i % 20, 6) ELSE vec(i, 6) END AS v FROM generate_series(1, 700) i;
SQL
my $sql = "SELECT make('t', 48, true);\n";
# every other index has filter columns
$sql .= sprintf "SELECT make('t%d', %d, %s);\n", $_, ($damages[$_][4] // '') eq 'raw' ? 6 : 48,
  ($damages[$_][4] // '') eq 'filter' || $_ % 2 ? 'true' : 'false' foreach 0 .. $#damages;
$sql .= "VACUUM;\n";
$node->safe_psql('postgres', $sql);
my %path = map { split /=/ } split /\n/,
  $node->safe_psql('postgres', "SELECT relname || '=' || pg_relation_filepath(oid) FROM pg_class WHERE relname ~ '^t\\d*i\$'");
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_class c, index_findings(c.oid) WHERE relname ~ '^t\\d*i\$'"),
	'0', 'nothing is found in undamaged indexes');
$node->stop;

my @places;
foreach my $i (0 .. $#damages)
{
	my $file = $node->data_dir . '/' . $path{"t${i}i"};
	$im = VxImage->new(slurp_file($file));
	my $place = $damages[$i][1]->() // '';
	$place = $place =~ /^block (\d+)$/ ? "$1\\|" :
	  $place =~ /^slot (\d+)$/ ? $im->block($1) . '\|' . $im->slot($1) . '$' : '';
	push @places, $place;
	open my $out, '+<:raw', $file or die $!;
	truncate $out, 0;
	print $out $im->{bytes} or die $!;
	close $out or die $!;
}
$node->start;
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $slowest = 0;

# Run statements; what they raised must be damage, and they must end.  Returns
# what is wrong, or nothing.
sub ends_well
{
	my ($what, $any_error, @statements) = @_;
	my ($out, $err) = ('', '');
	my $from = time();
	my $status = $node->psql('postgres', "\\set VERBOSITY verbose\n" . join(";\n", "SET statement_timeout = '" . 20 * slow() . "s'", 'SET enable_seqscan = off', @statements) . ";\n",
		stdout => \$out, stderr => \$err, on_error_stop => 0);
	$slowest = time() - $from if time() - $from > $slowest;
	my @bad = grep { !/ERROR:  XX00[12]:/ } grep { /(ERROR|FATAL|PANIC): |connection|terminated/ } split /\n/, $err;
	@bad = grep { !/ERROR:  (0A000|22000):/ } @bad if $any_error;
	return $status == 2 || @bad ? "$what: " . join(' / ', "status $status", @bad) : ();
}

foreach my $i (0 .. $#damages)
{
	my ($name, undef, $kind, $says, $how) = @{ $damages[$i] };
	my $dims = ($how // '') eq 'raw' ? 6 : 48;
	my $any_error = ($how // '') eq 'any error';
	my $query = "(SELECT v FROM data$dims WHERE id = 7)";
	my ($out, $err) = ('', '');

	$node->psql('postgres', "SET statement_timeout = '" . 20 * slow() . "s'; SELECT severity, kind, detail, block, slot FROM vectorx_index_check('t${i}i')", stdout => \$out, stderr => \$err);
	my @found = split /\n/, $out;
	my $severity = $kind =~ /stale|unreachable/ ? 'warning' : 'error';
	ok((grep { /^$severity\|$kind\|.*$says.*\|$places[$i]/ } @found) && $err eq '', "$name: found")
	  or diag("expected $kind, $says at $places[$i]; got " . @found . " findings: " . join("\n", @found[ 0 .. ($#found < 9 ? $#found : 9) ]) . $err);
	my $blocks = $node->safe_psql('postgres', "SELECT pg_relation_size('t$i')");
	my @bad = ends_well('check without table', 0, "SELECT count(*) FROM vectorx_index_check('t${i}i', false)");
	push @bad, ends_well('scan', $any_error,
		"SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <-> $query LIMIT 10) s",
		"SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <-> $query) s",
		"SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <-> (SELECT v FROM data$dims WHERE id = 10)) s",
		"SELECT count(*) FROM (SELECT id FROM t$i WHERE n < 5 AND tags && '{a}' ORDER BY v <-> $query LIMIT 20) s",
		"SELECT count(*) FROM (SELECT id FROM t$i WHERE n = 3 AND u > '00000000-0000-0000-0000-000000000000' ORDER BY v <-> $query) s",
		"SET hnsw.ef_search = 1000",
		"SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <-> $query LIMIT 300) s",
		"SELECT vectorx_recall('t${i}i', 5, 10)", "SELECT vectorx_index_info('t${i}i')");
	push @bad, "the table has grown by " . ($node->safe_psql('postgres', "SELECT pg_relation_size('t$i')") - $blocks)
	  if $blocks != $node->safe_psql('postgres', "SELECT pg_relation_size('t$i')");
	push @bad, ends_well('insert', $any_error, map { "INSERT INTO t$i SELECT 1000 + $_, vec($_, $dims)" } 0 .. 3, 10, 20, 1000 .. 1030);
	push @bad, ends_well('vacuum', $any_error, "DELETE FROM t$i WHERE id % 4 = 0", "VACUUM (INDEX_CLEANUP on) t$i", "VACUUM (INDEX_CLEANUP on) t$i",
		"INSERT INTO t$i SELECT 2000 + i, vec(i, $dims) FROM generate_series(1, 20) i",
		"SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <-> $query) s",
		"SELECT count(*) FROM vectorx_index_check('t${i}i')");
	push @bad, ends_well('reindex', 0, "REINDEX INDEX t${i}i");
	push @bad, 'REINDEX does not mend it'
	  if $node->safe_psql('postgres', "SELECT count(*) FROM index_findings('t${i}i')") ne '0';
	push @bad, 'the server has restarted' if $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()') ne $started;
	is(join("\n", @bad), '', "$name: nothing worse than an error of damage");
}
note(sprintf 'slowest: %.1f s', $slowest);
is($node->safe_psql('postgres', "SELECT count(*) FROM index_findings('ti')"), '0', 'an undamaged index is still that');
my $log = slurp_file($node->logfile);
is(join("\n", grep { /PANIC:|TRAP:|terminated by signal|leak: |resource was not closed/ } split /\n/, $log), '', 'nothing bad in the log');
$node->stop;
done_testing();
