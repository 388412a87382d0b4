//! The scenarios that ship inside the binary.

/// A scenario that ships inside the binary.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

/// The one that runs when none is named.
pub const DEFAULT: &str = "onsale-short";

const BUILTINS: &[Builtin] = &[
    Builtin {
        name: DEFAULT,
        text: include_str!("../../../scenarios/onsale-short.yaml"),
    },
    Builtin {
        name: "onsale",
        text: include_str!("../../../scenarios/onsale.yaml"),
    },
    Builtin {
        name: "hot-seat",
        text: include_str!("../../../scenarios/hot-seat.yaml"),
    },
    Builtin {
        name: "late-surge",
        text: include_str!("../../../scenarios/late-surge.yaml"),
    },
    Builtin {
        name: "refresh-storm",
        text: include_str!("../../../scenarios/refresh-storm.yaml"),
    },
    Builtin {
        name: "back-door",
        text: include_str!("../../../scenarios/back-door.yaml"),
    },
    Builtin {
        name: "token-replay",
        text: include_str!("../../../scenarios/token-replay.yaml"),
    },
];

/// All scenarios that ship inside the binary, the default first.
#[must_use]
pub fn builtins() -> &'static [Builtin] {
    BUILTINS
}
