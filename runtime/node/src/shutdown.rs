//! When a node process is to stop: SIGTERM, SIGINT, or the end of its parent.

use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first reason to stop and names it. With `exit_with_parent` the end of standard input is one: a parent
/// that keeps the other end takes its nodes with it however it ends, even by SIGKILL.
pub(crate) async fn requested(exit_with_parent: bool) -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let parent_ended = async {
        match exit_with_parent {
            true => end_of_input().await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        () = parent_ended => Ok("the end of the parent process"),
    }
}

async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut sink = [0u8; 256];
    while matches!(input.read(&mut sink).await, Ok(bytes) if bytes > 0) {}
}
