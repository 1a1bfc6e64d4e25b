//! When to stop: SIGTERM or SIGINT; a second one ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that is cancelled by the first SIGTERM or SIGINT. Must be called inside a tokio runtime.
pub fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let listen = |kind| signal(kind).expect("a handler for these signals can always be set");
    let (terminate, interrupt) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    tokio::spawn(wait(terminate, interrupt, token.clone()));
    token
}

async fn wait(mut terminate: Signal, mut interrupt: Signal, token: CancellationToken) {
    for first in [true, false] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if !first {
            std::process::exit(1);
        }
        info!("stopping: running reconciles are finished, then the Lease is released");
        token.cancel();
    }
}
