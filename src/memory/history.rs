//! Counts for each minute of the last day, and how long the last answers took, for the charts of the administrator's page.
//!
//! Minutes are counted by the monotonic clock, so that a step of the wall clock moves no count. Minutes without an event take
//! no memory.

use std::collections::VecDeque;

use strum::{EnumCount, EnumIter, IntoEnumIterator, IntoStaticStr};

use crate::memory::journal::Answer;
use crate::rules::importance::Kind;
use crate::time::{DAY, Millis, Moment};

const MINUTE: Millis = 60_000;
/// Minutes that are remembered.
pub const MINUTES: u64 = DAY / MINUTE;
/// Answers whose times are remembered.
const ANSWERS: usize = 1000;

/// The counted series: pushes that left, by kind, and the outcomes of pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumCount, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Series {
    Call,
    Important,
    Silent,
    Taken,
    /// The app server refused the push.
    Refused,
    /// A transport failure: the push is owed, unless it is too late for a call.
    Failed,
    /// The push waits for the answer to the one before it.
    Held,
    /// The push waits while the user is at another client (`push_patience`).
    Waited,
    /// The push was not tried, because the app server is away.
    Owed,
    NotSent,
}

impl Series {
    /// Returns all series, in the order of their counts.
    pub fn all() -> impl Iterator<Item = Series> {
        Series::iter()
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl From<Kind> for Series {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Call => Series::Call,
            Kind::Important => Series::Important,
            Kind::Silent => Series::Silent,
        }
    }
}

/// The counts of one minute, by [`Series`].
pub type Counts = [u32; Series::COUNT];

/// How long answers took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerTimes {
    /// The number of answers.
    pub answers: usize,
    pub median: Millis,
    /// 95 of 100 answers took no longer.
    pub p95: Millis,
}

/// The last day of one host.
#[derive(Default)]
pub struct History {
    /// Minutes of the monotonic clock, in order.
    minutes: VecDeque<(u64, Counts)>,
    /// When answers came, and how long they took.
    times: VecDeque<(Millis, Millis)>,
}

impl History {
    /// Counts one event in a series.
    pub fn count(&mut self, now: Moment, series: Series) {
        let minute = now.mono / MINUTE;
        if self.minutes.back().is_none_or(|(newest, _)| *newest < minute) {
            while self.minutes.front().is_some_and(|(oldest, _)| *oldest + MINUTES <= minute) {
                self.minutes.pop_front();
            }
            self.minutes.push_back((minute, Counts::default()));
        }
        if let Some((_, counts)) = self.minutes.back_mut() {
            counts[series as usize] = counts[series as usize].saturating_add(1);
        }
    }

    /// Counts an answer; `failed`: whether it is a transport failure.
    pub fn answered(&mut self, now: Moment, answer: Answer, failed: bool) {
        let (series, after) = match answer {
            Answer::Taken(after) => (Series::Taken, Some(after)),
            // Most of these errors are our own, so their time says nothing about the app server.
            Answer::Error(..) if failed => (Series::Failed, None),
            Answer::Error(after, ..) => (Series::Refused, Some(after)),
            Answer::Silence => (Series::Taken, None),
        };
        self.count(now, series);
        let Some(after) = after else { return };
        if self.times.len() >= ANSWERS {
            self.times.pop_front();
        }
        self.times.push_back((now.mono, after));
    }

    /// Returns the minutes in which something happened, the oldest first, each with how many minutes ago it was.
    pub fn minutes(&self, now: Moment) -> impl Iterator<Item = (u64, &Counts)> {
        let current = now.mono / MINUTE;
        self.minutes
            .iter()
            .map(move |(minute, counts)| (current.saturating_sub(*minute), counts))
            .filter(|(ago, _)| *ago < MINUTES)
    }

    /// Returns how long the last answers of the day took; `None` if there was none.
    pub fn times(&self, now: Moment) -> Option<AnswerTimes> {
        let of_today = self.times.iter().filter(|(at, _)| at + DAY > now.mono);
        let mut times: Vec<Millis> = of_today.map(|(_, after)| *after).collect();
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(AnswerTimes { answers: times.len(), median: at(50)?, p95: at(95)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Moment {
        Moment { wall: 0, mono: minute * MINUTE }
    }

    #[test]
    fn a_day_is_kept_and_no_more() {
        let mut history = History::default();
        for minute in 0..3 * MINUTES {
            history.count(at(minute), Series::Call);
        }
        assert_eq!(history.minutes.len(), MINUTES as usize);
        assert_eq!(history.minutes(at(3 * MINUTES - 1)).next(), Some((MINUTES - 1, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0])));
        assert_eq!(history.minutes(at(5 * MINUTES)).count(), 0);
    }

    #[test]
    fn a_clock_that_steps_moves_no_count() {
        let mut history = History::default();
        for wall in [1_800_000_000_000, 0] {
            history.count(Moment { wall, mono: 0 }, Series::Taken);
        }
        assert_eq!(history.minutes(at(0)).map(|(ago, counts)| (ago, counts[3])).collect::<Vec<_>>(), [(0, 2)]);
    }

    #[test]
    fn times_are_of_the_last_answers() {
        let mut history = History::default();
        assert_eq!(history.times(at(0)), None);
        for after in 1..=ANSWERS as u64 + 100 {
            history.answered(at(0), Answer::Taken(after), false);
        }
        assert_eq!(history.times(at(1)), Some(AnswerTimes { answers: ANSWERS, median: 600, p95: 1050 }));
        assert_eq!(history.times(at(MINUTES)), None);
    }
}
