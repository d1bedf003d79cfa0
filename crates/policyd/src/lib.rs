//! policyd
