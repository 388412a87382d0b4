use super::plant::{CAPACITY, Second, Setting, run};
use super::*;

const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const ONSET: usize = 200;
const END: usize = 260;

/// `share` of the capacity of the simulated service.
fn cap(share: f64) -> Cap {
    Cap::of((CAPACITY * share * 10.0) as u64, Duration::from_secs(10))
}

fn with_incident(seed: u64, share: f64, controlled: bool) -> Vec<Second> {
    run(&Setting {
        seed,
        cap: cap(share),
        controlled,
        seconds: 400,
        capacity: |second| match (ONSET..END).contains(&(second as usize)) {
            true => 0.3,
            false => 1.0,
        },
        delay: |_| 0,
    })
}

/// Each request takes `EXTRA_MS` more for five minutes.
fn with_delay<const EXTRA_MS: u64>(seed: u64) -> Vec<Second> {
    run(&Setting {
        seed,
        cap: cap(0.75),
        controlled: true,
        seconds: 600,
        capacity: |_| 1.0,
        delay: |second| match (100..400).contains(&second) {
            true => EXTRA_MS,
            false => 0,
        },
    })
}

/// Standard deviation of the rate, divided by its mean.
fn spread(seconds: &[Second]) -> f64 {
    let rate = mean(seconds, |it| it.rate);
    mean(seconds, |it| (it.rate - rate).powi(2)).sqrt() / rate
}

fn outside(seconds: &[Second]) -> usize {
    let outside = seconds.iter().filter(|it| !it.is_within_objective());
    outside.count()
}

fn mean(seconds: &[Second], of: impl Fn(&Second) -> f64) -> f64 {
    seconds.iter().map(of).sum::<f64>() / seconds.len() as f64
}

/// Users arrive, and the service is fast.
fn well() -> Measurement {
    Measurement {
        samples: 1_000,
        p95: OBJECTIVE / 10,
        recent_p95: OBJECTIVE / 10,
        admitted: 100,
        ..Measurement::default()
    }
}

fn slow() -> Measurement {
    Measurement {
        p95: OBJECTIVE,
        recent_p95: OBJECTIVE,
        ..well()
    }
}

fn at(rate: f64) -> State {
    State {
        rate,
        good: rate,
        cool_down: 0,
        in_trouble: false,
    }
}

#[test]
fn above_capacity_the_rate_settles_near_capacity_without_errors() {
    for (seed, share) in SEEDS
        .into_iter()
        .flat_map(|seed| [1.25, 1.5, 2.0].map(|share| (seed, share)))
    {
        let seconds = with_incident(seed, share, true);
        let steady = &seconds[60..ONSET];
        let deviation = spread(steady);
        let used = mean(steady, |it| it.served as f64) / (4.0 * CAPACITY);
        let errors: u64 = seconds.iter().map(|it| it.errors).sum();
        let of = format!("seed {seed}, cap {share} of capacity");
        assert!(deviation <= 0.25, "{of}: deviation/mean {deviation:.2}");
        assert!(used >= 0.8, "{of}: {used:.2} of capacity used");
        assert_eq!(errors, 0, "{of}");
    }
}

#[test]
fn a_service_at_a_third_of_its_capacity_is_within_the_objective_after_30_s_and_back_30_s_after() {
    for (seed, share) in SEEDS
        .into_iter()
        .flat_map(|seed| [0.75, 0.95].map(|share| (seed, share)))
    {
        let seconds = with_incident(seed, share, true);
        let (before, after) = (seconds[ONSET - 1].rate, seconds[END + 30].rate);
        let of = format!("seed {seed}, cap {share} of capacity");
        assert!(
            seconds[ONSET + 30].is_within_objective(),
            "{of}: {:?}",
            seconds[ONSET + 30]
        );
        assert!(
            after >= 0.8 * before,
            "{of}: {before} before, {after} after"
        );
        assert_eq!(seconds.iter().map(|it| it.errors).sum::<u64>(), 0, "{of}");
    }
}

/// After four cuts in a row, the rates 1, 0.7, 0.49 and 0.34 alone give a spread of `sqrt(mean of squares − square of
/// mean) / mean` = 0.39, for any service. Only the rates after the cuts are a steady state.
#[test]
fn a_delay_that_fewer_people_do_not_shorten_leads_to_a_low_rate_that_stays() {
    for seed in SEEDS {
        let seconds = with_delay::<600>(seed);
        let steady = &seconds[250..400];
        let of = format!("seed {seed}");
        assert!(spread(steady) <= 0.25, "{of}: {:.2}", spread(steady));
        assert!(mean(steady, |it| it.rate) <= 0.1 * seconds[99].rate, "{of}");
        assert!(seconds[500].rate >= 0.8 * seconds[99].rate, "{of}");
    }
}

