//! Keeps the nodes of a dev cluster running: one task per node, which starts its process, starts it again when it dies,
//! and stops it when it is asked to.
//!
//! Between two starts it waits: [`FIRST_WAIT`] after the first death, twice as long after each further one, at most
//! [`LONGEST_WAIT`]. A run of [`STABLE_RUN`] forgets the deaths before it.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::event::{Event, Events};
use super::logs;
use super::run::{Launch, Run, Stopped};
use crate::failure::{Failure, Result};

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const STABLE_RUN: Duration = Duration::from_secs(10);
/// How many lines of a dead node's log are shown.
const LAST_LINES: usize = 8;

/// What a node's process does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs.
    Running {
        /// As this process.
        pid: u32,
    },
    /// It died, and is started again in a moment.
    Restarting,
    /// It was asked to stop and is about to.
    Stopping,
    /// It was asked to stop.
    Stopped,
}

/// A node under supervision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Supervised {
    /// The node's name.
    pub(crate) node: String,
    /// What its process does.
    pub(crate) state: State,
    /// How often it was started again after it had died.
    pub(crate) restarts: u32,
}

/// All nodes under supervision. Dropping it kills them.
pub(crate) struct Supervisor {
    control: Control,
    tasks: JoinSet<()>,
}

/// The way to stop and start single nodes. A cheap clone of one shared handle.
#[derive(Clone)]
pub(crate) struct Control {
    orders: Vec<(String, mpsc::Sender<Order>)>,
    states: watch::Sender<Vec<Supervised>>,
    hurry: watch::Sender<bool>,
}

/// What a node's task is asked to do; the sender hears when it is done.
struct Order {
    run: bool,
    done: oneshot::Sender<()>,
}

impl Supervisor {
    /// Starts every node.
    pub(crate) fn start(launches: Vec<Launch>, events: &Events) -> Self {
        let first =
            |launch: &Launch| Supervised { node: launch.node.clone(), state: State::Restarting, restarts: 0 };
        let states = watch::Sender::new(launches.iter().map(first).collect());
        let hurry = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let mut orders = Vec::new();
        for (index, launch) in launches.into_iter().enumerate() {
            let (sender, receiver) = mpsc::channel(1);
            orders.push((launch.node.clone(), sender));
            let report = Report { index, states: states.clone(), events: events.clone() };
            let task = NodeTask { launch, report, orders: receiver, hurry: hurry.subscribe(), deaths: 0 };
            tasks.spawn(task.supervise());
        }
        Self { control: Control { orders, states, hurry }, tasks }
    }

    /// The way to stop and start single nodes.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Stops every node and waits until all have stopped. Dropping the future leaves them stopping.
    pub(crate) async fn shutdown(mut self) {
        let names: Vec<_> = self.control.orders.iter().map(|(name, _)| name.clone()).collect();
        futures_util::future::join_all(names.iter().map(|name| self.control.stop(name))).await;
        self.control.orders.clear();
        self.tasks.shutdown().await;
    }
}

impl Control {
    /// Stops a node; it stays stopped until it is started. Answers when it has stopped.
    pub(crate) async fn stop(&self, node: &str) -> Result {
        self.order(node, false).await
    }

    /// Starts a node. Answers when its process has been started.
    pub(crate) async fn start(&self, node: &str) -> Result {
        self.order(node, true).await
    }

    /// Kills whatever is stopping.
    pub(crate) fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// What all nodes do, now and after each change.
    pub(crate) fn states(&self) -> watch::Receiver<Vec<Supervised>> {
        self.states.subscribe()
    }

    async fn order(&self, node: &str, run: bool) -> Result {
        let Some((_, orders)) = self.orders.iter().find(|(name, _)| name == node) else {
            let names: Vec<_> = self.orders.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Failure::new(format!("there is no node {node}"))
                .hint(format!("the nodes are {}", names.join(", "))));
        };
        let (done, heard) = oneshot::channel();
        let gone =
            || Failure::new(format!("{node} is not supervised any more")).hint("the cluster is stopping");
        orders.send(Order { run, done }).await.map_err(|_| gone())?;
        heard.await.map_err(|_| gone())
    }
}

/// Where a node's task says what it does.
struct Report {
    index: usize,
    states: watch::Sender<Vec<Supervised>>,
    events: Events,
}

impl Report {
    fn state(&self, state: State) {
        self.states.send_modify(|states| states[self.index].state = state);
    }

    fn restart(&self) {
        self.states.send_modify(|states| states[self.index].restarts += 1);
    }

    fn event(&self, event: Event) {
        // Nobody listens any more when the program ends.
        let _ = self.events.send(event);
    }
}

struct NodeTask {
    launch: Launch,
    report: Report,
    orders: mpsc::Receiver<Order>,
    hurry: watch::Receiver<bool>,
    /// Deaths since the last stable run.
    deaths: u32,
}

impl NodeTask {
    async fn supervise(mut self) {
        // Whoever asked for the start that comes next.
        let mut asked: Option<oneshot::Sender<()>> = None;
        loop {
            let started = self.launch.start().await;
            if let Some(done) = asked.take() {
                let _ = done.send(());
            }
            let stopped = match started {
                Ok(run) => self.watch_over(run).await,
                Err(error) => {
                    let (node, restart_in) = (self.launch.node.clone(), self.next_wait());
                    self.report.event(Event::CannotStart { node, error, restart_in });
                    self.wait_before_restart(restart_in).await
                }
            };
            if let Some(done) = stopped {
                self.report.state(State::Stopped);
                self.deaths = 0;
                let _ = done.send(());
                match self.wait_for_start().await {
                    Some(done) => asked = Some(done),
                    None => return,
                }
            }
        }
    }

