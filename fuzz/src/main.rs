//! Runs one target of `concertctl::fuzzing`, the one that `FUZZ_TARGET` names, under libFuzzer.
#![no_main]

use std::sync::OnceLock;

use concertctl::fuzzing::{Target, find};

static TARGET: OnceLock<&Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names the target; use scripts/fuzz");
        let target = find(&name).unwrap_or_else(|| panic!("{name:?} is no fuzz target"));
        TARGET.get_or_init(|| target);
        // libFuzzer's own hook aborts on every panic, also on those that the program catches. A panic
        // that leaves the target still ends the run.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    },
    |data: &[u8]| {
        let target = TARGET.get().expect("the initialisation sets it");
        (target.run)(data);
    }
);
