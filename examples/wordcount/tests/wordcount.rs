//! Every word of a real text is counted exactly once: whatever is killed in the middle, and after a restart of
//! everything.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use greenroom_wordcount::{count::Count, text};
use rig::{Directory, READY, Repeats, assert_same, counts_of, kill};

const IN_FLIGHT: usize = 64;

/// The GPL where Debian keeps it, otherwise our own license.
fn a_text() -> PathBuf {
    let gpl = Path::new("/usr/share/common-licenses/GPL-3");
    if gpl.is_file() { gpl.into() } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../../LICENSE") }
}

#[test]
fn counts_equal_the_shell_pipeline() {
    let (directory, text) = (Directory::new(), a_text());
    let dev = directory.start();
    assert_same(&directory.count(&text, "run"), &counts_of(&text));
    dev.interrupt();
}

#[tokio::test]
async fn counts_stay_exact_when_nodes_are_killed_in_the_middle() {
    const ROUNDS: usize = 10;
    let (directory, text) = (Directory::new(), a_text());
    let mut dev = directory.start();
    let (bytes, expected) = (std::fs::read(&text).unwrap(), counts_of(&text));
    let words: Vec<_> = text::words(&bytes).collect();
    // One client for all rounds: from the fourth on it knows a node's new address only if it followed the node there.
    let client = directory.client();
    let (repeats, _listening) = Repeats::listen();
    for round in 0..ROUNDS {
        let victim = format!("wordcount-{}", round % 3);
        let before = directory.node(&victim);
        let count = Count { client: &client, run: &format!("round-{round}"), in_flight: IN_FLIGHT };
        let (counted, middle) = (Cell::new(0), words.len() * (round + 1) / (ROUNDS + 1));
        let step = || {
            counted.set(counted.get() + 1);
            if counted.get() == middle {
                kill(before.pid);
            }
        };
        count.send(&words, step).await.unwrap();
        dev.wait_for(&format!("{victim}: died (killed by SIGKILL)"));
        dev.wait_for(READY);
        let after = directory.node(&victim);
        assert_ne!(after.pid, before.pid);
        assert!(after.incarnation > before.incarnation, "{} {}", after.incarnation, before.incarnation);
        assert_same(&count.counts(&words).await.unwrap(), &expected);
        assert!(repeats.take() > 0, "no call was on its way to {victim} when it died");
    }
    dev.interrupt();
}

#[tokio::test]
async fn everything_restarted_keeps_the_counts() {
    let (directory, text) = (Directory::new(), a_text());
    let (bytes, expected) = (std::fs::read(&text).unwrap(), counts_of(&text));
    let words: Vec<_> = text::words(&bytes).collect();
    let dev = directory.start();
    let client = directory.client();
    let count = Count { client: &client, run: "run", in_flight: IN_FLIGHT };
    count.send(&words, || {}).await.unwrap();
    dev.interrupt();

    let dev = directory.start();
    assert_same(&count.counts(&words).await.unwrap(), &expected);
    // Sent again as the same run, every call is one that its actor remembers.
    assert_same(&directory.count(&text, "run"), &expected);
    dev.interrupt();
}

#[tokio::test]
async fn a_client_that_was_killed_goes_on_with_its_run() {
    let (directory, text) = (Directory::new(), a_text());
    let dev = directory.start();
    let mut first =
        directory.counter(&text, "run").stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut progress = BufReader::new(first.stderr.take().unwrap()).lines().map(Result::unwrap);
    progress.find(|line| line.ends_with(" words")).expect("it says how far it is");
    first.kill().unwrap();
    assert_eq!(first.wait().unwrap().signal(), Some(9), "it had already ended");

    let bytes = std::fs::read(&text).unwrap();
    let words: Vec<_> = text::words(&bytes).collect();
    let client = directory.client();
    let count = Count { client: &client, run: "run", in_flight: IN_FLIGHT };
    let counted: u64 = count.counts(&words).await.unwrap().values().sum();
    assert!(counted > 0 && counted < words.len() as u64, "{counted} of {} words", words.len());
    assert_same(&directory.count(&text, "run"), &counts_of(&text));
    dev.interrupt();
}
