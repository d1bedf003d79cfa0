//! One message for one recipient, as it came from `local`.

use envelope::{Detail, Enhanced, Status};
use ipc::Frame;
use ipc::mailbox::Store;

use super::content::Content;
use super::fault;

#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) store: Store,
    pub(crate) content: Content,
}

impl Letter {
    pub(crate) fn new(frame: Frame<Store>) -> Self {
        let Frame { head: store, body, descriptor } = frame;
        let content = Content::new(body, descriptor, store.size, store.replaced);
        Self { store, content }
    }

    /// Is it whole, and was it not here before?
    pub(crate) fn check(&self) -> Result<(), Status> {
        let seen = self
            .content
            .check_whole()
            .and_then(|()| self.content.was_delivered_to(&self.store.recipient));
        match seen {
            Ok(false) => Ok(()),
            Ok(true) => {
                Err(Status::Failed(Detail::ours(Enhanced::LOOP, "mail loop: was here before")))
            }
            Err(error) => Err(fault::status("the content", &error)),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use envelope::{QueueId, ReversePath};
    use ipc::mailbox::Place;

    use super::*;

    pub(crate) fn store() -> Store {
        Store {
            number: 1,
            id: QueueId::new(1).unwrap(),
            reverse_path: ReversePath("from@example.net".parse().ok()),
            recipient: "anna@example.org".parse().unwrap(),
            place: Place::Command(Vec::new()),
            forward: Vec::new(),
            shell: None,
            tree: "".into(),
            user: "anna".into(),
            home: "/".into(),
            detail: None,
            hostname: "h".into(),
            size: 0,
            replaced: 0,
            arrival: 0,
            make_home: false,
        }
    }
}
