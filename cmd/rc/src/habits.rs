//! Bourne-shell habits and the rc form of each.
//!
//! A newcomer types what another shell taught. Where that is a syntax error or an unknown command here, the answer
//! names the rc form. [`command`] knows commands that do not exist, [`after_dollar`] variables that have another
//! name; the parser calls on the other sentences directly.

/// `2>&1` and `>&2`.
pub(crate) const DUP: &str = "a descriptor is copied by >[2=1], not by 2>&1";
/// `&>file`.
pub(crate) const BOTH: &str = "both outputs go to a file by >file >[2=1]";
/// `<<<word`.
pub(crate) const HERE_STRING: &str = "a string is sent to a command by echo string | command";
/// `for x in …; do`.
pub(crate) const FOR: &str = "a loop is written for(x in a b c) command";
/// `while …; do`.
pub(crate) const WHILE: &str = "a loop is written while(condition) command";
/// `if …; then`.
pub(crate) const IF: &str = "a condition is written if(condition) command";
/// `} else`.
pub(crate) const ELSE: &str = "the other branch is written if not command, on a line of its own or after ;";
/// `name() { … }`.
pub(crate) const FUNCTION: &str = "a function is written fn name { … }";
/// `` `cmd` ``.
pub(crate) const BACKQUOTE: &str = "a command's output is written `{command}";
/// `${name}`.
pub(crate) const BRACES: &str = "a variable is set apart by a caret: $name^text";
/// `name=` with nothing after it.
pub(crate) const EMPTY: &str = "an empty value is written name=() or name=''";

/// The rc name of a variable that is spelled with punctuation elsewhere.
pub(crate) fn after_dollar(c: u8) -> Option<&'static str> {
    Some(match c {
        b'?' => "the last status is $status",
        b'@' => "the arguments are $*",
        b'!' => "the last background process is $apid",
        b'{' => BRACES,
        _ => return None,
    })
}

/// The rc form of a command that exists only in other shells.
pub(crate) fn command(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"export" | b"declare" | b"typeset" => "every variable is exported: name=value",
        b"unset" => "a variable is emptied by name=(), a function forgotten by fn name",
        b"local" => "a variable is local to one command: name=value command",
        b"set" => "the arguments are set by *=(a b c), flags by flag x +",
        b"source" => "a file is read by . file",
        b"alias" => "a short name is a function: fn ll { ls -l $* }",
        b"function" => FUNCTION,
        b"read" => "a line is read by name=`{read}, where a program read exists",
        b"let" | b"expr" => "rc has no arithmetic: use a program such as hoc",
        b"trap" => "a note is handled by fn sigint { … }, the end by fn sigexit { … }",
        b"return" | b"break" | b"continue" => {
            "rc has no jumps: use a condition, or exit in a subshell @{ … }"
        }
        b"then" | b"elif" | b"fi" => IF,
        b"else" => ELSE,
        b"do" | b"done" => FOR,
        b"case" | b"esac" => "a choice is written switch(word){ case pattern; commands }",
        b"[" | b"[[" => "strings are compared by ~ string pattern",
        b":" | b"true" => "a true command is ~ a a",
        b"false" => "a false command is ! ~ a a",
        _ => return None,
    })
}
