//! Where workers record, and what all of them add up to.

use parking_lot::Mutex;

use super::Frame;

/// Where one worker records.
#[derive(Debug)]
pub struct Recorder(Mutex<Box<Frame>>);

impl Recorder {
    /// For the requests of so many: the buyers and the traffic groups.
    #[must_use]
    pub fn of(traffic_groups: usize) -> Recorder {
        Recorder(Mutex::new(Box::new(Frame::of(traffic_groups))))
    }

    /// Lets the worker write; `write` must be short.
    pub fn with(&self, write: impl FnOnce(&mut Frame)) {
        write(&mut self.0.lock());
    }
}

/// The reader's side: what all shards add up to.
#[derive(Debug)]
pub struct Totals {
    /// Everything since the beginning.
    pub sum: Frame,
    /// The requests since the last [`Totals::next_second`].
    pub second: Frame,
    spare: Box<Frame>,
}

impl Totals {
    /// For the requests of so many: the buyers and the traffic groups.
    #[must_use]
    pub fn of(traffic_groups: usize) -> Totals {
        Totals {
            sum: Frame::of(traffic_groups),
            second: Frame::of(traffic_groups),
            spare: Box::new(Frame::of(traffic_groups)),
        }
    }

    /// Takes what `shard` holds over into the sum.
    pub fn collect(&mut self, shard: &Recorder) {
        std::mem::swap(&mut *shard.0.lock(), &mut self.spare);
        self.sum.add(&self.spare);
        self.second.add(&self.spare);
        self.spare.clear();
    }

    /// Begins another second.
    pub fn next_second(&mut self) {
        self.second.clear();
    }
}
