//! Every program on the floor, with few operations.

use std::time::Duration;

use super::*;
use crate::{Floor, Map, Unsupported};

async fn run<R: Rig>(rig: R, program: Program, n: u64) -> Result<Sample> {
    Stage::new(rig).run(Order { program, n }).await
}

#[tokio::test]
async fn every_program_counts_its_operations() {
    let programs = [
        (Program::Ping, 200, 200),
        (Program::Hot, 512, 512),
        (Program::Random, 128, 128),
        (Program::OneWay, 700, 700),
        (Program::FanOut10, 3, 3),
        (Program::FanOut1000, 2, 2),
        (Program::Skynet, 1_000, 1),
        (Program::Activation, 128, 128),
        (Program::Idle, 100, 100),
    ];
    for (program, n, operations) in programs {
        let sample = run(Floor::default(), program, n).await.unwrap();
        assert_eq!(sample.operations, operations, "{program:?}");
        assert!(sample.wall_ns > 0, "{program:?}");
    }
}

#[tokio::test]
async fn ticks_are_counted_with_their_jitter() {
    let sample = Stage::new(Floor::default()).ticks(10, Duration::from_millis(500)).await.unwrap();
    assert!(sample.operations >= 75, "{sample:?}");
    assert!(sample.jitter_p99_ns > Some(0), "{sample:?}");
}

#[tokio::test]
async fn a_rig_says_what_it_lacks() {
    let error = run(Map::default(), Program::Ticks, 1).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Unsupported>().unwrap().0, "it has no ticks");
}
