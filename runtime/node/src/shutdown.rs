//! When a node process is to stop: SIGTERM, SIGINT, or the end of its parent.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

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

/// A thread reads, not the runtime: that cannot give up a read that has begun, and would wait for it at the end.
async fn end_of_input() {
    let (reading, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        // An error means the same as the end: nobody can write any more.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(reading);
    });
    // Nothing is ever sent: what is waited for is the drop.
    let _ = ended.await;
}
