//! `cargo xtask test`: everything that must hold before a change is taken.
//!
//! The steps run one after another and all of them run, so that one call shows everything that is wrong. What
//! is missing on the machine is installed with `--install` and never without. A step that cannot run is
//! skipped loudly, with the reason; where `CI=true` is set, a skip is a failure.

mod binaries;
mod libtest;
mod report;
mod step;
mod tools;

use std::process::ExitCode;

use anyhow::Result;

use report::Report;
use step::{Outcome, Step};
use tools::Tool;

use crate::{e2e, workspace};

/// Run all checks and tests.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// While editing: leave out the lints, the check of the dependencies and the tests marked as slow
    /// (`#[ignore = "slow"]`).
    #[arg(long)]
    fast: bool,
    /// First install what is missing on this machine, by package name.
    #[arg(long)]
    install: bool,
    /// Run only the tests whose name contains one of these, and nothing else.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut report = Report::new(ci);

    report.run("format", || check(args, false, Tool::Rustfmt, &["fmt", "--all", "--check"]));
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    report.run("clippy", || check(args, args.fast, Tool::Clippy, &clippy));
    // Below `error` it prints every duplicated dependency with all the ways to it, some hundred lines.
    let deny = ["deny", "--log-level", "error", "check", "bans", "licenses", "sources"];
    report.run("dependencies", || check(args, args.fast, Tool::Deny, &deny));

    // The binaries too, since tests start them as processes, also those of other packages. All targets in one go:
    // built alone, the binaries get dependencies without the features that tests add, and those compile twice.
    let built = report.run("build", || Step::command(&["build", "--workspace", "--all-targets"]));
    // Tests that need an API server would build it themselves, and wait for each other meanwhile.
    report.run("kubernetes", || match (args.fast || !args.filters.is_empty(), built) {
        (true, _) => Ok(Outcome::Skipped("built when a test asks for it".into()).into()),
        (false, true) => Step::of(e2e::cluster_tool().args(["tools", "core", "helm"])),
        (false, false) => Ok(Outcome::Failed("the build failed".into()).into()),
    });
    report.run("tests", || match built {
        true => libtest::run(&args.filters, !args.fast, args.install || ci),
        false => Ok(Outcome::Failed("the build failed".into()).into()),
    });

    for (name, mut on) in [("scenarios", e2e::on_processes()), ("on kind", e2e::on_kind())] {
        on.install = args.install || ci;
        report.run(name, || match built {
            true => scenarios(args, &on),
            false => Ok(Outcome::Failed("the build failed".into()).into()),
        });
    }

    print!("{report}");
    Ok(if report.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The scenarios on a cluster that this machine brings up, which takes root, and packages of the distribution.
fn scenarios(args: &Args, on: &e2e::Args) -> Result<Step> {
    if !args.filters.is_empty() {
        return Ok(Outcome::Skipped("only some tests were asked for".into()).into());
    }
    if args.fast {
        return Ok(Outcome::Skipped("left out by --fast".into()).into());
    }
    if !on.install {
        return Ok(
            Outcome::Skipped("it changes this machine's network; add --install to allow that".into()).into()
        );
    }
    let mut scenarios = e2e::scenarios(on)?;
    libtest::watch(&mut scenarios.command, &[])
}

/// A check with a tool that a fresh machine need not have.
fn check(args: &Args, too_slow: bool, tool: Tool, command: &[&str]) -> Result<Step> {
    if !args.filters.is_empty() {
        return Ok(Outcome::Skipped("only some tests were asked for".into()).into());
    }
    if too_slow {
        return Ok(Outcome::Skipped("left out by --fast".into()).into());
    }
    if !tool.is_there() {
        if !args.install {
            return Ok(Outcome::Skipped(tool.missing()).into());
        }
        tool.install()?;
    }
    Step::command(command)
}

/// Prints what is about to run, in the way of a shell.
fn announce(command: &std::process::Command) {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    println!("$ {program} {}", arguments.join(" "));
}

/// A cargo command with colours if a person is watching, even where its output goes through us.
fn cargo() -> std::process::Command {
    let mut cargo = workspace::cargo();
    if std::env::var_os("CARGO_TERM_COLOR").is_none() && colours() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    cargo
}

fn colours() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout()) && std::env::var_os("NO_COLOR").is_none()
}
