//! Mail of users whom nobody knows: `local.catch_all` (sendmail's LUSER_RELAY).

use config::CatchAll;
use envelope::{Address, Member, Special, Status};
use ipc::delivery::Outcome;

use crate::attempt::unknown;

/// Who gets the mail of `address`, which no user has.
///
/// # Errors
/// Failed: the one who should is unknown, too.
pub(crate) fn outcome(
    catch_all: &CatchAll,
    address: &Address,
    hostname: &str,
) -> Result<Outcome, Status> {
    let member = match catch_all {
        CatchAll::Host(_) => Member::Special(Special::CatchAll),
        CatchAll::To(name) => {
            let to = name.parse().or_else(|_| Address::new(name, hostname));
            let to = to.ok().filter(|to| to != address).ok_or_else(unknown)?;
            Member::Address(to)
        }
    };
    Ok(Outcome::Expanded(vec![member]))
}
