//! Which messages an administrator means.

use envelope::Address;
use ipc::admin::{Exception, Filter};

use crate::record::{Millis, Queued};

/// Words of a filter: each is looked for in each recipient of a page, and mail waits meanwhile.
const MAX_WORDS: usize = 64;
/// Bytes of a word; no address is longer.
const MAX_WORD: usize = 512;

/// Is it so short that anybody may ask with it?
pub(super) fn is_short(filter: &Filter) -> bool {
    let Filter { from, to, domain, except, .. } = filter;
    let words = [from, to, domain].into_iter().flatten().chain(&except.from).chain(&except.to);
    let words: Vec<_> = words.take(MAX_WORDS + 1).collect();
    words.len() <= MAX_WORDS && words.iter().all(|word| word.len() <= MAX_WORD)
}

/// Does all that the filter says fit? `ids` is not looked at.
pub(super) fn fits(filter: &Filter, message: &Queued, now: Millis) -> bool {
    let Queued { record, recipients, .. } = message;
    let mut recipients = recipients.iter().map(|(_, recipient)| recipient);
    let age = now.saturating_sub(record.arrival) / 1000;
    (!filter.held || record.held)
        && filter.older.is_none_or(|seconds| age >= seconds)
        && filter.from.as_deref().is_none_or(|from| comes_from(message, from))
        && (filter.to.is_none() && filter.domain.is_none()
            || recipients.any(|recipient| names(filter, &recipient.address)))
        && !is_excepted(&filter.except, message)
}

/// Does the filter name this recipient, or none?
pub(super) fn names(filter: &Filter, address: &Address) -> bool {
    let is_of = |domain: &str| address.domain_key() == envelope::domain_key(domain);
    filter.to.as_deref().is_none_or(|part| contains(&address.to_string(), part))
        && filter.domain.as_deref().is_none_or(is_of)
}

fn is_excepted(except: &Exception, message: &Queued) -> bool {
    let mut recipients = message.recipients.iter().map(|(_, recipient)| &recipient.address);
    except.ids.contains(&message.id)
        || except.held && message.record.held
        || except.from.iter().any(|part| comes_from(message, part))
        // Most filters except nobody, and a message may have many recipients.
        || !except.to.is_empty()
            && recipients.any(|address| {
                let address = address.to_string();
                except.to.iter().any(|part| contains(&address, part))
            })
}

fn comes_from(message: &Queued, from: &str) -> bool {
    message.recipients.iter().any(|(_, recipient)| match &recipient.reverse_path.0 {
        None => from == "<>",
        Some(address) => contains(&address.to_string(), from),
    })
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

#[cfg(test)]
mod tests {
    use envelope::{Aliasing, Body, Envelope, Origin, QueueId, Recipient, ReversePath};
    use ipc::admin::{Exception, Filter};

    use super::{MAX_WORD, MAX_WORDS, fits, is_short};
    use crate::record::{MessageRecord, Queued, RecipientRecord};

    fn queued(from: &str, to: &str) -> Queued {
        let reverse_path = ReversePath((!from.is_empty()).then(|| from.parse().unwrap()));
        let recipient = Recipient::plain(to.parse().unwrap());
        let envelope = Envelope {
            reverse_path: reverse_path.clone(),
            recipients: vec![recipient.clone()],
            body: Body::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            origin: Origin::Ourselves,
            aliasing: Aliasing::Followed,
        };
        Queued {
            id: QueueId::new(1).unwrap(),
            record: MessageRecord::arrived(&envelope, 1000),
            recipients: vec![(0, RecipientRecord::fresh(recipient, reverse_path))],
        }
    }

    fn lets_through(filter: &Filter) -> bool {
        fits(filter, &queued("Ann@From.test", "Bob@to.Test"), 61_000)
    }

    #[test]
    fn all_that_is_given_must_fit() {
        let some = |text: &str| Some(text.to_owned());
        let any = Filter::default;
        assert!(lets_through(&any()));
        assert!(lets_through(&Filter { from: some("ann@"), to: some("bob"), ..any() }));
        assert!(!lets_through(&Filter { from: some("ann@"), to: some("ann"), ..any() }));
        assert!(lets_through(&Filter { domain: some("TO.test."), ..any() }));
        assert!(!lets_through(&Filter { domain: some("o.test"), ..any() }));
        assert!(lets_through(&Filter { older: Some(60), ..any() }));
        assert!(!lets_through(&Filter { older: Some(61), ..any() }));
        assert!(!lets_through(&Filter { held: true, ..any() }));
        assert!(!lets_through(&Filter { from: some("<>"), ..any() }));
        let bounce = queued("", "bob@to.test");
        assert!(fits(&Filter { from: some("<>"), ..any() }, &bounce, 0));
    }

    #[test]
    fn who_asks_with_many_words_is_not_answered() {
        let with = |word: String, count| {
            let except = Exception { to: vec![word.clone(); count], ..Exception::default() };
            Filter { to: Some(word), except, ..Filter::default() }
        };
        assert!(is_short(&with("x".repeat(MAX_WORD), MAX_WORDS - 1)));
        assert!(!is_short(&with("x".repeat(MAX_WORD + 1), 0)));
        assert!(!is_short(&with("x".to_owned(), MAX_WORDS)));
    }

    #[test]
    fn anything_that_is_excepted_is_enough() {
        let texts = |text: &str| vec![text.to_owned()];
        let none = Exception::default;
        let passes = |except: Exception| lets_through(&Filter { except, ..Filter::default() });
        assert!(passes(none()));
        assert!(passes(Exception { to: texts("ann"), from: texts("bob"), ..none() }));
        assert!(!passes(Exception { to: texts("BOB@"), ..none() }));
        assert!(!passes(Exception { from: texts("from.TEST"), to: texts("x"), ..none() }));
        assert!(!passes(Exception { ids: vec![QueueId::new(1).unwrap()], ..none() }));
        assert!(passes(Exception { ids: vec![QueueId::new(2).unwrap()], held: true, ..none() }));
        let mut held = queued("", "bob@to.test");
        held.record.held = true;
        let filter = Filter { except: Exception { held: true, ..none() }, ..Filter::default() };
        assert!(!fits(&filter, &held, 0));
    }
}
