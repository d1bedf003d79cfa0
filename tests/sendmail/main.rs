//! The cases of the tables, asked of Sendmail 8.17.1 too, as Debian packages it.
//!
//! Each case of `crates/routing/tests`, `crates/policy/tests/cases` and `crates/tables/tests/cases/members.txt` is one
//! question to two programs with the same tables on disk: `-bv` (who gets it, also by a list or a
//! `.forward`), `-bt` with `3,0` (the triple), `-bs` (the reply to RCPT), for names `/try`, and for the policy
//! `-bt` with `check_rcpt` and what belongs to it. Where our commands do not know what a case says (a DNS, HELO, an owner
//! of a list), our answer is that of the case, which the test of its crate keeps true. Where the answers
//! differ, `differences.txt` has both of them and the reason, and `docs/sendmail-differences.md` has
//! the reason; every other difference fails.
//!
//! `tests/sendmail/fetch` gets the real one; without it, or where this user may not make namespaces,
//! the test is skipped with a line that says so.

mod answers;
mod cases;
mod differences;
mod members;
mod names;
mod ours;
mod policy;
mod real;
mod routes;

use answers::Answer;
use differences::Differences;

#[test]
fn answers_are_those_of_sendmail() {
    let Some(real) = real::Sendmail::find() else { return };
    let mut answers = Vec::new();
    answers.extend(routes::ask(&real));
    answers.extend(names::ask(&real));
    answers.extend(policy::ask(&real));
    answers.extend(members::ask(&real));
    let shown: Vec<_> = answers.iter().map(Answer::to_string).collect();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("sendmail-answers.txt");
    std::fs::write(&path, shown.join("\n")).unwrap();
    let wrong = Differences::read().compare(&answers);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), answers.len(), wrong.join("\n"));
}

#[test]
fn every_difference_is_in_the_documentation() {
    Differences::read().check_documentation();
}
