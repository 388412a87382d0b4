//! The recorders of the workers, and the sum of all of them.

use parking_lot::Mutex;

use super::Frame;

/// The recorder of one worker.
#[derive(Debug)]
pub struct Recorder(Mutex<Box<Frame>>);

impl Recorder {
    /// A recorder for this number of groups: the buyers and the traffic groups.
    #[must_use]
    pub fn of(groups: usize) -> Recorder {
        Recorder(Mutex::new(Box::new(Frame::of(groups))))
    }

    /// Lets the worker write. `write` must be short.
    pub fn with(&self, write: impl FnOnce(&mut Frame)) {
        write(&mut self.0.lock());
    }
}

/// The sum of all recorders, on the reader's side.
#[derive(Debug)]
pub struct Totals {
    /// All measurements since the beginning.
    pub sum: Frame,
    /// All measurements since the last [`Totals::next_second`].
    pub second: Frame,
    spare: Box<Frame>,
}

impl Totals {
    /// Totals for this number of groups: the buyers and the traffic groups.
    #[must_use]
    pub fn of(groups: usize) -> Totals {
        Totals {
            sum: Frame::of(groups),
            second: Frame::of(groups),
            spare: Box::new(Frame::of(groups)),
        }
    }

    /// Moves the measurements of `recorder` into the sums.
    pub fn collect(&mut self, recorder: &Recorder) {
        std::mem::swap(&mut *recorder.0.lock(), &mut self.spare);
        self.sum.add(&self.spare);
        self.second.add(&self.spare);
        self.spare.clear();
    }

    /// Begins the next second.
    pub fn next_second(&mut self) {
        self.second.clear();
    }
}
