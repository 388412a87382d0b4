//! What screens are built from: frames, big numbers, charts, bars, tables. Each draws into an area
//! of a buffer and knows nothing of the model.

mod big;
mod chart;
mod fields;
mod frame;
mod heat;
mod plot;
mod shares;

pub(super) use big::big;
pub(super) use chart::{Chart, Line, Overlay, instant_on};
pub(super) use fields::fields;
pub(super) use frame::{Freshness, centred, foot, frame, more, popup, wrapped};
pub(super) use heat::heat;
pub(super) use plot::{Plot, back};
pub(super) use shares::{Share, gauge, shares};
