//! The table of commands: names, options, and what `-h` and `help` say of each.

use super::given::Given;
use super::{
    bytes, clock, copy, du, edit, files, find, grep, head, ls, mail, man, more, names, procs, sort, svc,
    system, test, text, trace,
};
use portolan::Result;

/// A command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// Its options; see [`Given::read`].
    pub(super) letters: &'static str,
    /// Its usage line without the name.
    pub(super) usage: &'static str,
    /// What it does in a line, then its options.
    pub(super) help: &'static str,
    pub(super) run: fn(&mut Given) -> Result<()>,
}

/// Makes the table: `"name", "letters", "usage", "help" => function;`.
macro_rules! commands {
    ($($name:literal, $letters:literal, $usage:literal, $help:literal => $run:path;)*) => {
        &[$(Command { name: $name, letters: $letters, usage: $usage, help: $help, run: $run },)*]
    };
}

#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = commands![
"[", "!", "EXPRESSION ]", "test, with a bracket at the end" => test::test;
"basename", "as:", "NAME [SUFFIX] | -a [-s SUFFIX] NAME ...", "the last element of a path
  -a         of every operand
  -s SUFFIX  without this ending; implies -a" => system::basename;
"bind", "abcr", "[-abcr] NEW OLD", "make NEW appear at OLD
  -a, -b  behind, before what is at OLD, instead of in its place
  -c      files may be created there
  -r      nothing may be changed there" => names::bind;
"cat", "nbEsTvAu", "[-AbEnsTv] [FILE ...]", "write files to the standard output
  -n, -b  number all lines, those that are not empty
  -s      of several empty lines show one
  -E, -T  show ends of lines as $, tabs as ^I
  -v, -A  show control characters; -A is -vET" => text::cat;
"chmod", "!", "[-Rv] MODE FILE ...", "change who may do what with files
  MODE  octal, or [ugoa][+-=][rwxX] with commas between
  -R    all that a directory holds too
  -v    say what was done" => files::chmod;
"clear", "", "", "clear the terminal" => system::clear;
"cmp", "sln:", "[-ls] [-n BYTES] FILE [FILE]", "compare two files byte by byte
  -l  every difference: its place and both bytes, octal
  -s  say nothing, the status is the answer
  -n  no more than so many bytes" => bytes::cmp;
"cp", "rRafpnvt:", "[-afnprRv] FROM ... TO", "copy files
  -r, -R  directories with all they hold
  -p      keep mode and time; -a is -rp
  -n      leave what is there
  -f      remove what can't be written to
  -t DIR  copy into DIR
  -v      say what is copied" => copy::cp;
"date", "ud:r:I;", "[-u] [-I] [-d TIME] [-r FILE] [+FORMAT]", "the time, in UTC
  -d TIME  that time: YYYY-MM-DD HH:MM:SS or @SECONDS
  -r FILE  when the file was changed
  -I, -Iseconds  as in ISO 8601
  +FORMAT  as strftime(3) has it: +%F, +%T, +%s" => clock::date;
"dirname", "", "NAME ...", "a path without its last element" => system::dirname;
"du", "asbckmhd:", "[-abchkms] [-d N] [FILE ...]", "how much trees hold, in KiB
  -a, -s  every file, only the sums of the operands
  -d N    no deeper than N
  -b      bytes, not whole pages
  -k, -m  in KiB, MiB; -h beside a file or a flag: for people
  -c      with the total" => du::du;
"echo", "!", "[-n] [WORD ...]", "write words
  -n  without a newline behind them" => text::echo;
"edit", "", "FILE", "edit a text on the whole screen
  ^S saves, ^Q leaves, any other unknown key lists the keys" => edit::edit;
"false", "!", "", "fail" => system::no;
"find", "!", "[PATH ...] [EXPRESSION]", "walk trees and look for files
  -name, -iname, -path PATTERN   -type f|d   -size [+-]N[ckMG]   -empty
  -newer FILE   -mmin, -mtime [+-]N   -perm MODE   -maxdepth, -mindepth N   -depth
  ! TEST   TEST -o TEST   '(' TEST ')'
  -print  -print0  -delete  -prune  -quit  -exec CMD {} ';'" => find::find;
