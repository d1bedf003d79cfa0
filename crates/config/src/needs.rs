//! Which tables decide about what: who decides is given these and no others.

/// Where mail goes.
pub const ROUTING: &[&str] = &[
    "aliases",
    "domaintable",
    "local-host-names",
    "mailertable",
    "senderrelay",
    "virtuser-domains",
    "virtusertable",
];

/// Who may send what to whom, beside [`ROUTING`], which says who is there.
pub const POLICY: &[&str] = &["access", "relay-domains", "users"];

/// Beside the configuration: to which sockets mail goes.
pub const SOCKETS: &[&str] = &["mailertable"];

/// What addresses are called elsewhere.
pub const BORDER: &[&str] =
    &["domaintable", "generics-domains", "genericstable", "local-host-names", "masquerade-domains"];

/// Who may send in whose name without a word about it.
pub const CLAIMS: &[&str] = &["local-host-names", "trusted-users"];
