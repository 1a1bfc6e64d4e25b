//! The workflow of programs: it lets actors run scripts, one step after the other, and rests in between.

use std::time::Duration;

use greenroom_core::{AppError, CallError, Flow, Step};
use greenroom_macros::workflow;
use serde::{Deserialize, Serialize};

use super::cast::{Who, with_actor};
use super::script::Script;
use super::stage::{Failed, Reply};

/// One step of the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Leg {
    pub(crate) to: Who,
    pub(crate) script: Script,
    /// How long it rests first, if it does.
    pub(crate) rest_ms: Option<u64>,
}

/// Goes one leg after the other. What fails is not done, and the way goes on.
#[workflow(crate = "greenroom_core")]
pub(crate) async fn errand(flow: Flow, legs: Vec<Leg>) -> Result<(), AppError> {
    for Leg { to, script, rest_ms } in legs {
        let name = script.id.to_string();
        if let Some(ms) = rest_ms {
            flow.sleep(format!("before {name}"), Duration::from_millis(ms)).await;
        }
        let run = |by: Step| {
            let script = script.clone();
            async move {
                let outcome: Result<Reply, CallError<Failed>> =
                    with_actor!(to, by, |actor| actor.run(script).await);
                outcome.map_err(|error| {
                    error.map_app(|failed| CallError::App(AppError::new(format!("{failed:?}"))))
                })
            }
        };
        // A leg that fails is recorded as such.
        let _ = flow.step(name, run).await;
    }
    Ok(())
}
