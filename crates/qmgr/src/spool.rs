//! Content too long for the database: one file a message in `content/`, named by its queue id.
//!
//! **Invariant:** a [`SpoolFile`] is synced, and so is its name in the directory. Dropping it, or
//! the writer, removes the file; only the store, which has made a record that names it durable,
//! keeps it.
