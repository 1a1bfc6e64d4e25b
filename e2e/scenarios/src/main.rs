//! What must hold on a real Kubernetes: `greenroom-e2e [FILTER…]`.
//!
//! A scenario sees what a user sees: a kubeconfig, `kubectl`, `helm` and `kubectl greenroom` on the PATH. So the same
//! scenarios run on plain processes, on kind and in a cloud. What only the owner of the machines can do (power a host
//! off, cut it off) goes through [`hooks`]; where there are none, those scenarios are left out.
//!
//! Each scenario works in a namespace of its own, which is shown with its pods, events and logs if the scenario fails.

mod calls;
mod cluster;
mod hooks;
mod install;
mod kubectl;
mod scenarios;
mod scope;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::scenarios::{SCENARIOS, Scenario};
use crate::settings::Settings;

/// Run the scenarios whose name contains one of the filters (all, if there is none).
#[derive(Parser)]
#[command(name = "greenroom-e2e")]
struct Args {
    #[command(flatten)]
    settings: Settings,
    /// List the scenarios and stop.
    #[arg(long)]
    list: bool,
    /// Run these only.
    filters: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let settings = Arc::new(args.settings);
    let named = |scenario: &Scenario| {
        args.filters.is_empty() || args.filters.iter().any(|filter| scenario.name.contains(filter.as_str()))
    };
    let wanted = |scenario: &&Scenario| named(scenario) && (scenario.core || !settings.core);
    let (alone, together): (Vec<_>, Vec<_>) =
        SCENARIOS.iter().filter(wanted).partition(|scenario| scenario.alone);
    if args.list {
        SCENARIOS.iter().for_each(|scenario| println!("{:<32}{}", scenario.name, scenario.proves));
        return ExitCode::SUCCESS;
    }
    if !settings.installed
        && let Err(error) = block_on(install::release(&settings))
    {
        eprintln!("error: the chart cannot be installed: {error:#}");
        return ExitCode::FAILURE;
    }
    // What stops a host or the operator would disturb the others.
    let first = run(&settings, together, settings.parallel);
    let second = run(&settings, alone, 1);
    if first && second { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(settings: &Arc<Settings>, scenarios: Vec<&'static Scenario>, threads: usize) -> bool {
    let trial = |scenario: &'static Scenario| {
        let (settings, skip) = (settings.clone(), settings.cannot_run(scenario));
        if let Some(reason) = &skip {
            println!("left out: {} ({reason})", scenario.name);
        }
        Trial::test(scenario.name, move || run_one(&settings, scenario)).with_ignored_flag(skip.is_some())
    };
    let arguments = Arguments { test_threads: Some(threads), ..Arguments::default() };
    let conclusion = libtest_mimic::run(&arguments, scenarios.into_iter().map(trial).collect());
    !conclusion.has_failed()
}

fn run_one(settings: &Arc<Settings>, scenario: &Scenario) -> Result<(), Failed> {
    block_on(async {
        let scope = scope::Scope::open(settings.clone(), scenario.name).await?;
        let outcome = tokio::time::timeout(scenario.within, (scenario.run)(scope.clone())).await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("not done within {:?}", scenario.within)));
        scope.close(outcome.is_err()).await;
        outcome
    })
    .map_err(|error| Failed::from(format!("{error:#}")))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("threads can be started").block_on(future)
}
