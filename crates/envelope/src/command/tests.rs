use super::*;

fn run(name: &str, arguments: &[&str]) -> What {
    let arguments = arguments.iter().map(ToString::to_string).collect();
    What::Program(Program { name: name.to_owned(), arguments })
}

fn steps(text: &str) -> Vec<(When, What)> {
    let steps = parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    steps.into_iter().map(|Step { when, what }| (when, what)).collect()
}

/// smrsh.c: "Strip off a leading pathname on the command name".
#[test]
fn of_a_path_the_last_part_counts() {
    for text in ["vacation bob", " /usr/ucb/vacation  bob ", "exec ../../bin/vacation\tbob"] {
        assert_eq!(steps(text), [(When::Always, run("vacation", &["bob"]))], "{text}");
    }
    let program = single("a/b").unwrap().program;
    assert_eq!(program.path(Path::new("/etc/smrsh")), Path::new("/etc/smrsh/b"));
    assert_eq!(program.name(), "b");
}

#[test]
fn words_are_split_as_by_a_shell() {
    let text = r#"p 'a b' "c 'd" e\ f '' g"h"i "\"\x" 'a\b' *"#;
    let words = ["a b", "c 'd", "e f", "", "ghi", r#""\x"#, r"a\b", "*"];
    assert_eq!(steps(text), [(When::Always, run("p", &words))]);
}

#[test]
fn steps_and_builtins() {
    assert_eq!(
        steps("/bin/filter x && echo ok well || exit 75"),
        [
            (When::Always, run("filter", &["x"])),
            (When::Success, What::Echo(vec!["ok".to_owned(), "well".to_owned()])),
            (When::Failure, What::Exit(Some(75))),
        ]
    );
    assert_eq!(steps("exit"), [(When::Always, What::Exit(None))]);
}

/// smrsh.c: `SPECIALS "<|>^();&`$\r\n"`, looked for with strpbrk(3) in the text as it is.
#[test]
fn what_a_shell_would_read_is_refused() {
    for special in SPECIALS.chars().chain(['\0']) {
        for text in [format!("p {special}x"), format!("p '{special}'"), format!("p{special}")] {
            assert_eq!(parse(&text), Err(Refusal::Character(special)), "{text}");
        }
    }
    let cases = [
        ("", Refusal::Empty),
        (" \t", Refusal::Empty),
        ("exec", Refusal::Missing("exec")),
        ("p && ", Refusal::Missing("&&")),
        ("p || || q", Refusal::Missing("||")),
        ("p &&& q", Refusal::Character('&')),
        ("p 'a", Refusal::Quote),
        ("p \"a", Refusal::Quote),
        ("p \\", Refusal::Quote),
        ("exit many", Refusal::ExitCode("many".to_owned())),
        ("exit 256", Refusal::ExitCode("256".to_owned())),
        ("/bin/", Refusal::Name("/bin/".to_owned())),
        ("''", Refusal::Name(String::new())),
        ("a/..", Refusal::Name("a/..".to_owned())),
        ("exec .", Refusal::Name(".".to_owned())),
    ];
    for (text, refusal) in cases {
        assert_eq!(parse(text), Err(refusal), "{text}");
    }
    assert_eq!(parse(&format!("p {}", "x".repeat(MAX - 2))).map(|steps| steps.len()), Ok(1));
    assert_eq!(parse(&format!("p {}", "x".repeat(MAX - 1))), Err(Refusal::TooLong));
}

#[test]
fn an_alias_names_one_program() {
    for text in ["echo x", "exit 1", "p && q", "exit 0 || p", "p && exit 1", "p || exit 1 || q"] {
        assert_eq!(single(text), Err(Refusal::NotOne), "{text}");
    }
    for (text, arguments, failure) in [
        ("exec /x/p q", &["q"][..], None),
        ("p q || exit 75", &["q"], Some(75)),
        ("p || exit", &[], None),
        // procmail(1): after exec there is no shell that could say 75.
        ("exec p -t || exit 75 #anna", &["-t"], None),
        ("p 'a #b' c#d #e", &["a #b", "c#d"], None),
    ] {
        let Single { program, failure: found } = single(text).unwrap();
        assert_eq!((&program.arguments[..], found), (&*words_of(arguments), failure), "{text}");
    }
}

fn words_of(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
