//! What a round would come to that need not be run: while a next hop is down, its mail arrives as fast
//! as ever, and is stored once, deferred, instead of being stored, taken up, deferred and stored again.

use std::sync::Arc;
use std::time::Duration;

use ipc::delivery::Destination;
use routing::Route;

use super::{Back, Round};
use crate::outcome::Ending;
use crate::schedule;
use crate::shared::{Arrived, Shared};

/// Defers a message that arrives if its round would do just that: every destination is being left
/// alone. Any other is as it was.
#[must_use]
pub fn foresee(shared: &Arc<Shared>, arrived: Arrived) -> Arrived {
    let mut round = Round::new(Arc::clone(shared), arrived);
    // Nobody is told of a delay before the message is durable.
    let may_tell = schedule::is_delayed(&round.rules.config.queue, Duration::ZERO);
    if !may_tell && let Some(back) = round.nobody_there() {
        round.back = back;
        round.decide();
        let record = &mut round.message.record;
        record.due = round.again.unwrap_or(record.due);
    }
    Arrived { message: round.message, content: round.content }
}

impl Round {
    /// What comes back when each recipient is bound for a next hop that is left alone.
    fn nobody_there(&self) -> Option<Vec<Back>> {
        let Self { shared, message, .. } = self;
        let now = shared.clock.now();
        let back = message.recipients.iter().map(|(number, recipient)| {
            let routed = self.rules.way_of(&message.record, recipient);
            let Route::Remote(next_hop) = routed.route else { return None };
            let alone = shared.hops.alone(&Destination::Remote(next_hop), now)?;
            let ending = Ending::Alone(alone);
            Some(Back { number: *number, address: routed.address, ending })
        });
        back.collect()
    }
}
