//! The elements of screens: frames, big numbers, charts, bars, tables. Each draws into an area of a buffer and is
//! independent of the model.

pub(crate) mod big;
pub(crate) mod chart;
pub(crate) mod fields;
pub(crate) mod frame;
pub(crate) mod heat;
pub(crate) mod message;
pub(crate) mod plot;
pub(crate) mod shares;
pub(crate) mod table;

pub(crate) use big::big;
pub(crate) use chart::{Chart, Line, Overlay, instant_on};
pub(crate) use fields::fields;
pub(crate) use frame::{Freshness, centred, foot, frame, more, popup, wrapped};
pub(crate) use heat::heat;
pub(crate) use plot::{Plot, back};
pub(crate) use shares::{Share, gauge, shares};
pub(crate) use table::table;
