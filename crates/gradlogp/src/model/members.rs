//! Several networks as one, whose output is the mean of theirs, MATH (70).
//!
//! The loss of the mean of K scores is below the mean of their losses by half the mean square of their
//! distance from it, for the exact loss row by row, since the trace is linear:
//!
//! ```text
//! J(mean s_k) = mean J(s_k) - 1/2 mean E|s_k - mean s|^2
//! ```
//!
//! So an ensemble is never worse than its members are in the mean, and their spread is an error bar.

use crate::graph::{GraphBuilder, NodeId};
use crate::{Error, Result};

/// Most members of one network.
const MOST: usize = 100;

/// Refuses no member, or more than make sense.
pub(crate) fn check_members(members: usize) -> Result<()> {
    match members {
        1..=MOST => Ok(()),
        _ => Err(Error::config("members", format!("must be from 1 to {MOST}"))),
    }
}

/// The mean of `members` networks, each built by `member` with the beginning of its parameters' names: none for one
/// alone.
pub(crate) fn average(
    b: &mut GraphBuilder,
    members: usize,
    mut member: impl FnMut(&mut GraphBuilder, &str) -> NodeId,
) -> NodeId {
    if members == 1 {
        return member(b, "");
    }
    let mut sum = None;
    for k in 0..members {
        let output = member(b, &format!("member.{k}."));
        sum = Some(match sum {
            None => output,
            Some(sum) => b.add(sum, output),
        });
    }
    match sum {
        Some(sum) => b.scale(sum, 1.0 / members as f64),
        None => member(b, ""),
    }
}

/// A parameter's name without its member's.
pub(crate) fn without_member(name: &str) -> &str {
    let rest = name.strip_prefix("member.").and_then(|rest| rest.split_once('.'));
    rest.map_or(name, |(_, rest)| rest)
}

/// The number of members in files that do not say.
pub(crate) fn one() -> usize {
    1
}

pub(crate) fn is_one(members: &usize) -> bool {
    *members == 1
}
