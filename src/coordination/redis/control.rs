//! Admission that follows the objective: servers share their measurements, and one of them decides.

use std::time::Duration;

use super::RedisCoordination;
use super::scripts::{self, call};
use crate::coordination::{Flow, Turn, Unavailable};
use crate::domain::admission_control::{Decision, Measurement, STEP, State};

/// The figures of a server that has shared none for this long do not count: the server has stopped or has no
/// connection.
const FIGURES_KEPT: Duration = Duration::from_secs(3);

impl RedisCoordination {
    /// Shares this server's measurement and claims the turn to decide.
    pub(in crate::coordination) async fn turn(
        &self,
        own: &Measurement,
    ) -> Result<Option<Turn>, Unavailable> {
        let keys = &self.keys;
        let mut turn = call(&scripts::TURN, &[&keys.ready, &keys.queue, &keys.figures]);
        turn.arg(self.server)
            .arg(written(own))
            .arg(FIGURES_KEPT.as_millis() as u64)
            // The shortest time between two turns is a little less than a step. With a full step, a server that asks a
            // moment early would skip a decision.
            .arg((STEP * 9 / 10).as_millis() as u64)
            .arg(rand::random::<u32>())
            .arg(self.deadline());
        type Answer = (String, Option<u64>, Option<String>, Vec<String>);
        let (_, id, state, figures): Answer = self.ask(&turn).await?;
        let Some(id) = id else { return Ok(None) };
        let mut all: Vec<Measurement> = figures.iter().filter_map(|text| read(text)).collect();
        if all.is_empty() {
            all.push(*own);
        }
        Ok(Some(Turn {
            state: state.and_then(|text| read_state(&text)),
            worst: Measurement::of_servers(&all),
            id,
        }))
    }

    /// Applies the decision of `turn` on every server.
    pub(in crate::coordination) async fn apply_decision(
        &self,
        turn: &Turn,
        next: State,
        decision: &Decision,
    ) -> Result<bool, Unavailable> {
        let keys = &self.keys;
        let mut decide = call(&scripts::DECIDE, &[&keys.ready, &keys.queue]);
        decide
            .arg(turn.id)
            .arg(written_state(&next))
            .arg(decision.rate)
            .arg(u8::from(decision.admits));
        let (outcome,): (String,) = self.ask(&decide).await?;
        let is_applied = outcome == "ok";
        if is_applied {
            self.state
                .set_flow(Flow::new(decision.rate, decision.admits));
        }
        Ok(is_applied)
    }
}

fn written(of: &Measurement) -> String {
    let millis = |time: Duration| time.as_millis();
    format!(
        "{} {} {} {} {} {} {}",
        of.samples,
        millis(of.p95),
        millis(of.recent_p95),
        of.errors,
        millis(of.oldest),
        u8::from(of.saturated),
        of.admitted
    )
}

/// Parses a measurement. `None` when another version of the program wrote it in another format.
fn read(text: &str) -> Option<Measurement> {
    let numbers: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
    let [
        samples,
        p95,
        recent_p95,
        errors,
        oldest,
        saturated,
        admitted,
    ] = numbers.ok()?[..]
    else {
        return None;
    };
    Some(Measurement {
        samples,
        p95: Duration::from_millis(p95),
        recent_p95: Duration::from_millis(recent_p95),
        errors,
        oldest: Duration::from_millis(oldest),
        saturated: saturated != 0,
        admitted,
    })
}

fn written_state(of: &State) -> String {
    let in_trouble = u8::from(of.in_trouble);
    format!("{} {} {} {in_trouble}", of.rate, of.good, of.cool_down)
}

fn read_state(text: &str) -> Option<State> {
    let mut parts = text.split(' ');
    Some(State {
        rate: parts.next()?.parse().ok()?,
        good: parts.next()?.parse().ok()?,
        cool_down: parts.next()?.parse().ok()?,
        in_trouble: parts.next()? != "0",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_state_read_back_as_they_were_written() {
        let figures = Measurement {
            samples: 1,
            p95: Duration::from_millis(2),
            recent_p95: Duration::from_millis(3),
            errors: 4,
            oldest: Duration::from_millis(5),
            saturated: true,
            admitted: 6,
        };
        assert_eq!(read(&written(&figures)), Some(figures));
        let state = State {
            rate: 1.0 / 3.0,
            good: 7.5,
            cool_down: 9,
            in_trouble: true,
        };
        assert_eq!(read_state(&written_state(&state)), Some(state));
        for text in [
            "",
            "1",
            "1 2 3 x 5 6 7",
            "1 2 3 4 5 6 7 8",
            "-1 2 3 4 5 6 7",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(read_state("1 x"), None);
    }
}
