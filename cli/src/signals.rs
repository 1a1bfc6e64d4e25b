//! The signals that ask a command that runs on to end: Ctrl-C, SIGTERM, and the terminal going away.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{OrFail, Result};

/// Hears the signals from its making on.
pub(crate) struct Quit {
    signals: [Signal; 3],
}

impl Quit {
    /// Takes the signals over.
    pub(crate) fn listen() -> Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] =
            kinds.map(|kind| signal(kind).or_fail("cannot listen for signals"));
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    /// Waits for the next signal. Dropping the future loses none.
    pub(crate) async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
