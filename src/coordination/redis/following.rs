//! Following the shared queue: what is new there becomes this server's state.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::scripts::{self, call};
use super::{Causes, RedisCoordination};
use crate::clock as service;
use crate::coordination::{Followed, Unavailable};
use crate::domain::queue::Admission;
use crate::domain::{Place, Timestamp};

/// Longest list in one answer.
const PAGE: usize = 1_000;
/// Answers read in a row; what is left comes with the next call.
const PAGES: usize = 1_000;

/// What this server has heard.
#[derive(Default)]
pub(super) struct Follower {
    generation: Option<String>,
    /// Number of the ended place heard of last.
    ended: u64,
    /// Changes of the settings known here.
    changes: u64,
    /// What a restoration was last asked for by, and the changes of the settings at that time.
    asked: Option<(Causes, u64)>,
}

impl Follower {
    /// An answer that is older than a change made here must not undo it.
    pub(super) fn knows_changes(&mut self, changes: u64) {
        self.changes = self.changes.max(changes);
    }

    pub(super) fn asked(&self) -> Option<(Causes, u64)> {
        self.asked
    }

    /// Hears everything anew.
    pub(super) fn begin(&mut self) {
        *self = Follower::default();
    }
}

/// One answer of the script.
struct News {
    /// When it was given, by Redis's clock.
    at: Timestamp,
    generation: Option<String>,
    numbers: Vec<Option<i64>>,
    batches: Vec<String>,
    ended: Vec<(u64, u64)>,
}

impl News {
    fn number(&self, at: usize) -> u64 {
        let number = self.numbers.get(at).copied().flatten();
        number.and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
    }

    fn seq(&self) -> Place {
        Place(self.number(0))
    }

    fn ended_so_far(&self) -> u64 {
        self.number(2)
    }

    fn changes(&self) -> u64 {
        self.number(3)
    }

    fn admission(&self) -> Admission {
        Admission {
            batch: self.number(4),
            every_ms: self.number(5),
            paused: self.number(6) != 0,
            opens_at: self.numbers.get(7).copied().flatten().map(Timestamp),
        }
    }

    fn due(&self) -> Option<i64> {
        self.numbers.get(8).copied().flatten()
    }
}

impl RedisCoordination {
    /// Brings this server's state up to date with the shared one, and connects anew when it is time.
    pub async fn follow(&self) -> Followed {
        self.locks.revive();
        if !self.queue.revive().await {
            return Followed::Away;
        }
        if self.is_available() {
            match self.pull().await {
                Ok(()) => self.send_unsent().await,
                // A lone time-out.
                Err(Unavailable) if self.is_available() => return Followed::Away,
                // Found empty, or given up.
                Err(Unavailable) => {}
            }
        }
        let causes = self.causes();
        if *self.restored.lock() == Some(causes) {
            return Followed::UpToDate;
        }
        match self.hear_before_restoration(causes).await {
            Ok(_) => Followed::NeedsRestore,
            Err(Unavailable) => Followed::Away,
        }
    }

    /// Hears how things are before a restoration that `causes` ask for; whether the queue is complete.
    pub(super) async fn hear_before_restoration(
        &self,
        causes: Causes,
    ) -> Result<bool, Unavailable> {
        // What is there may be old: only the clock and the count of changes are taken from it.
        let news = self.news(u64::MAX).await?;
        self.follower.lock().asked = Some((causes, news.changes()));
        Ok(news.generation.is_some())
    }

    /// Takes over all that is new.
    pub(super) async fn pull(&self) -> Result<(), Unavailable> {
        for _ in 0..PAGES {
            let losses = self.losses.load(Ordering::Acquire);
            let cursor = self.follower.lock().ended;
            let news = self.news(cursor).await?;
            if news.generation.is_none() {
                self.lost(losses);
                return Err(Unavailable);
            }
            let full = news.batches.len() >= PAGE || news.ended.len() >= PAGE;
            if !self.apply(news, losses) || !full {
                break;
            }
        }
        Ok(())
    }

    async fn news(&self, ended: u64) -> Result<News, Unavailable> {
        let keys = &self.keys;
        let mut follow = call(
            &scripts::FOLLOW,
            &[&keys.ready, &keys.queue, &keys.batches, &keys.ended],
        );
        follow
            .arg(self.state.registered().0)
            .arg(self.state.mark().0)
            .arg(ended)
            .arg(PAGE);
        let within = self.options.follow_within;
        type Answer = (
            i64,
            Option<String>,
            Vec<Option<i64>>,
            Vec<String>,
            Vec<(u64, u64)>,
        );
        let answer: Answer = self.queue.run(&follow, within).await?;
        let (now, generation, numbers, batches, ended) = answer;
        self.clock.heard(Timestamp(now), Instant::now());
        Ok(News {
            at: Timestamp(now),
            generation,
            numbers,
            batches,
            ended,
        })
    }

    /// `false` when there is nothing more to be read in order.
    fn apply(&self, news: News, losses: u64) -> bool {
        let mut follower = self.follower.lock();
        if follower.generation.is_some() && follower.generation != news.generation {
            // Emptied and restored by another server between two calls: here something may be known
            // that is not known there.
            drop(follower);
            self.lost(losses);
            return false;
        }
        follower.generation.clone_from(&news.generation);
        self.state.registered_up_to(news.seq());
        // Clocks that agree show the same instant everywhere. One that was set does not: then the
        // times of batches are translated, and a batch that is known is in force within the lead.
        let now = self.service_clock.now();
        let ahead = news.at.0.saturating_sub(now.0);
        let ahead = if ahead.abs() < service::STEP_MS {
            0
        } else {
            ahead
        };
        let latest = now
            .after(self.options.lead)
            .0
            .saturating_add(service::STEP_MS);
        for batch in &news.batches {
            let parts = batch.split_once(':');
            let parts = parts.and_then(|(mark, at)| Some((mark.parse().ok()?, at.parse().ok()?)));
            if let Some((mark, at)) = parts {
                let at = Timestamp(i64::saturating_sub(at, ahead).min(latest));
                self.state.publish(Place(mark), at);
            }
        }
        for &(place, number) in &news.ended {
            self.state.end(Place(place));
            follower.ended = follower.ended.max(number);
        }
        if news.ended_so_far() < follower.ended {
            // The count went back, so new places may have numbers that were heard of before.
            follower.ended = 0;
        }
        if news.changes() >= follower.changes {
            follower.changes = news.changes();
            self.state.store_admission(news.admission());
            self.set_due(news.due());
        }
        true
    }

    /// Asks for a restoration, while the queue goes on being used.
    pub(super) fn wish(&self) {
        self.wishes.fetch_add(1, Ordering::AcqRel);
    }
}
