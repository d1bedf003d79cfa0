//! `pennypost check`: would it start, and is all well?

mod finding;
mod ground;
mod specials;
mod tables;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use ipc::admin::Hello;

use crate::control::{Control, wait};
use crate::listing::json_line;
use crate::site::Site;
use crate::{Exit, Failure};
use finding::{Finding, Weight};

/// Check configuration, tables, permissions and the queue
///
/// Every finding names its file and line and says what to do. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
An error keeps the mail system from starting, and then the exit code is 78. A warning costs some
mail its way, a notice is good to know.

Examples:
  pennypost check
  pennypost check ./pennypost.toml     before it goes to /etc/mail
  pennypost check --json | jq -r .problem")]
pub(super) struct Check {
    /// Another configuration file
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// One JSON object for each finding
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) const fn new(file: Option<PathBuf>) -> Self {
        Self { file, json: false }
    }

    pub(super) fn run(self, site: &Site) -> Result<Exit, Failure> {
        let mut findings = Vec::new();
        match config::load(site.root(), self.file.as_deref()) {
            Ok(config) => {
                tables::check(&config, &mut findings);
                specials::check(&config, &mut findings);
                ground::check(&config, &mut findings);
            }
            Err(report) => findings.extend(of_configuration(&report)),
        }
        findings.extend(wait(queue(site)).map_or_else(|why| Some(about_queue(why)), about_damaged));
        let mut out = io::stdout().lock();
        self.write(&findings, &mut out)?;
        let fatal = findings.iter().any(|finding| finding.weight == Weight::Error);
        Ok(if fatal { Exit::Config } else { Exit::Ok })
    }

    fn write(&self, findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
        if self.json {
            return findings.iter().try_for_each(|finding| json_line(&finding.to_json(), out));
        }
        findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
        if findings.is_empty() { writeln!(out, "all is well") } else { Ok(()) }
    }
}

fn of_configuration(report: &config::Report) -> impl Iterator<Item = Finding> {
    report.findings.iter().map(|found| {
        let (line, column) = report.position(found).unzip();
        let finding = Finding::error(found.problem.as_str(), found.remedy.as_str());
        finding.in_file(report.file.display()).at(line, column).showing(report.line(found))
    })
}

/// A system that is not running is no fault.
fn about_queue(failure: Failure) -> Finding {
    if failure.exit == Exit::TempFail {
        let problem = format!("the queue: {}", failure.text);
        return Finding::warning(problem, "look at the log of qmgr");
    }
    let problem = "the queue was not looked at: the mail system does not answer";
    Finding::notice(problem, "check again once it runs")
}

fn about_damaged(damaged: u64) -> Option<Finding> {
    let problem = format!("the queue: messages that cannot be read, and are set aside: {damaged}");
    let remedy = "\"set aside\" in the log names them; install the release that wrote them again, or \
                  \"pennypost queue delete ID\"";
    (damaged > 0).then(|| Finding::warning(problem, remedy))
}

/// Asks whether the queue can be read, and how many of its messages cannot.
async fn queue(site: &Site) -> Result<u64, Failure> {
    Ok(Control::open(site, Hello::Queue).await?.count().await?.damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::text;

    /// Nothing found, one thing, and one of each kind.
    #[test]
    fn listings() {
        let aliases = "/etc/mail/aliases";
        let mut findings = vec![
            Finding::warning("no\u{7}thing", "do it").in_file(aliases).at(Some(3), None),
            Finding::error("b\u{f6}se", "change it")
                .in_file("/etc/mail/pennypost.toml")
                .at(Some(4), Some(7))
                .showing(Some("key = \"\u{1b}\"")),
            about_queue(Failure::new(Exit::Unavailable, "")),
            about_queue(Failure::new(Exit::TempFail, "it cannot be read")),
        ];
        findings.extend(about_damaged(0).into_iter().chain(about_damaged(2)));
        let shown = [0, 1, 5].map(|count| {
            let text = |json| text(|out| Check { file: None, json }.write(&findings[..count], out));
            format!("-- {count} --\n{}{}", text(false), text(true))
        });
        insta::assert_snapshot!("check", shown.concat());
    }
}