"free", "bkmh", "[-bkm]", "how much memory is free, in KiB
  -b, -k, -m  in bytes, KiB, MiB" => system::free;
"grep", "EFGivclLnqsowxrRhHe:f:m:A:B:C:", "[-cEFGHilLnoqrsvwx] [-ABC N] [-m N] PATTERN [FILE ...]", "print lines that match a pattern
  -E, -F, -G    the pattern is extended, plain text, basic (the usual)
  -e P, -f FILE the pattern P; patterns from a file, one a line
  -i -v -w -x   in either case; lines without a match; whole words; whole lines
  -c -l -L -q   count; names of files with, without a match; say nothing
  -n -H -h -o   with line numbers; with, without file names; only what matched
  -r            directories with all they hold
  -A -B -C N    N lines behind, before, around each
  -m N          no more than N lines of a file
  -s            no word about files that can't be read" => grep::grep;
"head", "n:c:qv#", "[-qv] [-n N | -c N | -N] [FILE ...]", "the first ten lines of files
  -n N, -N  N lines; -n -N: all but the last N
  -c N      N bytes; -c -N: all but the last N
  -q, -v    never, always with the file's name" => head::head;
"help", "", "", "list the commands" => man::help;
"kill", "!", "[-NOTE] PID|NAME ...", "end processes, or send them a note
  -NOTE  the note, such as -interrupt" => procs::kill;
"ls", "1aACdFlpRrSth", "[-1aCdFlpRrSt] [FILE ...]", "list directories
  -l      mode, owner, group, size, time; -h beside another flag: sizes for people
  -a      names that begin with a dot too
  -d      directories as files
  -F, -p  mark directories with /, and with -F programs with *
  -R      all that directories hold
  -t, -S  newest first, largest first; -r the other way round
  -1, -C  one name a line, in columns" => ls::ls;
"man", "", "NAME ...", "show the manual of a command" => man::man;
"mkdir", "pm:v", "[-pv] [-m MODE] DIR ...", "make directories
  -p       those above too; one that is there is no error
  -m MODE  with this mode
  -v       say what is made" => files::mkdir;
"more", "", "[FILE ...]", "show text by the screen
  space, b   a screen on, back; return, k a line; g, G to the ends
  /TEXT, n   find, again; q leave" => more::more;
"mount", "abcr", "[-abcr] SERVER OLD [TREE]", "put the root of a server's TREE at OLD
  -a, -b  behind, before what is at OLD, instead of in its place
  -c      files may be created there" => names::mount;
"mv", "fnvt:", "[-fnv] FROM ... TO", "rename or move files
  -n      leave what is there
  -t DIR  move into DIR
  -v      say what is moved" => copy::mv;
"ns", "", "[PID]", "print the commands that rebuild a namespace" => names::ns;
"poweroff", "", "", "stop the machine" => system::poweroff;
"ps", "a", "[-a]", "list processes, and whom they wait for
  -a  with their arguments" => procs::ps;
"pwd", "LP", "", "the working directory" => system::pwd;
"recv", "as+", "[-as] [PID [WORD ...]]", "print the next message to PID, or to this process, and answer it
  -a  go on
  -s  say from whom" => mail::recv;
"rm", "rRfdv", "[-dfrRv] FILE ...", "remove files
  -r, -R  directories with all they hold
  -d      empty directories
  -f      what is not there is no error
  -v      say what is removed" => files::rm;
"send", "r+", "[-r] PID [WORD ...]", "send a message to a process
  -r  print its reply" => mail::send;
"seq", "s:w#", "[-w] [-s SEPARATOR] [FIRST [STEP]] LAST", "count
  -s  between the numbers, instead of a newline
  -w  all as wide as the widest" => system::seq;
