//! `greenroom completions`.

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::{CompletionCandidate, Shell};

use crate::failure::Result;
use crate::output;

/// Print the completion script of a shell
///
/// For example: `greenroom completions bash > ~/.local/share/bash-completion/completions/greenroom`. For the plugin of
/// kubectl no script is needed: put a link with the name `kubectl_complete-greenroom` to this program into the PATH.
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

/// What kubectl reads behind the candidates: no others, file names for example, are to be offered (cobra's `NoFileComp`).
const NO_FILES: &str = ":4";

/// Answers kubectl, which gives the words behind `kubectl greenroom`, the last one unfinished.
pub(crate) fn for_kubectl() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    match output::print(&candidates(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A line for each word that may follow, then what else kubectl wants to know.
fn candidates(mut words: Vec<OsString>) -> String {
    words.insert(0, "greenroom".into());
    let last = words.len() - 1;
    let here = std::env::current_dir().ok();
    let mut command = without_aliases(crate::Cli::command());
    let found = clap_complete::engine::complete(&mut command, words, last, here.as_deref());
    let mut lines = String::new();
    // Nothing can be shown where a word is to be completed, an error least of all.
    for candidate in found.unwrap_or_default().iter().filter(|candidate| !candidate.is_hide_set()) {
        writeln!(lines, "{}", line(candidate)).expect("a string takes everything");
    }
    lines + NO_FILES
}

/// Of a command and its alias only one would be offered, and that the alias.
fn without_aliases(command: Command) -> Command {
    command.visible_alias(None::<&str>).mut_subcommands(without_aliases)
}

/// The word, and behind a tab what it means.
fn line(candidate: &CompletionCandidate) -> String {
    let word = candidate.get_value().to_string_lossy();
    match candidate.get_help().map(ToString::to_string) {
        Some(help) => format!("{word}\t{}", help.lines().next().unwrap_or_default()),
        None => word.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> String {
        candidates(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn kubectl_is_told_which_words_may_follow_and_what_they_mean() {
        insta::assert_snapshot!(completed("get no"), @r"
        nodes	List the nodes
        :4
        ");
        insta::assert_snapshot!(completed("describe node demo-0 --out"), @r"
        --output	Print data instead of text
        :4
        ");
    }
}
