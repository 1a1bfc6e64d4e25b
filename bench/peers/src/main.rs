//! The rigs of other actor frameworks for Rust: `greenroom-bench-peers FRAMEWORK`.
//!
//! Each uses its framework in the way that its own documentation shows first, with the defaults that it has. Where a
//! framework has no names for actors, a concurrent map of ours leads from key to actor.

mod actix;
mod coerce;
mod kameo;
mod names;
mod ractor;

use anyhow::{Result, bail};
use greenroom_bench_rig::serve;

fn main() -> Result<()> {
    let framework = std::env::args().nth(1).unwrap_or_default();
    // Actix has a runtime of its own.
    if framework == "actix" {
        return actix::main();
    }
    let tokio = tokio::runtime::Runtime::new()?;
    tokio.block_on(async move {
        // On a worker, as Greenroom's own.
        tokio::spawn(async move {
            match &*framework {
                "ractor" => serve(ractor::Ractor).await,
                "kameo" => serve(kameo::Kameo).await,
                "coerce" => serve(coerce::Coerce::new()).await,
                other => bail!("there is no rig for {other:?}; it is one of ractor, kameo, actix, coerce"),
            }
        })
        .await?
    })
}