"sleep", "", "TIME ...", "wait: seconds, or a number with s, m, h or d" => clock::sleep;
"sort", "nghfbrdusco:t:k:C", "[-bcdfghnrsu] [-k KEY] [-o FILE] [-t C] [FILE ...]", "sort lines
  -n, -g, -h  by number; -h beside a file or a flag: with K, M, G behind it
  -f -b -d -r upper case as lower; without leading blanks; letters, digits and blanks only; backwards
  -k F[.C][LETTERS][,F[.C]]  by the fields, characters named
  -t C        C stands between fields
  -u, -s      of equal lines the first; equal lines stay in order
  -c, -C      only check the order; say nothing
  -o FILE     write there, which may be an input" => sort::sort;
"sum", "rsm", "[-mrs] [FILE ...]", "a checksum and the size in KiB
  -m  read the file as memory, by attaching it
  -r  BSD's (the usual)
  -s  System V's, with blocks of 512 bytes" => bytes::sum;
"svc", "", "[list] | start|stop|restart NAME", "show the services that init supervises, or steer one" => svc::svc;
"swap", "ds:", "[[-s SIZE] FILE | -d]", "let programs' memory go to a file while memory is short; show where it goes
  -s SIZE  make the file, or make it as large as that: a number with K, M or G
  -d       to no file any more; what is there comes back" => system::swap;
"sync", "", "[FILE ...]", "have files made safe by their servers" => system::sync;
"tail", "n:c:fqv#", "[-fqv] [-n N | -c N | -N] [FILE ...]", "the last ten lines of files
  -n N, -N  N lines; -n +N: from line N on
  -c N      N bytes; -c +N: from byte N on
  -f        go on with what is added to the last file
  -q, -v    never, always with the file's name" => head::tail;
"tee", "ai", "[-a] [FILE ...]", "copy the input to the output and to files
  -a  add to the files" => text::tee;
"test", "!", "EXPRESSION", "ask about files, strings and numbers
  -e -f -d -s -r -w -x FILE   is there, no directory, a directory, not empty, some may read, write, run
  -n -z STRING   A = B   A != B   N -eq -ne -lt -le -gt -ge N   A -nt -ot B   -t FD
  ! E   E -a E   E -o E   '(' E ')'" => test::test;
"time", "+", "CMD [ARG ...]", "run a command and say how long it took" => clock::time;
"touch", "cd:r:am", "[-acm] [-d TIME] [-r FILE] FILE ...", "set when files were changed; make those that are not there
  -c       make none
  -d TIME  that time: YYYY-MM-DD HH:MM:SS or @SECONDS
  -r FILE  the time of that file" => files::touch;
"trace", "c+", "[-c] CMD [ARG ...]", "print the 9P messages that CMD causes
  -c  count them" => trace::trace;
"true", "!", "", "succeed" => system::yes;
"uniq", "cduif:s:w:", "[-cdiu] [-f N] [-s N] [-w N] [IN [OUT]]", "of equal lines that follow each other, one
  -c      with how many there were
  -d, -u  only of lines that were repeated, that were not
  -i      in either case
  -f -s -w N  without the first N fields, N bytes; no more than N bytes" => text::uniq;
"unmount", "", "[NEW] OLD", "undo a bind or mount" => names::unmount;
"uptime", "sp", "[-s]", "how long the machine has been up
  -s  since when" => clock::uptime;
"wc", "lwmcL", "[-clLmw] [FILE ...]", "count lines, words and bytes
  -l -w -c -m  lines, words, bytes, characters
  -L           the longest line's width" => text::wc;
"which", "a", "[-a] NAME ...", "where a program is
  -a  every place" => system::which;
"xd", "cvs:n:", "[-cv] [-n N] [-s N] [FILE ...]", "show bytes in hexadecimal
  -c      as characters
  -n, -s  N bytes; behind the first N
  -v      rows that repeat too" => bytes::xd;
];
