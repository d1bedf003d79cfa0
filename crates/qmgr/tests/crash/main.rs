//! Nothing acknowledged is lost, and nothing else appears: lost power at every sync, torn sectors,
//! a full or failing disk.
//!
//! `disk` is a disk with a volatile cache; `world` is what the queue must hold; the other files
//! are the tests. `PENNYPOST_CRASH_SEEDS` sets how many random histories are tried.

#[cfg(test)]
mod disk;
#[cfg(test)]
mod full;
#[cfg(test)]
mod history;
#[cfg(test)]
mod states;
#[cfg(test)]
mod walk;
#[cfg(test)]
mod world;
