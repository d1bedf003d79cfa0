//! Nothing acknowledged is lost: `kill -9` of random daemons under load.

mod backlog;
mod disk;
mod kills;
mod pressure;
