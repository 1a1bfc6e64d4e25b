//! Programs as a user runs them, and waiting for what they show.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What a program said.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end. A program that cannot be started is an error; one that fails is not.
pub(crate) async fn output(command: &mut Command, input: Option<&str>) -> Result<Output> {
    let name = format!("{:?}", command.as_std());
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    if let Some(input) = input {
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).await.with_context(|| format!("{name} does not read"))?;
    }
    let output = child.wait_with_output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output {
        success: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

/// Runs a program that must succeed, and returns what it printed.
pub(crate) async fn run(command: &mut Command, input: Option<&str>) -> Result<String> {
    let name = format!("{:?}", command.as_std());
    let output = output(command, input).await?;
    if !output.success {
        bail!("{name} failed:\n{}{}", output.stdout, output.stderr);
    }
    Ok(output.stdout)
}

/// `kubectl` with these arguments.
pub(crate) fn kubectl(arguments: &[&str]) -> Command {
    let mut command = Command::new("kubectl");
    command.args(arguments);
    command
}

/// What `kubectl … -o json` prints.
pub(crate) async fn json(arguments: &[&str]) -> Result<Value> {
    let text = run(kubectl(arguments).args(["-o", "json"]), None).await?;
    serde_json::from_str(&text).context("kubectl printed no JSON")
}

/// Asks until the answer is `Ok`, every half second, because kubectl cannot wait for everything. The error of the last
/// attempt tells what was missing.
pub(crate) async fn eventually<T, F>(within: Duration, what: &str, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if begun.elapsed() > within => {
                return Err(error.context(format!("not within {within:?}: {what}")));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
}