    /// Until the process has ended and its next start is due (`None`), or it was stopped by request.
    async fn watch_over(&mut self, mut run: Run) -> Option<oneshot::Sender<()>> {
        let (node, pid, since) = (self.launch.node.clone(), run.pid(), Instant::now());
        self.report.state(State::Running { pid });
        self.report.event(Event::Started { node: node.clone(), pid });
        loop {
            tokio::select! {
                how = run.ended() => {
                    if since.elapsed() >= STABLE_RUN {
                        self.deaths = 0;
                    }
                    let restart_in = self.next_wait();
                    let log = self.launch.log.clone();
                    let last_lines = logs::tail(&log, LAST_LINES);
                    self.report.event(Event::Died { node, how, restart_in, log, last_lines });
                    return self.wait_before_restart(restart_in).await;
                }
                Some(order) = self.orders.recv() => {
                    if order.run {
                        // It runs already.
                        let _ = order.done.send(());
                        continue;
                    }
                    self.report.state(State::Stopping);
                    let event = match run.stop(&mut self.hurry).await {
                        Stopped::Cleanly => Event::Stopped { node },
                        Stopped::Killed => Event::Killed { node },
                    };
                    self.report.event(event);
                    return Some(order.done);
                }
            }
        }
    }

    /// Until the time is over or a start is asked for (`None`), or a stop is.
    async fn wait_before_restart(&mut self, wait: Duration) -> Option<oneshot::Sender<()>> {
        self.report.state(State::Restarting);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Some(order) = self.orders.recv() => {
                if !order.run {
                    return Some(order.done);
                }
                let _ = order.done.send(());
            }
        }
        self.report.restart();
        None
    }

    /// `None` if there will be no further order.
    async fn wait_for_start(&mut self) -> Option<oneshot::Sender<()>> {
        loop {
            let order = self.orders.recv().await?;
            if order.run {
                return Some(order.done);
            }
            let _ = order.done.send(());
        }
    }

    fn next_wait(&mut self) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << self.deaths.min(16)).min(LONGEST_WAIT);
        self.deaths += 1;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::super::child::Child;
    use super::super::run::What;
    use super::*;

    struct Rig {
        supervisor: Supervisor,
        events: mpsc::UnboundedReceiver<Event>,
        dir: tempfile::TempDir,
    }

    fn launch(dir: &tempfile::TempDir, program: &str, script: &str) -> Launch {
        let log = dir.path().join("demo-0.log");
        let args = vec!["-c".into(), script.into()];
        let child = Child { program: program.into(), args, env: Vec::new(), log: log.clone() };
        Launch { node: "demo-0".into(), log, what: What::Child(child) }
    }

    impl Rig {
        fn new(script: &str) -> Self {
            Self::of("/bin/sh", script)
        }

        fn of(program: &str, script: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (sender, events) = mpsc::unbounded_channel();
            Self { supervisor: Supervisor::start(vec![launch(&dir, program, script)], &sender), events, dir }
        }

        async fn next(&mut self) -> Event {
            self.events.recv().await.unwrap()
        }

        async fn next_running(&mut self) -> u32 {
            loop {
                if let Event::Started { pid, .. } = self.next().await {
                    return pid;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dying_child_is_started_again_with_growing_waits() {
        let mut rig = Rig::new("echo last words; exit 3");
        let mut waits = Vec::new();
        while waits.len() < 10 {
            if let Event::Died { how, restart_in, last_lines, .. } = rig.next().await {
                assert_eq!(how, "exit code 3");
                assert_eq!(last_lines.last().unwrap(), "last words");
                waits.push(restart_in.as_millis());
            }
        }
        assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
        assert!(rig.supervisor.control().states().borrow()[0].restarts >= 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_is_not_there_is_named_and_tried_again() {
        let mut rig = Rig::of("/no/such/program", "");
        for _ in 0..2 {
            let Event::CannotStart { error, .. } = rig.next().await else { panic!("it cannot be started") };
            assert!(error.contains("/no/such/program"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_child_killed_from_outside_comes_back_as_another_process() {
        let mut rig = Rig::new("exec sleep 1000");
        let first = rig.next_running().await;
        kill(first);
        let second = rig.next_running().await;
        assert_ne!(first, second);
        rig.supervisor.shutdown().await;
    }

    #[tokio::test]
    async fn a_stopped_child_stays_stopped_until_it_is_started() {
        let mut rig = Rig::new("exec sleep 1000");
        let control = rig.supervisor.control().clone();
        let first = rig.next_running().await;
        control.stop("demo-0").await.unwrap();
        control.stop("demo-0").await.unwrap();
        assert_eq!(rig.next().await, Event::Stopped { node: "demo-0".into() });
        assert_eq!(control.states().borrow()[0].state, State::Stopped);
        control.start("demo-0").await.unwrap();
        control.start("demo-0").await.unwrap();
        assert_ne!(rig.next_running().await, first);
        assert!(control.stop("demo-7").await.unwrap_err().to_string().contains("the nodes are demo-0"));
        rig.supervisor.shutdown().await;
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_request_is_killed_when_there_is_hurry() {
        let mut rig = Rig::new("trap '' TERM; echo deaf; while true; do sleep 1000; done");
        rig.next_running().await;
        let log = rig.dir.path().join("demo-0.log");
        while logs::tail(&log, 1).is_empty() {
            tokio::task::yield_now().await;
        }
        rig.supervisor.control().hurry();
        rig.supervisor.shutdown().await;
        assert_eq!(rig.events.recv().await, Some(Event::Killed { node: "demo-0".into() }));
    }

    fn kill(pid: u32) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}
