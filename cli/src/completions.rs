//! `greenroom completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::failure::Result;
use crate::output;

/// Print the completion script of a shell
///
/// For example: `greenroom completions bash > ~/.local/share/bash-completion/completions/greenroom`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "greenroom", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
