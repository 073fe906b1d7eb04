//! The syntax tree of a command: what the parser makes and the evaluator walks.
//!
//! [`Cmd`] is a command, [`Word`] an argument before its evaluation, [`Redir`] a redirection. A command that may be
//! run by another process (the branches of a pipeline, a subshell, a backquote) is counted, so that handing it over
//! copies nothing. The parser bounds how deep a tree is ([`DEPTH`]); printing and dropping one recurse no deeper.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Deepest nesting of a syntax tree.
pub const DEPTH: usize = 200;

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub enum Cmd {
    /// Nothing: between two semicolons, or after the assignments of a command that is only assignments.
    Empty,
    /// Commands one after the other: the lines of a brace or of a parenthesis.
    Seq(Vec<Cmd>),
    /// A program, function or builtin with its arguments.
    Simple {
        /// The arguments, the command's name first.
        args: Vec<Word>,
        /// The redirections, in the order written.
        redirs: Vec<Redir>,
    },
    /// `~ subject patterns`.
    Match {
        /// What is matched.
        subject: Word,
        /// Against what.
        patterns: Vec<Word>,
        /// The redirections that follow.
        redirs: Vec<Redir>,
    },
    /// `{ list }` and the redirections that follow it.
    Brace {
        /// The list.
        body: Box<Cmd>,
        /// The redirections.
        redirs: Vec<Redir>,
    },
    /// Assignments and redirections before a command.
    Prefix {
        /// In the order written.
        before: Vec<Prefix>,
        /// The command they hold for; empty: the assignments stay.
        body: Box<Cmd>,
    },
    /// `a | b | c`.
    Pipe {
        /// The first command.
        first: Arc<Cmd>,
        /// Each further one, with the descriptors that the pipe before it joins.
        rest: Vec<(Join, Arc<Cmd>)>,
    },
    /// `a && b || c`, from left to right; true is `&&`.
    Chain {
        /// The first command.
        first: Box<Cmd>,
        /// Each further one, with its operator.
        rest: Vec<(bool, Cmd)>,
    },
    /// `! cmd`.
    Not(Box<Cmd>),
    /// `@ cmd`.
    Subshell(Arc<Cmd>),
    /// `cmd &`.
    Async(Arc<Cmd>),
    /// `if(cond) body`.
    If {
        /// The condition.
        cond: Box<Cmd>,
        /// What to do when its status is null.
        body: Box<Cmd>,
    },
    /// `if not body`.
    IfNot(Box<Cmd>),
    /// `for(name in words) body`.
    For {
        /// The variable.
        name: Word,
        /// Its values; none: those of `$*`.
        words: Option<Vec<Word>>,
        /// What to do for each.
        body: Box<Cmd>,
    },
    /// `while(cond) body`.
    While {
        /// The condition.
        cond: Box<Cmd>,
        /// What to do.
        body: Box<Cmd>,
    },
    /// `switch(subject) { list }`.
    Switch {
        /// What is matched.
        subject: Word,
        /// The list with its `case` commands.
        body: Vec<Cmd>,
    },
    /// `fn names { list }`, or without a list: forget them.
    Fn {
        /// The names.
        names: Vec<Word>,
        /// The body, without its braces.
        body: Option<Arc<Cmd>>,
    },
}

/// The descriptors that a pipe joins: `|[out]`, or with both `|[into=out]`.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Join {
    /// Of the left command, usually 1.
    pub out: u32,
    /// Of the right command, usually 0.
    pub into: u32,
}

/// What may stand before a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Prefix {
    /// `name=value`.
    Assign(Word, Word),
    /// A redirection.
    Redir(Redir),
}

/// An argument.
#[derive(Debug, PartialEq, Eq)]
pub enum Word {
    /// Text. In an unquoted one `*`, `?` and `[` make a pattern.
    Text {
        /// The bytes, quotes taken off.
        text: Vec<u8>,
        /// Did it stand in quotes?
        quoted: bool,
    },
    /// `(a b c)`.
    List(Vec<Word>),
    /// `a^b`, whether the caret was written or free.
    Concat(Vec<Word>),
    /// `$name`.
    Var(Box<Word>),
    /// `$name(subscripts)`.
    Subscript(Box<Word>, Vec<Word>),
    /// `$#name`.
    Count(Box<Word>),
    /// `$"name`.
    Flat(Box<Word>),
    /// `` `{list} ``, or with separators of its own `` `sep{list} ``.
    Backquote(Option<Box<Word>>, Arc<Cmd>),
    /// `<{list}` or `>{list}`: the name of a pipe's end.
    PipeFile(Direction, Arc<Cmd>),
}

/// Which way a pipe that is used as a file goes.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Direction {
    /// `<{list}`: the command's user reads.
    Read,
    /// `>{list}`: it writes.
    Write,
}

/// How a redirection opens its file.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Mode {
    /// `<`
    Read,
    /// `>`
    Write,
    /// `>>`
    Append,
    /// `<>`
    Both,
}

/// A redirection.
#[derive(Debug, PartialEq, Eq)]
pub enum Redir {
    /// To a file.
    File {
        /// How to open it.
        mode: Mode,
        /// The descriptor that changes.
        fd: u32,
        /// The file's name.
        name: Word,
    },
    /// `<<tag`: from the lines that follow.
    Here {
        /// The descriptor that changes.
        fd: u32,
        /// The tag.
        tag: Vec<u8>,
        /// A quoted tag keeps variables from being replaced.
        quoted: bool,
        /// The lines.
        body: Arc<Vec<u8>>,
    },
    /// `>[new=old]`; the mode only decides how it is printed.
    Dup {
        /// `<`, `>` or `<>`.
        mode: Mode,
        /// The descriptor that changes.
        new: u32,
        /// The one that it becomes a copy of.
        old: u32,
    },
    /// `>[fd=]`
    Close {
        /// `<`, `>` or `<>`.
        mode: Mode,
        /// The descriptor.
        fd: u32,
    },
}

impl Cmd {
    /// May `if not` follow it?
    pub fn ends_in_if(&self) -> bool {
        match self {
            Cmd::If { .. } => true,
            Cmd::IfNot(body) => body.ends_in_if(),
            _ => false,
        }
    }
}

/// May this byte stand in an unquoted word?
pub fn word_byte(c: u8) -> bool {
    !matches!(
        c,
        b'\n'
            | b' '
            | b'\t'
            | b'#'
            | b';'
            | b'&'
            | b'|'
            | b'^'
            | b'$'
            | b'='
            | b'`'
            | b'\''
            | b'{'
            | b'}'
            | b'('
            | b')'
            | b'<'
            | b'>'
            | 0
    )
}

/// May this byte stand in the name of a variable written without quotes?
pub fn name_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'*' || c >= 0x80
}

/// A word that means something to the parser when it comes first.
pub fn keyword(text: &[u8]) -> bool {
    matches!(text, b"for" | b"in" | b"while" | b"if" | b"not" | b"switch" | b"fn" | b"~" | b"!" | b"@")
}
