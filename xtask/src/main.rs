//! The chores of the project: `cargo xtask COMMAND`.
//!
//! One file per command. What a command needs from its surroundings (the workspace's root, its packages, the
//! files that git tracks) comes from [`workspace`]; the rules that the sources themselves must keep are the
//! tests in `tidy`.

mod bench;
mod cluster;
mod e2e;
mod fuzz;
#[cfg_attr(not(feature = "generators"), path = "generate/elsewhere.rs")]
mod generate;
mod image;
mod sim;
mod test;
#[cfg(test)]
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Test(test::Args),
    Generate(generate::Args),
    Bench(bench::Args),
    Cluster(cluster::Args),
    E2e(e2e::Args),
    Fuzz(fuzz::Args),
    Image(image::Args),
    Sim(sim::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(args) => test::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::E2e(args) => e2e::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Sim(args) => sim::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
