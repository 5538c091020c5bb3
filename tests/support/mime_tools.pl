#!/usr/bin/perl
# What Perl's MIME-tools reads of letters: a reader of its own, with other habits than Python's.
#
# Input: for each letter a line with its length in octets, then the letter. Output: for each a line of JSON, with the parts in
# their order (type, file name, content in hexadecimal where it is a leaf) and the header's texts, decoded.
use strict;
use warnings;
use Encode;
use JSON::PP;
use MIME::Parser;
use MIME::Words qw(decode_mimewords);

binmode(STDIN);
my $json = JSON::PP->new->ascii->canonical;
$| = 1;

sub text {
    my ($octets) = @_;
    return undef unless defined $octets;
    $octets =~ s/\r?\n(?=[ \t])//g;
    $octets =~ s/[\r\n]+\z//;
    return join('', map { decode($_->[1] // 'UTF-8', $_->[0]) } decode_mimewords($octets));
}

sub parts {
    my ($entity, $found) = @_;
    my %part = (type => $entity->effective_type, name => $entity->head->recommended_filename);
    if ($entity->bodyhandle) {
        $part{content} = unpack('H*', $entity->bodyhandle->as_string);
    }
    push @$found, \%part;
    parts($_, $found) for $entity->parts;
}

while (my $length = <STDIN>) {
    my $letter = '';
    read(STDIN, $letter, $length) == $length or die 'input ends within a letter';
    my $parser = MIME::Parser->new;
    $parser->output_to_core(1);
    $parser->tmp_to_core(1);
    $parser->decode_headers(0);
    $parser->extract_nested_messages(1);
    my $entity = eval { $parser->parse_data($letter) };
    if (!$entity) {
        print $json->encode({ error => "$@" }), "\n";
        next;
    }
    my @found;
    parts($entity, \@found);
    my %texts = map { $_ => text($entity->head->get($_)) } qw(Subject From To Cc);
    print $json->encode({ parts => \@found, texts => \%texts }), "\n";
}