#[test]
fn the_queue_advances_however_long_requests_are_older_than_the_objective() {
    for seed in SEEDS {
        let seconds = with_delay::<5_000>(seed);
        // At the floor of 0.3 users a second one user takes up to four seconds.
        let longest_pause = WINDOW as usize + 5;
        for (at, window) in seconds[100..400].windows(longest_pause).enumerate() {
            let admitted: u64 = window.iter().map(|it| it.admitted).sum();
            assert!(
                admitted > 0,
                "seed {seed}: no admission for {longest_pause} s from {}",
                100 + at
            );
        }
        let incident = mean(&seconds[150..400], |it| it.admitted as f64);
        assert!(
            incident <= 0.05 * seconds[99].rate,
            "seed {seed}: {incident}"
        );
    }
}

/// The control group: the same runs with a fixed rate.
#[test]
fn a_fixed_rate_stays_outside_long_after_the_incident_where_the_law_does_not() {
    for seed in SEEDS {
        let (fixed, follows) = (
            with_incident(seed, 0.95, false),
            with_incident(seed, 0.95, true),
        );
        let (fixed, follows) = (outside(&fixed[ONSET..]), outside(&follows[ONSET..]));
        assert!(
            fixed >= 150,
            "seed {seed}: {fixed} s outside at a fixed rate"
        );
        assert!(
            follows <= 45,
            "seed {seed}: {follows} s outside with the law"
        );
    }
}

#[test]
fn without_samples_the_rate_holds_whatever_else_is_measured() {
    for errors in [0, 7] {
        let few = Measurement {
            samples: MIN_SAMPLES - 1,
            errors,
            oldest: OBJECTIVE * 3,
            ..slow()
        };
        let (next, decision) = step(at(7.0), &few, 1_000, cap(1.0));
        assert_eq!((next, decision.reason), (at(7.0), Reason::FewSamples));
        // The only reason that needs no samples.
        assert!(!decision.admits);
        // After a window without admissions, users are admitted at the lowest rate.
        let paused = Measurement { admitted: 0, ..few };
        let (next, decision) = step(at(7.0), &paused, 1_000, cap(1.0));
        assert_eq!((next, decision.rate), (at(7.0), cap(1.0).floor()));
        assert!(decision.admits);
    }
}

#[test]
fn each_kind_of_trouble_cuts_the_rate_once_a_window() {
    let cases = [
        (
            Measurement {
                errors: 1,
                ..well()
            },
            Reason::Errors,
        ),
        (
            Measurement {
                oldest: OBJECTIVE * 2,
                ..well()
            },
            Reason::Oldest,
        ),
        (
            Measurement {
                saturated: true,
                ..well()
            },
            Reason::Connections,
        ),
        (slow(), Reason::Slow),
    ];
    for (bad, reason) in cases {
        let (mut state, decision) = step(at(30.0), &bad, 1_000, cap(1.0));
        assert_eq!((decision.rate, decision.reason), (0.7 * 30.0, reason));
        for _ in 1..WINDOW {
            let (next, held) = step(state, &bad, 1_000, cap(1.0));
            assert_eq!((held.rate, held.reason), (decision.rate, Reason::CoolDown));
            state = next;
        }
        let (_, again) = step(state, &bad, 1_000, cap(1.0));
        assert_eq!((again.rate, again.reason), (0.7 * decision.rate, reason));
    }
}

#[test]
fn a_cut_leaves_samples_to_learn_from() {
    let rate_with = |samples| {
        let few = Measurement { samples, ..slow() };
        let (_, decision) = step(at(10.0), &few, 1_000, cap(1.0));
        assert_eq!(decision.reason, Reason::Slow);
        decision.rate
    };
    assert_eq!(rate_with(100), 7.0);
    assert_eq!(rate_with(50), 8.0);
    assert_eq!(rate_with(40), 10.0);
}

#[test]
fn a_window_that_is_slow_in_its_older_part_only_is_not_cut_again() {
    let mended = Measurement {
        recent_p95: OBJECTIVE / 10,
        ..slow()
    };
    let (_, decision) = step(at(30.0), &mended, 1_000, cap(1.0));
    assert_eq!((decision.rate, decision.reason), (30.0, Reason::Near));
}

