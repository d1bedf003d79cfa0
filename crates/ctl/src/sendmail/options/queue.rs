//! `-q` and `-Q`: queue runs, what they select, and quarantine.

use envelope::QueueId;
use ipc::admin::{Exception, Filter, Message};

use super::{Mode, Options, Patience, usage};
use crate::{Exit, Failure};

/// Which queued messages: any of each kind, and of all kinds that are given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::sendmail) struct Selection {
    pub(in crate::sendmail) ids: Vec<QueueId>,
    pub(in crate::sendmail) from: Vec<String>,
    pub(in crate::sendmail) to: Vec<String>,
    pub(in crate::sendmail) held: bool,
    /// `!`: none of these.
    pub(in crate::sendmail) except: Exception,
    /// `-qG`: those whose recipients have a route with this text.
    pub(in crate::sendmail) route: Option<String>,
    /// `-qL`: those that were lost, of which this queue has none.
    pub(in crate::sendmail) lost: bool,
}

impl Selection {
    /// The same as filters, of which each knows one text of a kind; a message may fit several.
    #[must_use]
    pub(in crate::sendmail) fn filters(&self) -> Vec<Filter> {
        if self.lost {
            return Vec::new();
        }
        let base = Filter {
            ids: self.ids.clone(),
            held: self.held,
            except: self.except.clone(),
            ..Filter::default()
        };
        let mut filters = Vec::new();
        for from in each(&self.from) {
            for to in each(&self.to) {
                filters.push(Filter { from: from.clone(), to, ..base.clone() });
            }
        }
        filters
    }
}

impl Selection {
    /// `-qG`: there are no queue groups; what mail waits for is its route.
    #[must_use]
    pub(in crate::sendmail) fn has_route(&self, message: &Message) -> bool {
        let is_meant = |text: &str| {
            let text = text.to_lowercase();
            message.recipients.iter().any(|it| it.route.to_lowercase().contains(&text))
        };
        self.route.as_deref().is_none_or(is_meant)
    }
}

/// The texts, or once none.
fn each(texts: &[String]) -> Vec<Option<String>> {
    if texts.is_empty() { vec![None] } else { texts.iter().cloned().map(Some).collect() }
}

impl Options {
    /// `-q`, `-q30m`, `-qp30m`, `-qf`, `-qGroute`, `-qL`; and `-qIid`, `-qRpart`, `-qSpart`, `-qQ`, each of
    /// these also as `-q!R…`.
    pub(super) fn queue_run(&mut self, text: &str) -> Result<(), Failure> {
        let (negated, kind) = match text.strip_prefix('!') {
            Some(kind) => (true, kind),
            None => (false, text),
        };
        let mut rest = kind.chars();
        let letter = rest.next();
        let value = rest.as_str();
        match letter {
            Some('I' | 'R' | 'S' | 'Q') => self.select(text, negated)?,
            _ if negated => return Err(usage(format!("invalid -q value '{text}'"))),
            Some('L') => self.selection.lost = true,
            None => {}
            Some('f') => self.patience = Patience::FirstAttempt,
            Some('0') if value.is_empty() => {}
            Some('p' | '0'..='9') => {
                if self.mode == Mode::Deliver {
                    self.mode = Mode::Nothing("the queue is retried by itself, without -q");
                }
                return Ok(());
            }
            Some('G') if !value.is_empty() => self.selection.route = Some(value.to_owned()),
            Some(_) => return Err(usage(format!("invalid -q value '{text}'"))),
        }
        if self.mode == Mode::Deliver {
            self.mode = Mode::Retry;
        }
        Ok(())
    }

    /// `Itext`, `Rtext`, `Stext` or `Q`, perhaps after `!`.
    fn select(&mut self, text: &str, negated: bool) -> Result<(), Failure> {
        let Selection { ids, from, to, held, except, .. } = &mut self.selection;
        let (ids, from, to, held) = if negated {
            (&mut except.ids, &mut except.from, &mut except.to, &mut except.held)
        } else {
            (ids, from, to, held)
        };
        let mut rest = text.trim_start_matches('!').chars();
        let kind = rest.next();
        let value = rest.as_str();
        match kind {
            Some('I') => ids.push(queue_id(value)?),
            Some('Q') => *held = true,
            // Without a text every message would fit.
            _ if value.is_empty() => {
                return Err(usage(format!("-q{text} wants a text right behind it: -q{text}TEXT")));
            }
            Some('R') => to.push(value.to_owned()),
            _ => from.push(value.to_owned()),
        }
        Ok(())
    }

    /// `-Q` takes out of quarantine, `-Qreason` puts in.
    pub(super) fn quarantine(&mut self, reason: &str) -> Result<(), Failure> {
        if reason == "." {
            return Err(Failure::new(Exit::Usage, "Can not use -Q."));
        }
        if !matches!(self.mode, Mode::Deliver | Mode::Retry) {
            // Who wants to see what is held must not release it.
            return Err(usage("-Q goes with -q alone; -qQ selects what is held".to_owned()));
        }
        self.mode = if reason.is_empty() { Mode::Release } else { Mode::Hold(reason.to_owned()) };
        Ok(())
    }
}

fn queue_id(text: &str) -> Result<QueueId, Failure> {
    text.parse().map_err(|error| usage(format!("-qI{text}: {error}")))
}
