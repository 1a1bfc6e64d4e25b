//! The inputs that are kept: what once failed, and what reaches far into the code that reads it. And the seeds as they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use greenroom_fuzz::{TARGETS, target};

fn kept_inputs_and_seeds_hold(name: &str) {
    let target = target(name).unwrap();
    let files = fs::read_dir(corpus().join(name)).unwrap();
    let kept: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(!kept.is_empty(), "{name} has no inputs");
    for file in kept {
        // The name of the input that fails stands last in the output.
        println!("{}", file.display());
        (target.check)(&fs::read(&file).unwrap());
    }
    for (number, seed) in (target.seeds)().iter().enumerate() {
        println!("seed {number}");
        (target.check)(seed);
    }
}

macro_rules! kept_inputs_of {
    ($($target:ident,)*) => {
        $(
            #[test]
            fn $target() {
                kept_inputs_and_seeds_hold(stringify!($target));
            }
        )*
    };
}
greenroom_fuzz::for_every_target!(kept_inputs_of);

#[test]
fn the_folders_are_those_of_the_targets() {
    let folders =
        fs::read_dir(corpus()).unwrap().map(|folder| folder.unwrap().file_name().into_string().unwrap());
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(folders.collect::<BTreeSet<_>>(), targets);
}

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}
