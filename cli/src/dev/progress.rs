//! The bars of a dev cluster's start and end, for terminals.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::snapshot::Snapshot;

/// The bar of the start: first the nodes register, then the shards are opened.
pub(crate) struct StartBar(ProgressBar);

impl StartBar {
    /// An empty bar.
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let bar = bar(u64::from(snapshot.shards));
        let start = Self(bar);
        start.update(snapshot);
        start
    }

    /// Shows where things stand.
    pub(crate) fn update(&self, snapshot: &Snapshot) {
        self.0.set_message(start_message(snapshot));
        self.0.set_position(u64::from(snapshot.serving()));
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: impl ToString) {
        self.0.println(line.to_string());
    }
}

impl Drop for StartBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The bar of the end. It goes away when it is dropped.
pub(crate) struct StopBar(ProgressBar);

impl StopBar {
    /// A bar for so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        let bar = bar(nodes as u64);
        bar.set_message("stopping the nodes (Ctrl-C kills them)");
        Self(bar)
    }

    /// Shows how many have stopped.
    pub(crate) fn update(&self, stopped: usize) {
        self.0.set_position(stopped as u64);
    }
}

impl Drop for StopBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn bar(length: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} [{bar:30}] {msg}").expect("the template is well-formed");
    let bar = ProgressBar::new(length).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn start_message(snapshot: &Snapshot) -> String {
    let (nodes, registered) = (snapshot.nodes.len(), snapshot.registered());
    if registered < nodes {
        format!("starting the nodes: {registered} of {nodes} have registered")
    } else {
        format!("opening the shards: {} of {} are served", snapshot.serving(), snapshot.shards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_what_is_waited_for() {
        let snapshot = Snapshot::new("demo", 4, ["demo-0".to_owned()]);
        assert_eq!(start_message(&snapshot), "starting the nodes: 0 of 1 have registered");
        let empty = Snapshot::new("demo", 4, []);
        assert_eq!(start_message(&empty), "opening the shards: 0 of 4 are served");
    }
}
