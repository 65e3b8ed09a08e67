# The bytes of an index, and where things are in them; see format.h.  For tests that
# damage indexes.
package VxImage;
use strict;
use warnings;

sub new
{
	my ($class, $bytes) = @_;
	my $self = bless { bytes => $bytes }, $class;
	@$self{qw(m ef attr_size code_offset link_offset slot_size slots vector_pages max_level entry_level entry)} =
	  unpack 'S10 L', substr($bytes, 44, 24);
	# where each slot is, by state
	$self->{by_state} = [];
	my $blocks = length($bytes) / 8192;
	for (my $block = 1; $block < $blocks; $block += 1 + $self->{vector_pages})
	{
		foreach my $s (0 .. $self->{slots} - 1)
		{
			my $id = ($block - 1) / (1 + $self->{vector_pages}) * $self->{slots} + $s;
			push @{ $self->{by_state}[ $self->get($id, 0, 'C') ] }, $id;
		}
	}
	return $self;
}

sub block { my ($self, $id) = @_; return 1 + int($id / $self->{slots}) * (1 + $self->{vector_pages}); }
sub slot { my ($self, $id) = @_; return $id % $self->{slots}; }
sub offset { my ($self, $id) = @_; return 8192 * $self->block($id) + 24 + $self->slot($id) * $self->{slot_size}; }

# Values at an offset of a slot, by a template of unpack
sub get
{
	my ($self, $id, $at, $template) = @_;
	my @values = unpack $template, substr($self->{bytes}, $self->offset($id) + $at, 1000);
	return wantarray ? @values : $values[0];
}

sub put
{
	my ($self, $id, $at, $template, @values) = @_;
	my $new = pack $template, @values;
	substr($self->{bytes}, $self->offset($id) + $at, length $new) = $new;
}

sub put_at { my ($self, $at, $new) = @_; substr($self->{bytes}, $at, length $new) = $new; }

# Where the vector of a slot begins, of 48 dimensions
sub vector_offset
{
	my ($self, $id) = @_;
	my $at = 192 * $self->slot($id);
	return 8192 * ($self->block($id) + 1 + int($at / 8160)) + 24 + $at % 8160;
}

sub links { my ($self, $id) = @_; return grep { $_ != 0xFFFFFFFF } $self->get($id, $self->{link_offset}, 'L' . 2 * $self->{m}); }
sub put_link { my ($self, $id, $i, $to) = @_; $self->put($id, $self->{link_offset} + 4 * $i, 'L', $to); }

# A slot of a state that passes a test, not the first of them
sub find
{
	my ($self, $state, $test) = @_;
	my @found = grep { !$test || $test->($_) } @{ $self->{by_state}[$state] // [] };
	die "no slot of state $state for this damage" unless @found;
	return $found[ @found / 2 ];
}

1;
