//! What the user of `greenroom dev` sees: in a terminal a bar while the cluster starts, then the live view, then a bar
//! while it stops; elsewhere a line for each thing that happens.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use super::cluster::DevCluster;
use super::event::Event;
use super::logs::Follower;
use super::plan::log_file;
use super::progress::{StartBar, StopBar};
use super::supervisor::State;
use super::view::{Model, draw};
use crate::failure::Result;
use crate::output;
use crate::screen::{Key, Screen};
use crate::signals::Quit;

/// How often the view is drawn when nothing happens: the uptime and the logs go on.
const DRAW_PERIOD: Duration = Duration::from_millis(500);

/// Prints what happens until the user quits.
pub(crate) async fn plain(
    cluster: &DevCluster,
    events: &mut UnboundedReceiver<Event>,
    quit: &mut Quit,
) -> Result {
    let mut first_step = Some(cluster.first_step());
    loop {
        tokio::select! {
            () = quit.asked() => return Ok(()),
            Some(event) = events.recv() => {
                output::print(&event.to_string())?;
                if let Some(command) = first_step.take_if(|_| matches!(event, Event::Ready { .. })) {
                    output::print(&format!("in another terminal: {command}; Ctrl-C stops the cluster"))?;
                }
            }
        }
    }
}

/// Shows the bar until the cluster is ready, and the view until the user quits.
pub(crate) async fn live(
    cluster: &DevCluster,
    events: &mut UnboundedReceiver<Event>,
    quit: &mut Quit,
) -> Result {
    let Some(seen) = starting(cluster, events, quit).await else { return Ok(()) };
    let mut model = Model {
        snapshot: cluster.snapshot().borrow().clone(),
        uptime: Duration::ZERO,
        directory: cluster.directory().to_owned(),
        first_step: cluster.first_step(),
        log: VecDeque::new(),
        colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    model.log(seen.iter().flat_map(lines));
    viewing(cluster, model, events, quit).await
}

/// Until the cluster is ready: what happened meanwhile. `None` if the user quits.
async fn starting(
    cluster: &DevCluster,
    events: &mut UnboundedReceiver<Event>,
    quit: &mut Quit,
) -> Option<Vec<Event>> {
    let mut snapshot = cluster.snapshot();
    let bar = StartBar::new(&snapshot.borrow());
    let mut seen = Vec::new();
    loop {
        tokio::select! {
            () = quit.asked() => return None,
            Some(event) = events.recv() => {
                if matches!(event, Event::Died { .. } | Event::CannotStart { .. }) {
                    bar.say(&event);
                }
                let ready = matches!(event, Event::Ready { .. });
                seen.push(event);
                if ready {
                    return Some(seen);
                }
            }
            Ok(()) = snapshot.changed() => bar.update(&snapshot.borrow_and_update()),
        }
    }
}

async fn viewing(
    cluster: &DevCluster,
    mut model: Model,
    events: &mut UnboundedReceiver<Event>,
    quit: &mut Quit,
) -> Result {
    let mut snapshot = cluster.snapshot();
    let follower = |node: &String| (node.clone(), Follower::new(log_file(cluster.directory(), node)));
    let mut logs: Vec<_> = cluster.nodes().iter().map(follower).collect();
    let mut screen = Screen::open("--plain")?;
    let mut ticks = tokio::time::interval(DRAW_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = quit.asked() => return Ok(()),
            key = screen.key() => if key == Key::Quit { return Ok(()) },
            Some(event) = events.recv() => model.log(lines(&event)),
            Ok(()) = snapshot.changed() => {}
            _ = ticks.tick() => {
                for (node, log) in &mut logs {
                    model.log(log.new_lines().into_iter().map(|line| format!("{node}: {line}")));
                }
            }
        }
        model.snapshot = snapshot.borrow_and_update().clone();
        model.uptime = cluster.since().elapsed();
        screen.draw(|frame| draw(frame, &model))?;
    }
}

/// Stops the cluster. A further signal kills the nodes that have not stopped.
pub(crate) async fn stopping(
    cluster: DevCluster,
    events: &mut UnboundedReceiver<Event>,
    quit: &mut Quit,
    plain: bool,
) {
    let control = cluster.control().clone();
    let mut states = control.states();
    let bar = (!plain).then(|| StopBar::new(cluster.nodes().len()));
    let directory = cluster.directory().to_owned();
    let stop = cluster.stop();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            () = quit.asked() => control.hurry(),
            // A reader that is gone does not keep the cluster from stopping.
            Some(event) = events.recv(), if plain => drop(output::print(&event.to_string())),
            Ok(()) = states.changed() => {
                let stopped = states.borrow_and_update().iter().filter(|n| n.state == State::Stopped).count();
                bar.iter().for_each(|bar| bar.update(stopped));
            }
        }
    }
    drop(bar);
    while let Some(event) = events.try_recv().ok().filter(|_| plain) {
        let _ = output::print(&event.to_string());
    }
    let _ = output::print(&format!("stopped; the state stays in {}", directory.display()));
}

fn lines(event: &Event) -> Vec<String> {
    event.to_string().lines().map(str::to_owned).collect()
}
