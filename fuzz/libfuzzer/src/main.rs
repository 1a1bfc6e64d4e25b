//! Hands what libFuzzer thinks of to the target that `FUZZ_TARGET` names. `cargo xtask fuzz` builds and starts it.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use greenroom_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

/// The target; its seeds are written to where libFuzzer then looks for inputs to begin with.
fn begin() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let target = greenroom_fuzz::target(&name).expect("FUZZ_TARGET names a target");
    if let Some(folder) = std::env::var_os("FUZZ_SEEDS").map(PathBuf::from) {
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).expect("the seeds can be written");
        }
    }
    target
}

fuzz_target!(
    init: {
        TARGET.get_or_init(begin);
    },
    |input: &[u8]| (TARGET.get_or_init(begin).check)(input)
);
