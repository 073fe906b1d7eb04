//! The parser and the printer: what parses to what, what is wrong and where, and properties over arbitrary text.

use proptest::prelude::*;
use rc::ast::Cmd;
use rc::parse::{Fail, Text};
use rc::print;

/// All commands of a text.
fn parse(text: &[u8]) -> Result<Vec<Cmd>, Fail> {
    let mut source = Some(text.to_vec());
    let mut parser = Text::default();
    let mut list = Vec::new();
    while let Some(cmd) = parser.next(&mut source)? {
        list.push(cmd);
    }
    Ok(list)
}

/// The first line's command as text again.
fn reprint(text: &str) -> String {
    let list = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    String::from_utf8(list.first().map(print::command).unwrap()).unwrap()
}

fn wrong(text: &str) -> (usize, String, String) {
    match parse(text.as_bytes()) {
        Err(Fail::Syntax { line, near, why }) => (line, String::from_utf8(near).unwrap(), why),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn carets_are_inserted_where_the_manual_says() {
    for (text, same) in [
        ("cc -$flags $stem.c", "cc -^$flags $stem^.c"),
        ("echo a'b'c", "echo a^'b'^c"),
        ("echo $x$y", "echo $x^$y"),
        ("echo a`{b}", "echo a^`{b}"),
        ("echo $x(1)b", "echo $x(1) b"),
        ("echo `{a}b (a)b", "echo `{a} b (a) b"),
        ("echo a ^ b", "echo a^b"),
        ("echo $\"x^y $#x^y", "echo $\"x^y $#x^y"),
    ] {
        assert_eq!(reprint(text), same);
    }
}

#[test]
fn operators_bind_as_in_the_manual() {
    let list = |text: &str| parse(text.as_bytes()).unwrap();
    assert!(matches!(&list("! a | b")[0], Cmd::Not(c) if matches!(**c, Cmd::Pipe { .. })));
    assert!(matches!(&list("! a && b")[0], Cmd::Chain { first, .. } if matches!(**first, Cmd::Not(_))));
    assert!(matches!(&list("x=1 a | b")[0], Cmd::Prefix { body, .. } if matches!(**body, Cmd::Pipe { .. })));
    assert!(matches!(&list("x=1 a && b")[0], Cmd::Chain { .. }));
    assert!(
        matches!(&list("if(a) b && c | d")[0], Cmd::If { body, .. } if matches!(**body, Cmd::Chain { .. }))
    );
    assert!(matches!(&list("a && b || c")[0], Cmd::Chain { rest, .. } if rest.len() == 2));
    assert!(matches!(&list("a | b & c")[0], Cmd::Seq(l) if matches!(&l[0], Cmd::Async(_))));
}

#[test]
fn errors_name_line_and_place() {
    assert_eq!(wrong("echo a\necho )"), (2, ")".into(), "syntax error".into()));
    assert_eq!(wrong("if(a").1, "end of file");
    assert_eq!(wrong("cat <<x\nabc\n\necho (").0, 1, "the here document begins in line 1");
    assert_eq!(wrong("cat <<x\nabc\nx\necho (").0, 4, "its lines count");
    assert_eq!(wrong("echo 'a\nb").1, "a");
    assert_eq!(wrong("if not a").1, "if not");
    assert_eq!(wrong("{ if(a) b }; if not c").1, "if not");
    assert!(parse(b"if(a) b\n\nif not c").is_ok());
    assert!(parse(b"if(a) b; if not if(c) d; if not e").is_ok());
}

#[test]
fn bourne_habits_are_answered_with_the_rc_form() {
    for (text, form) in [
        ("ls 2>&1", ">[2=1]"),
        ("ls &>f", ">file >[2=1]"),
        ("for x in a b; do echo $x; done", "for(x in a b c)"),
        ("while true; do x; done", "while(condition)"),
        ("if [ a ]; then b; fi", "if(condition)"),
        ("if(a) {b} else {c}", "if not"),
        ("f() { echo; }", "fn name { … }"),
        ("echo `date`", "`{command}"),
        ("echo ${x}y", "$name^text"),
        ("echo $?", "$status"),
        ("echo $@", "$*"),
        ("echo $!", "$apid"),
        ("x=", "name=()"),
        ("cat <<<a", "echo string | command"),
    ] {
        let (_, _, why) = wrong(text);
        assert!(why.contains(form), "{text}: {why}");
    }
}

#[test]
fn nesting_is_bounded_by_an_error() {
    for open in ["{", "(", "@ ", "! ", "if(a) ", "echo (", "echo `{", "echo $", "a && {", "<{"] {
        let text = open.repeat(100_000);
        assert!(parse(text.as_bytes()).is_err(), "{open}");
    }
    assert!(parse("a | ".repeat(50_000).as_bytes()).is_err());
    let long = "a | ".repeat(50_000) + "b";
    assert!(matches!(&parse(long.as_bytes()).unwrap()[0], Cmd::Pipe { rest, .. } if rest.len() == 50_000));
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    for text in [
        "fn f {cat <<x | cat <<'y'\na $b\nx\nc\ny\necho z}",
        "if(cat <<x) echo a\nb\nx\n",
        "a <f >>g <>[3]h >[2=1] <[4=] >[5=6]",
        "a | b |[2] c |[3=4] d",
        "x=(a b) y='' >f {a; b &; c} >g",
        "switch($x){\ncase a b*\n echo '*'*\ncase *\n}",
        "for(i in (a b) `':'{c}) while(! ~ $i a) @ {b}",
        "for(i) echo if $i(1-2 3-) $$x $'a b'",
        "fn a b {c}; fn a; 'if' x; ~ $x a=b; > '[a' b",
        "a <{b} >{c} > <{d}",
        "while() {if(a); if not {}}",
        ">[2=1]~=>[2=1]#",
        "x=y ~ a b >f | c >g",
        "a | [ b",
    ] {
        let list = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        let again: Vec<u8> = list.iter().flat_map(|c| [print::command(c), b"\n".to_vec()].concat()).collect();
        assert_eq!(parse(&again).unwrap(), list, "{}", String::from_utf8_lossy(&again));
    }
}

/// Text that is likely to mean something.
fn rcish() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a", "b*", "'q q'", "''", "$x", "$#x", "$\"x", "$x(1)", "(", ")", "{", "}", ";", "\n", "&", "&&",
        "|", "||", "!", "@", "~", "^", "=", "x=", "if(", "if not", "for(", "in", "while(", "switch", "case",
        "fn", "<", ">", ">>", "<>", "<<t", "<<'t'", "\nt\n", ">[2=1]", "<[3=]", "|[2]", "`", "`{", "<{",
        ">{", "#", "\\\n", "é", " ", "$", "[",
    ]);
    prop::collection::vec((token, prop::sample::select(vec!["", " "])), 0..40)
        .prop_map(|v| v.into_iter().flat_map(|(a, b)| [a, b]).collect())
}

/// The commands of lines, one after the other.
fn flat(list: &[Cmd]) -> impl Iterator<Item = &Cmd> {
    list.iter().flat_map(|cmd| match cmd {
        Cmd::Seq(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 5000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_parse_or_fail(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text);
    }

    #[test]
    fn printing_keeps_the_tree(text in rcish()) {
        if let Ok(list) = parse(text.as_bytes()) {
            for cmd in &list {
                let printed = print::command(cmd);
                let again = parse(&printed);
                prop_assert!(again.is_ok(), "{:?} -> {:?}: {:?}", text, String::from_utf8_lossy(&printed), again);
                // A here-document puts the commands of one line on several.
                let (again, one) = (again.unwrap(), std::slice::from_ref(cmd));
                let same = flat(&again).eq(flat(one));
                prop_assert!(same, "{:?} -> {:?}", text, String::from_utf8_lossy(&printed));
            }
        }
    }
}
