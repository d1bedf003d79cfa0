//! `-d0.1`: the version, and the names of this host, as scripts read them from sendmail.

use std::io::{self, Write};

use crate::site::machine_name;

/// The macros of sendmail that name this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    /// `$w`
    pub(super) short: String,
    /// `$j`
    pub(super) canonical: String,
    /// `$m`
    pub(super) domain: String,
    /// `$k`
    pub(super) node: String,
}

impl Names {
    pub(super) fn new(hostname: &str, node: String) -> Self {
        let (short, domain) = hostname.split_once('.').unwrap_or((hostname, ""));
        Self {
            short: short.to_owned(),
            canonical: hostname.to_owned(),
            domain: domain.to_owned(),
            node,
        }
    }
}

/// As sendmail's main.c prints it.
pub(super) fn write(hostname: &str, out: &mut impl Write) -> io::Result<()> {
    Names::new(hostname, machine_name()).write(out)
}

impl Names {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { short, canonical, domain, node } = self;
        writeln!(out, "Version {}", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, " Compiled with: PENNYPOST DNSMAP NETINET NETINET6 NETUNIX PIPELINING\n")?;
        writeln!(out, "============ SYSTEM IDENTITY (after readcf) ============")?;
        writeln!(out, "      (short domain name) $w = {short}")?;
        writeln!(out, "  (canonical domain name) $j = {canonical}")?;
        writeln!(out, "         (subdomain name) $m = {domain}")?;
        writeln!(out, "              (node name) $k = {node}")?;
        writeln!(out, "========================================================\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sendmail's main.c, byte by byte but for the version and what is compiled in.
    #[test]
    fn as_sendmail() {
        let mut out = Vec::new();
        Names::new("mail.example.org", "kernel-name".to_owned()).write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        insta::assert_snapshot!("identity", text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }
}
