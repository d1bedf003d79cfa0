//! `pennypost completion`: a shell learns the words of `pennypost`.

use std::io::{self, Write as _};

use clap::Args;
use clap_complete::{Shell, generate};

use crate::{Exit, Failure};

/// Print what makes a shell complete the words of pennypost
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pennypost completion bash > /etc/bash_completion.d/pennypost
  pennypost completion fish > ~/.config/fish/completions/pennypost.fish
  source <(pennypost completion zsh)")]
pub(super) struct Completion {
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    pub(super) fn run(&self, mut command: clap::Command) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut command, "pennypost", &mut script);
        io::stdout().write_all(&script)?;
        Ok(Exit::Ok)
    }
}
