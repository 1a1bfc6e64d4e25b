//! The program `greenroom-operator`: arguments, logs, signals; everything else is in the library.

use clap::Parser;
use greenroom_operator::{Args, Operator, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let _telemetry = telemetry::init(&args)?;
    let config = kube::Config::infer().await?;
    let operator = Operator::start(args, config).await?;
    operator.run(greenroom_operator::shutdown::on_signal()).await?;
    Ok(())
}
