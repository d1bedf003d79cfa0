use clap::Parser;

use super::*;
use crate::listing::tests::{NOW, messages as queued, text};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    queue: Queue,
}

fn parse(line: &str) -> Queue {
    let words = std::iter::once("queue").chain(line.split(' ').filter(|word| !word.is_empty()));
    Line::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).queue
}

#[test]
fn list_is_what_is_meant_without_a_word() {
    for line in ["", "--held --json", "0BCDFGHJKLM"] {
        assert!(parse(line).command.is_none(), "{line}");
    }
    let list = parse("--from <> --older 4h --domain example.org").list.which.filter();
    assert_eq!(
        list,
        Filter {
            from: Some("<>".to_owned()),
            older: Some(14_400),
            domain: Some("example.org".to_owned()),
            ..Filter::default()
        }
    );
    assert!(matches!(parse("list --held").command, Some(Command::List(_))));
    assert!(matches!(parse("show 0BCDFGHJKLM").command, Some(Command::Show(_))));
}

#[test]
fn a_change_of_everything_is_said() {
    let refused = |line: &str| parse(line).command.unwrap().refuse_everything();
    let redirect = parse("redirect --into bob@x.test --to alice@").command.unwrap();
    assert_eq!(redirect.refuse_everything(), Ok(()));
    assert!(Line::try_parse_from(["queue", "redirect", "--all", "--into", "nobody"]).is_err());
    for line in [
        "bounce",
        "redirect --into bob@x.test",
        "delete",
        "retry",
        "hold --dry-run",
        "release --json",
        "delete --all --held",
    ] {
        assert_eq!(refused(line).unwrap_err().exit, Exit::Usage, "{line}");
    }
    for line in ["delete --all", "retry --held", "hold 0BCDFGHJKLM", "release --from x"] {
        assert_eq!(refused(line), Ok(()), "{line}");
    }
}

#[test]
fn an_id_is_checked_before_anybody_is_asked() {
    assert!(Line::try_parse_from(["queue", "delete", "../x"]).is_err());
    assert!(Line::try_parse_from(["queue", "delete", "--older", "soon"]).is_err());
}

/// One that waits, one under way, a held bounce, and one that is held for a reason.
#[test]
fn entries_and_counts() {
    let shown = text(|out| queued().iter().try_for_each(|message| entry(message, NOW, out)));
    insta::assert_snapshot!("list", shown);
    let counts = [(0, 0, 0), (1, 0, 0), (1234, 5, 2)].map(|(messages, held, damaged)| {
        let count = control::Count { messages, held, damaged };
        text(|out| {
            Count { json: false }.write(count, out)?;
            Count { json: true }.write(count, out)
        })
    });
    insta::assert_snapshot!("count", counts.concat());
}
