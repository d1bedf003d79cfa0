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
        for finding in &findings {
            if self.json {
                json_line(&finding.to_json(), &mut out)?;
            } else {
                writeln!(out, "{finding}")?;
            }
        }
        let fatal = findings.iter().any(|finding| finding.weight == Weight::Error);
        if findings.is_empty() && !self.json {
            writeln!(out, "all is well")?;
        }
        Ok(if fatal { Exit::Config } else { Exit::Ok })
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
