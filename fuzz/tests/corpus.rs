//! The inputs that are kept: what once failed, and what reaches far into the code that reads it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use greenroom_fuzz::TARGETS;

#[test]
fn every_kept_input_and_every_seed_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in TARGETS {
        let files = fs::read_dir(corpus.join(target.name)).unwrap();
        let kept: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        assert!(!kept.is_empty(), "{} has no inputs", target.name);
        for file in kept {
            // The name of the input that fails stands last in the output.
            println!("{}", file.display());
            (target.check)(&fs::read(&file).unwrap());
        }
        (target.seeds)().iter().for_each(|seed| (target.check)(seed));
    }
    let folders =
        fs::read_dir(corpus).unwrap().map(|folder| folder.unwrap().file_name().into_string().unwrap());
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(folders.collect::<BTreeSet<_>>(), targets);
}
