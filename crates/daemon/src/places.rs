//! Who of this machine's users may come at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::{Uid, geteuid};

/// The places of a service that is open to everybody on this machine: so many in all, and so many
/// for each user, so that no user keeps the others out. Root and the user of this process always
/// find one.
#[derive(Debug, Clone)]
pub struct Places {
    all: usize,
    each: usize,
    taken: Arc<Mutex<HashMap<u32, usize>>>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    uid: u32,
    places: Places,
}

impl Places {
    #[must_use]
    pub fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// A place for this user; `None`: too many are taken.
    #[must_use]
    pub fn take(&self, uid: u32) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.get(&uid).copied().unwrap_or(0);
        let free = taken.values().sum::<usize>() < self.all && own < self.each;
        let master = Uid::from_raw(uid).is_root() || Uid::from_raw(uid) == geteuid();
        (free || master).then(|| {
            taken.insert(uid, own + 1);
            Place { uid, places: self.clone() }
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(own) = taken.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Places};

    #[test]
    fn no_user_keeps_the_others_out() {
        let places = Places::new(3, 2);
        let [alice, bob] = [1, 2].map(geteuid_and);
        let take = |uid| places.take(uid).ok_or(());
        let first: Vec<Place> = [take(alice), take(alice)].into_iter().flatten().collect();
        assert_eq!(first.len(), 2);
        assert!(take(alice).is_err());
        let bobs = take(bob).unwrap();
        assert!(take(bob).is_err(), "all are taken");
        assert!(take(0).is_ok(), "root comes in");
        drop((first, bobs));
        assert!(take(alice).is_ok() && places.taken().is_empty());
    }

    /// A user that is not us.
    fn geteuid_and(number: u32) -> u32 {
        nix::unistd::geteuid().as_raw() + number
    }
}
