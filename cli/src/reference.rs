//! The reference of the command line, made from the same definitions as the help: docs/reference/cli.md.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use crate::Cli;

const HEAD: &str = "<!-- Made from the definitions in cli/src by `cargo xtask generate`; do not edit. -->\n\n\
                    # The command line\n";

/// The page as Markdown.
pub fn cli_reference_markdown() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = HEAD.to_owned();
    section(&mut page, &root, "greenroom");
    page
}

fn section(page: &mut String, command: &Command, name: &str) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    write!(page, "\n## `{name}`\n\n{about}\n\n```text\n{usage}\n```\n").expect("a string takes everything");
    let (arguments, options): (Vec<_>, Vec<_>) = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version")
        .partition(|arg| arg.is_positional());
    list(page, &arguments);
    list(page, &options);
    for child in command.get_subcommands() {
        section(page, child, &format!("{name} {}", child.get_name()));
    }
}

fn list(page: &mut String, args: &[&Arg]) {
    if args.is_empty() {
        return;
    }
    page.push('\n');
    for arg in args {
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let help = help.replace("\n\n", " ").replace('\n', " ");
        writeln!(page, "- `{}` {help}{}", invocation(arg), remarks(arg)).expect("a string takes everything");
    }
}

/// `-o, --output <OUTPUT>`, or the name of a positional argument.
fn invocation(arg: &Arg) -> String {
    let values = if arg.get_action().takes_values() {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().map(|name| format!(" <{name}>")).collect()
    } else {
        String::new()
    };
    let flags: Vec<_> = [arg.get_short().map(|c| format!("-{c}")), arg.get_long().map(|l| format!("--{l}"))]
        .into_iter()
        .flatten()
        .collect();
    format!("{}{values}", flags.join(", ")).trim().to_owned()
}

/// The possible values, the default and the environment variable, as far as there are any.
fn remarks(arg: &Arg) -> String {
    let mut remarks = Vec::new();
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() {
        let names: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        remarks.push(format!("One of {}.", names.join(", ")));
    }
    if !arg.get_default_values().is_empty() && arg.get_action().takes_values() {
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        remarks.push(format!("Default: `{}`.", defaults.join(" ")));
    }
    if let Some(variable) = arg.get_env() {
        remarks.push(format!("Environment: `{}`.", variable.to_string_lossy()));
    }
    if remarks.is_empty() { String::new() } else { format!(". {}", remarks.join(" ")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_reference_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cli.md");
        let fresh = cli_reference_markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &fresh).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == fresh, "docs/reference/cli.md is stale: run `cargo xtask generate`");
    }
}
