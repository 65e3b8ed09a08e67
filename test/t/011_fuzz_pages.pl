# Indexes damaged at random.
#
# Promised: whatever the bytes of an index are, scans, insertions, VACUUM and
# vectorx_index_check end, with a result or with an error of SQLSTATE XX001 or
# XX002, and never bring the server down.  An index in which vectorx_index_check
# finds no error gives every row once.  REINDEX mends it.
#
# Shown: by indexes of several shapes, each damaged in ways drawn from a seed
# while the server is down, and then used.  007_check has damages that were
# chosen, and what is found of them.  VX_SEED repeats the damages, but indexes are
# not built alike twice.  VX_TORTURE=1 makes it long, VX_CASES=N tries so many.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use VxImage;
use VxTest;
use PostgreSQL::Test::Utils;

my $BLOCK = 8192;
my $seed = $ENV{VX_SEED} // int(rand(2**31));
my $cases = $ENV{VX_CASES} // ($ENV{VX_TORTURE} ? 3000 : 240);
my $per_batch = 120;
my $timeout = 5 * slow();
note("VX_SEED=$seed");
srand($seed);

sub pick { return $_[ rand @_ ]; }

# ---- what is damaged

# name, dimensions, operator class, operator, rows, options, their vectors; and for one
# with filter columns, these, their values, and a filter
my @shapes = (
	[ 'raw', 3, 'vector_l2_ops', '<->', 150, 'm = 4, ef_construction = 16', "vec(i, 3)" ],
	[ 'duplicates', 48, 'vector_l2_ops', '<->', 200, 'm = 8, ef_construction = 32', "CASE WHEN i % 5 = 0 THEN vec(i % 10, 48) ELSE vec(i, 48) END" ],
	[ 'filtered', 24, 'vector_l2_ops', '<->', 150, 'm = 4, ef_construction = 16', "vec(i % 100, 24)",
		'n int, t text, a int[], f numeric, b bool', "nullif(i % 7, 6), 't' || i % 5, ARRAY[i % 3, i % 4], i / 4.0, i % 2 = 0",
		"n IN (1, 2, 3) AND t IN ('t1', 't2', 't3') AND a && '{2}' AND f < 30 AND b IS NOT NULL" ],
	[ 'lone', 100, 'vector_cosine_ops', '<=>', 150, 'm = 4, ef_construction = 16, code_bits = 4', "CASE WHEN i % 10 = 0 THEN vec(i, 100) - vec(i, 100) ELSE vec(i, 100) END" ],
	[ 'taxicab', 20, 'vector_l1_ops', '<+>', 150, 'm = 3, ef_construction = 8', "vec(i, 20)" ],
	[ 'long', 2500, 'vector_ip_ops', '<#>', 40, 'm = 16, ef_construction = 64, code_bits = 2', "vec(i, 2500)" ],
);

# A number that is wrong in an interesting way, of so many bytes
sub odd_number
{
	my ($bytes) = @_;
	my $value = pick(0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
		int(rand 300), int(rand 300), int(rand 65536), int(rand 2**32));
	return substr(pack('L', $value), 0, $bytes);
}

# A node id that may or may not exist
sub odd_id
{
	my ($im, $nodes) = @_;
	return pack('L', pick(map { int rand($nodes) } 0 .. 9)) if rand() < 0.7;
	return pick(pack('L', $nodes), pack('L', $nodes - 1), odd_number(4));
}

