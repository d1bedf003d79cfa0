//! `-q` and `-Q`: queue runs, what they select, and quarantine.

use envelope::QueueId;
use ipc::admin::Filter;

use super::{Mode, Options, usage};
use crate::{Exit, Failure};

/// Which queued messages: any of each kind, and of all kinds that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::sendmail) struct Selection {
    pub(in crate::sendmail) ids: Vec<QueueId>,
    pub(in crate::sendmail) from: Vec<String>,
    pub(in crate::sendmail) to: Vec<String>,
    pub(in crate::sendmail) held: bool,
}

impl Selection {
    /// The same as filters, of which each knows one text of a kind; a message may fit several.
    #[must_use]
    pub(in crate::sendmail) fn filters(&self) -> Vec<Filter> {
        let base = Filter { ids: self.ids.clone(), held: self.held, ..Filter::default() };
        let mut filters = Vec::new();
        for from in each(&self.from) {
            for to in each(&self.to) {
                filters.push(Filter { from: from.clone(), to, ..base.clone() });
            }
        }
        filters
    }
}

/// The texts, or once none.
fn each(texts: &[String]) -> Vec<Option<String>> {
    if texts.is_empty() { vec![None] } else { texts.iter().cloned().map(Some).collect() }
}

impl Options {
    /// `-q`, `-q30m`, `-qp30m`, `-qf`, `-qIid`, `-qRpart`, `-qSpart`, `-qQ`.
    pub(super) fn queue_run(&mut self, text: &str) -> Result<(), Failure> {
        let mut rest = text.chars();
        let kind = rest.next();
        let value = rest.as_str();
        match kind {
            Some('I') => self.selection.ids.push(queue_id(value)?),
            // Without a text every message would fit.
            Some('R' | 'S') if value.is_empty() => {
                return Err(usage(format!("-q{text} wants a text right behind it: -q{text}TEXT")));
            }
            Some('R') => self.selection.to.push(value.to_owned()),
            Some('S') => self.selection.from.push(value.to_owned()),
            Some('Q') => self.selection.held = true,
            None | Some('f') => {}
            Some('0') if value.is_empty() => {}
            Some('p' | '0'..='9') => {
                if self.mode == Mode::Deliver {
                    self.mode = Mode::Nothing("the queue is retried by itself, without -q");
                }
                return Ok(());
            }
            Some('!' | 'G' | 'L') => {
                self.mode = Mode::NotYet(format!("-q{text} is not supported yet"));
            }
            Some(_) => return Err(usage(format!("invalid -q value '{text}'"))),
        }
        if self.mode == Mode::Deliver {
            self.mode = Mode::Retry;
        }
        Ok(())
    }

    /// `-Q` takes out of quarantine, `-Qreason` puts in; the reason is not kept yet.
    pub(super) fn quarantine(&mut self, reason: &str) -> Result<(), Failure> {
        if reason == "." {
            return Err(Failure::new(Exit::Usage, "Can not use -Q."));
        }
        self.mode = if reason.is_empty() { Mode::Release } else { Mode::Hold };
        Ok(())
    }
}

fn queue_id(text: &str) -> Result<QueueId, Failure> {
    text.parse().map_err(|error| usage(format!("-qI{text}: {error}")))
}
