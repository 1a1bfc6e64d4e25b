//! What the head of a workflow's function may not be.

#![allow(unused)]

use greenroom_core::{Flow, Result};
use greenroom_macros::workflow;

#[workflow(crate = "greenroom_core")]
fn without_async(flow: Flow) -> Result<()> {
    Ok(())
}

#[workflow(crate = "greenroom_core")]
async fn without_a_flow(order: u64) -> Result<()> {
    Ok(())
}

#[workflow(crate = "greenroom_core")]
async fn of_any_type<T>(flow: Flow, order: T) -> Result<()> {
    Ok(())
}

#[workflow(crate = "greenroom_core")]
async fn with_two_inputs(flow: Flow, order: u64, buyer: String) -> Result<()> {
    Ok(())
}

#[workflow(crate = "greenroom_core")]
async fn with_a_borrowed_input(flow: Flow, order: &str) -> Result<()> {
    Ok(())
}

#[workflow(crate = "greenroom_core", name = "no spaces please")]
async fn with_a_name_that_cannot_be(flow: Flow) -> Result<()> {
    Ok(())
}

#[workflow(crate = "greenroom_core", retention = "for ever")]
async fn kept_for_no_time_that_is_known(flow: Flow) -> Result<()> {
    Ok(())
}

#[workflow(crate = "greenroom_core")]
struct NoFunction;

fn main() {}