# One that exists, of a state that is interesting
sub some_node
{
	my ($im) = @_;
	my @states = grep { @{ $im->{by_state}[$_] // [] } } 0 .. 6;
	my $nodes = $im->{by_state}[ pick(1, 1, @states) ] // $im->{by_state}[ $states[0] ];
	return $nodes->[ rand @$nodes ];
}

# Ways to damage an image; each returns what it did.  $at is where, for those that change bytes there.
sub change_bytes
{
	my ($im, $at, $field) = @_;
	my $length = length $im->{bytes};
	return 'nothing' if $at >= $length;
	$field = $length - $at if $field > $length - $at;
	my $new = pick(
		sub { my $b = substr($im->{bytes}, $at, $field); substr($b, rand $field, 1) ^= chr(1 << rand 8); $b },
		sub { join '', map { chr rand 256 } 1 .. $field },
		sub { odd_number($field) . "\0" x ($field > 4 ? $field - 4 : 0) },
		sub { odd_number($field) . "\xFF" x ($field > 4 ? $field - 4 : 0) })->();
	$im->put_at($at, substr $new, 0, $field);
	return sprintf 'block %d, %d bytes at %d: %s', $at / $BLOCK, $field, $at % $BLOCK, unpack('H*', substr $new, 0, $field);
}

sub damage_slot
{
	my ($im, $nodes) = @_;
	my $id = some_node($im);
	# offset in a slot and length of what is there
	my $field = pick($im->{attr_size} ? ([ 32 + int(rand $im->{attr_size}), 1 ], [ 32 + int(rand $im->{attr_size}), 8 ]) : (),
		[ 0, 1 ], [ 0, 1 ], [ 1, 1 ], [ 2, 2 ], [ 4, 6 ], [ 4, 4 ], [ 8, 2 ], [ 10, 2 ], [ 12, 4 ], [ 12, 4 ], [ 16, 4 ], [ 16, 4 ],
		[ 20, 4 ], [ 24, 4 ], [ 28, 4 ], [ $im->{code_offset}, 4 ], [ $im->{link_offset} + 4 * int(rand 2 * $im->{m}), 4 ], [ 8 + 4 * int(rand 3 * $im->{m}), 4 ],
		[ 0, $im->{slot_size} ]);
	my $at = $im->offset($id) + $field->[0];
	if ($field->[1] == 4 && rand() < 0.6)
	{
		my $to = odd_id($im, $nodes);
		$im->put_at($at, $to);
		return sprintf 'slot %d at %d: id %d', $id, $field->[0], unpack 'L', $to;
	}
	return "slot $id: " . change_bytes($im, $at, $field->[1]);
}

# The same field of many slots
sub damage_slots
{
	my ($im, $nodes) = @_;
	my $offset = pick(0, 1, 2, 12, 16, 20, 24, $im->{code_offset}, $im->{link_offset}, $im->{link_offset} + 4);
	my $share = pick(0.1, 0.5, 1);
	my $same = pick(undef, odd_number(4), odd_id($im, $nodes));
	my $bytes = $offset < 2 ? 1 : $offset == 2 ? 2 : 4;
	foreach my $id (map { @{ $_ // [] } } @{ $im->{by_state} }[ 1 .. 6 ])
	{
		$im->put_at($im->offset($id) + $offset, substr $same // odd_id($im, $nodes), 0, $bytes) if rand() < $share;
	}
	return sprintf 'share %s of all slots, at %d: %s', $share, $offset, defined $same ? unpack('H*', $same) : 'ids';
}

# States of slots, exchanged
sub damage_states
{
	my ($im) = @_;
	my @from = map { some_node($im) } 1 .. 1 + rand 20;
	$im->put($_, 0, 'C', int rand 8) foreach @from;
	return "states of slots @from";
}

sub damage_meta { my ($im) = @_; my $at = 24 + 2 * int rand 36; return 'metapage: ' . change_bytes($im, $at, pick(2, 2, 4)); }

sub damage_entry
{
	my ($im, $nodes) = @_;
	my $to = odd_id($im, $nodes);
	$im->put_at(64, $to);
	$im->put_at(62, odd_number(2)) if rand() < 0.5;
	return 'entry point ' . unpack 'L', $to;
}

sub random_block { my ($im) = @_; return int rand(length($im->{bytes}) / $BLOCK); }

sub damage_header { my ($im) = @_; return change_bytes($im, $BLOCK * random_block($im) + pick(2 * int(rand 12), 8184, 8186, 8188), pick(2, 4)); }

sub damage_anywhere { my ($im) = @_; return change_bytes($im, int rand length $im->{bytes}, pick(1, 1, 2, 4, 16, 500)); }

sub damage_page
{
	my ($im) = @_;
	my ($block, $other) = (random_block($im), random_block($im));
	my ($page, $old) = map { substr $im->{bytes}, $BLOCK * $_, $BLOCK } $block, $other;
	return pick(
		sub { $im->put_at($BLOCK * $block, "\0" x $BLOCK); "block $block zeroed" },
		sub { $im->put_at($BLOCK * $block, "\xFF" x $BLOCK); "block $block all ones" },
		sub { $im->put_at($BLOCK * $block + 24, join '', map { chr rand 256 } 25 .. 8184); "block $block noise" },
		sub { $im->put_at($BLOCK * $other, $page); "block $other overwritten by block $block" },
		sub { $im->put_at($BLOCK * $other, $page); $im->put_at($BLOCK * $block, $old); "blocks $block and $other exchanged" },
		sub { my $half = pick(512, 4096); $im->put_at($BLOCK * $block + $half, "\0" x ($BLOCK - $half)); "block $block torn" })->();
}

sub damage_file
{
	my ($im) = @_;
	my $blocks = length($im->{bytes}) / $BLOCK;
	return pick(
		sub { my $n = int rand $blocks; substr($im->{bytes}, $BLOCK * $n) = ''; "cut off at block $n" },
		sub { my $n = int rand length $im->{bytes}; substr($im->{bytes}, $n) = ''; "cut off at byte $n" },
		sub { my $n = 1 + int rand 8; $im->{bytes} .= "\0" x ($BLOCK * $n); "$n zeroed blocks more" },
		sub { my $n = 1 + int rand 3; $im->{bytes} .= substr($im->{bytes}, $BLOCK * int(rand $blocks), $BLOCK) foreach 1 .. $n; "$n blocks repeated at the end" })->();
}

sub damage
{
	my ($im, $nodes) = @_;
	my @ways = ((\&damage_slot) x 8, (\&damage_slots) x 2, \&damage_states, (\&damage_meta) x 2, \&damage_entry,
		(\&damage_header) x 2, (\&damage_anywhere) x 2, (\&damage_page) x 2);
	my @done = map { pick(@ways)->($im, $nodes) } 1 .. pick(1, 1, 1, 2, 3, 10);

	# at the end, as the others take all blocks to be there
	push @done, damage_file($im) if rand() < 0.05;
	return join '; ', @done;
}

# The free space map is not logged and may say anything
sub damage_free_space_map
{
	my ($file) = @_;
	my $map = -e $file ? slurp_file($file) : return;
	substr($map, 24 + rand($_ - 24 - 50) , 50) = join '', map { chr rand 256 } 1 .. 50 foreach length $map;
	write_file($file, $map);
}

sub write_file
{
	my ($file, $bytes) = @_;
	open my $out, '>:raw', $file or die "$file: $!";
	print $out $bytes or die $!;
	close $out or die $!;
}

# ---- using it

my $node = new_node('fuzz_pages', "log_min_messages = panic\nlog_min_error_statement = panic\nlog_statement = none\nmax_locks_per_transaction = 1000", extra => [ no_checksums() ]);
$node->start;
set_up($node);
foreach (@shapes)
{
	my ($name, $dims, undef, undef, $rows, undef, $vector, $columns, $values) = @$_;
	$columns = $columns ? ", $columns" : '';
	$values = $values ? ", $values" : '';
	$node->safe_psql('postgres', "CREATE TABLE data_$name (id int, v vector($dims)$columns); INSERT INTO data_$name SELECT i, $vector$values FROM generate_series(1, $rows) i");
}

# Tables and indexes of a batch, with slots that are not all as a build leaves them
sub make_batch
{
	my ($n) = @_;
	my $sql = "SET client_min_messages = error;\n";
	foreach my $i (0 .. $n - 1)
	{
		my ($name, undef, $ops, undef, $rows, $options, undef, $columns) = @{ $shapes[ $i % @shapes ] };
		my $filters = join '', map { /^(\w+)/ ? ", $1" : () } split /, /, $columns // '';
		$sql .= "DROP TABLE IF EXISTS t$i; CREATE TABLE t$i (LIKE data_$name); INSERT INTO t$i SELECT * FROM data_$name;\n"
		  . "CREATE INDEX t${i}i ON t$i USING hnsw (v $ops$filters) WITH ($options); DELETE FROM t$i WHERE id > $rows / 2 AND id % 2 = 0;\n";
	}
	$node->safe_psql('postgres', $sql . join '', map { "VACUUM t$_;\n" } 0 .. $n - 1);
	return map { split /=/ } split /\n/,
	  $node->safe_psql('postgres', "SELECT relname || '=' || pg_relation_filepath(oid) FROM pg_class WHERE relname ~ '^t\\d+i\$'");
}

# What is done with a damaged index; each row that comes out begins with a word
# that says what it is
sub script_of
{
	my ($i) = @_;
	my ($name, undef, undef, $op, undef, undef, undef, undef, undef, $filter) = @{ $shapes[ $i % @shapes ] };
	my $query = "v $op (SELECT v FROM data_$name WHERE id = 7)";
	my $sums = 'count(*), count(DISTINCT id), coalesce(sum(id), 0)';
	my @all = map { "SELECT 'index', $sums FROM (SELECT id FROM t$i WHERE $_ ORDER BY $query) s" } 'true', $filter // ();
	my $check = "SELECT 'check', count(*) FILTER (WHERE severity = 'error') FROM vectorx_index_check('t${i}i')";
	my @rows = map { "SELECT 'table', $sums FROM t$i WHERE $_" } 'true', $filter // ();

	return join ";\n", "\\warn case $i\n\\echo case $i\nSELECT 'size', pg_relation_size('t$i')",
	  @rows, $check, @all, "SELECT 'size', pg_relation_size('t$i')",
	  "SELECT count(*) FROM (SELECT id FROM t$i ORDER BY $query LIMIT 3) s",
	  "SET hnsw.ef_search = 500", "SELECT count(*) FROM (SELECT id FROM t$i WHERE id % 3 = 0 ORDER BY v $op (SELECT v FROM data_$name WHERE id = 10) LIMIT 20) s", 'RESET hnsw.ef_search',
	  "SELECT vectorx_recall('t${i}i', 5, 5)", "SELECT vectorx_index_info('t${i}i')", "SELECT count(*) FROM vectorx_index_check('t${i}i', false)",
	  "INSERT INTO t$i SELECT 2000 + id, v FROM data_$name WHERE id < 5", "INSERT INTO t$i SELECT 3000 + id, v + v FROM data_$name WHERE id < 5",
	  "INSERT INTO t$i SELECT 4000 + id, v + v FROM data_$name WHERE id BETWEEN 10 AND 12", "DELETE FROM t$i WHERE id % 4 = 0", "VACUUM (INDEX_CLEANUP on) t$i",
	  "INSERT INTO t$i SELECT 5000 + id, v FROM data_$name WHERE id < 20", "VACUUM (INDEX_CLEANUP on) t$i",
	  @rows, $check, @all, "\\warn reindex\n\\echo reindex\nREINDEX INDEX t${i}i", @rows, $check, @all, '';
}

# What psql wrote, by case and by whether the index was rebuilt by then
sub by_case
{
	my ($text) = @_;
	my (%lines, $at);
	foreach (split /\n/, $text)
	{
		if (/^case (\d+)$/) { $at = "$1"; }
		elsif (/^reindex$/) { $at .= ' rebuilt'; }
		elsif (/^end$/) { undef $at; }
		elsif (/\|\d|(ERROR|FATAL|PANIC): |connection/) { push @{ $lines{ $at // '' } }, $_; }
	}
	return \%lines;
}

# Where a check that found no error was followed by a scan that gave other rows
sub incomplete
{
	my (@lines) = @_;
	my ($errors, @tables, @bad);
	foreach (@lines)
	{
		# those of a filter come second, in both
		if (/^table\|(.*)/) { @tables = () if defined $errors; push @tables, $1; undef $errors; }
		elsif (/^check\|(\d+)/) { $errors = $1; }
		elsif (/^index\|(.*)/ && defined $errors && @tables)
		{
			my $table = shift @tables;
			push @bad, "no error is found, but the index gives $1 of the table's rows $table" if $errors == 0 && $1 ne $table;
		}
	}
	return @bad;
}

my (%raised, @bad);
my ($done, $sound) = (0, 0);
my $begin = time();
while ($done < $cases)
{
	my $n = $cases - $done < $per_batch ? $cases - $done : $per_batch;
	my %path = make_batch($n);
	my @what;

	if ($done == 0)
	{
		my ($i) = grep { $shapes[$_][9] } 0 .. $#shapes;
		like($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off; EXPLAIN (COSTS OFF) SELECT id FROM t$i WHERE $shapes[$i][9] ORDER BY v <-> (SELECT v FROM data_filtered WHERE id = 7)"),
			qr/Index Cond: .*&&/, 'the filter goes to the index');
	}
	$node->stop;
	foreach my $i (0 .. $n - 1)
	{
		my $file = $node->data_dir . '/' . $path{"t${i}i"};
		my $im = VxImage->new(slurp_file($file));
		my $nodes = $im->{slots} * int((length($im->{bytes}) / $BLOCK - 1) / (1 + $im->{vector_pages}));
		push @what, "case " . ($done + $i) . ", $shapes[ $i % @shapes ][0]: " . damage($im, $nodes);
		write_file($file, $im->{bytes});
		damage_free_space_map("${file}_fsm") if rand() < 0.2;
	}
	$node->start;

	my ($out, $err) = ('', '');
	my $status = $node->psql('postgres', "\\set VERBOSITY verbose\nSET statement_timeout = '${timeout}s';\nSET enable_seqscan = off;\nSET enable_sort = off;\nSET client_min_messages = error;\n"
		. join('', map { script_of($_) } 0 .. $n - 1) . "\\echo end\n", stdout => \$out, stderr => \$err, on_error_stop => 0);
	my ($rows, $errors) = (by_case($out), by_case($err));
	foreach my $i (0 .. $n - 1)
	{
		my @raised = map { s/^.*ERROR:  //r } @{ $errors->{$i} // [] };
		$raised{ substr $_, 0, 5 }++ foreach @raised;
		# another version, or other dimensions, are what a damaged metapage may say
		my $allowed = $what[$i] =~ /metapage|block 0\b|block 0,|anywhere/ ? qr/^(XX00[12]|0A000|22000):/ : qr/^XX00[12]:/;
		my @lines = @{ $rows->{$i} // [] };
		my @sizes = map { /^size\|(\d+)/ ? $1 : () } @lines;
		my @rebuilt = @{ $rows->{"$i rebuilt"} // [] };
		my @wrong = ((grep { !/$allowed/ } @raised), incomplete(@lines, @rebuilt));

		$sound++ if ((grep { /^check/ } @lines)[0] // '') eq 'check|0';
		push @wrong, 'the table has grown' if @sizes == 2 && $sizes[0] != $sizes[1];
		push @wrong, 'not mended by REINDEX: ' . join ' ', @{ $errors->{"$i rebuilt"} // [] }, @rebuilt
		  unless (grep { $_ eq 'check|0' } @rebuilt) && (grep { /^index/ } @rebuilt) == (grep { /^table/ } @rebuilt) && !$errors->{"$i rebuilt"};
		push @bad, join "\n    ", $what[$i], @wrong if @wrong;
	}
	$done += $n;
	if ($status != 0 || $out !~ /^end$/m)
	{
		push @bad, 'the session ended early: ' . substr $err, -500;
		last;
	}
}
is(join("\n", @bad[ 0 .. ($#bad < 19 ? $#bad : 19) ]), '', "$done damaged indexes: nothing worse than an error of damage");
note(sprintf '%d failures; of %d damaged indexes %d had no error; raised: %s; %.1f s', scalar @bad, $done, $sound, join(', ', map { "$_ $raised{$_}" } sort keys %raised), time() - $begin);
is(join("\n", grep { /PANIC:|TRAP:|terminated by signal|leak: |resource was not closed/ } split /\n/, slurp_file($node->logfile)), '', 'nothing bad in the log');
$node->stop;
done_testing();