#[test]
fn the_good_rate_is_that_before_the_first_cut_and_the_way_back_to_it_is_short() {
    let (mut state, _) = step(at(30.0), &slow(), 1_000, cap(1.0));
    state.cool_down = 0;
    let (mut state, _) = step(state, &slow(), 1_000, cap(1.0));
    assert_eq!(state.good, 0.9 * 30.0);
    state.cool_down = 0;
    let mut steps = 0;
    while state.rate < state.good {
        let (next, decision) = step(state, &well(), 1_000, cap(1.0));
        assert_eq!(decision.reason, Reason::Back);
        (state, steps) = (next, steps + 1);
    }
    assert_eq!((steps, state.in_trouble), (3, false));
    let (state, decision) = step(state, &well(), 1_000, cap(1.0));
    assert_eq!(decision.reason, Reason::Growth);
    assert!((state.rate - (27.0 + 0.4)).abs() < 1e-9, "{state:?}");
}

#[test]
fn the_rate_does_not_grow_while_few_wait_or_few_buy() {
    let (_, few) = step(at(30.0), &well(), 29, cap(1.0));
    assert_eq!((few.rate, few.reason), (30.0, Reason::FewWaiting));
    let absent = Measurement {
        samples: 100,
        admitted: 101,
        ..well()
    };
    let (_, decision) = step(at(30.0), &absent, 1_000, cap(1.0));
    assert_eq!((decision.rate, decision.reason), (30.0, Reason::FewBuying));
}

#[test]
fn the_floor_is_a_hundredth_of_the_cap_and_one_person_an_interval() {
    let floor = |batch, seconds| Cap::of(batch, Duration::from_secs(seconds)).floor();
    assert!((floor(1_000, 1) - 10.0).abs() < 1e-9);
    assert!((floor(50, 10) - 0.1).abs() < 1e-9);
    assert!((floor(1, 10) - 0.1).abs() < 1e-9, "never above the cap");
}

#[test]
fn of_two_servers_the_worse_figure_counts_unless_it_is_chance() {
    let chance = Measurement {
        samples: 3,
        p95: OBJECTIVE * 9,
        errors: 1,
        admitted: 4,
        ..well()
    };
    let busy = Measurement {
        oldest: OBJECTIVE,
        saturated: true,
        admitted: 6,
        ..slow()
    };
    let both = Measurement::of_servers(&[chance, busy]);
    assert_eq!(
        (both.p95, both.oldest, both.errors),
        (OBJECTIVE, OBJECTIVE, 1)
    );
    // Both see the same queue: the users are not counted twice.
    assert_eq!(
        (both.samples, both.admitted, both.saturated),
        (1_003, 6, true)
    );
}

#[test]
fn servers_that_have_few_samples_each_are_slow_together() {
    let few = Measurement {
        samples: MIN_SAMPLES - 1,
        ..slow()
    };
    let all = Measurement::of_servers(&[few, few]);
    let (_, decision) = step(at(30.0), &all, 1_000, cap(1.0));
    assert_eq!(decision.reason, Reason::Slow);
}

proptest::proptest! {
    #[test]
    fn no_measurement_and_no_state_lead_above_the_cap_or_below_the_floor(
        (batch, every) in (1_u64..1_000_000, 100_u64..3_600_000),
        (rate, good) in (proptest::num::f64::ANY, proptest::num::f64::ANY),
        (cool_down, in_trouble) in (0_u32..20, proptest::bool::ANY),
        steps in proptest::collection::vec(
            ((0_u64..100, 0_u64..2_000, 0_u64..2_000), (0_u64..3, 0_u64..2_000, proptest::bool::ANY), (0_u64..100, 0_u64..1_000)), 1..40),
    ) {
        let cap = Cap::of(batch, Duration::from_millis(every));
        let mut state = State { rate, good, cool_down, in_trouble };
        for ((samples, p95, recent), (errors, oldest, saturated), (admitted, waiting)) in steps {
            let now = Measurement {
                samples,
                p95: Duration::from_millis(p95),
                recent_p95: Duration::from_millis(recent),
                errors,
                oldest: Duration::from_millis(oldest),
                saturated,
                admitted,
            };
            let (next, decision) = step(state, &now, waiting, cap);
            proptest::prop_assert!(decision.rate >= cap.floor() && decision.rate <= cap.rate(), "{:?}", decision);
            if samples < MIN_SAMPLES && state.rate >= cap.floor() && state.rate <= cap.rate() {
                proptest::prop_assert_eq!(next.rate, state.rate);
            }
            state = next;
        }
    }
}
