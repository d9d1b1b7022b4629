//! The order in which the parts of a change are written, so that in between nothing is allowed that is allowed neither before nor afterwards (L3), and all
//! is allowed that is allowed before and afterwards (L4).
//!
//! What a part does stands in ties to what others do where both are about the same:
//! - what is new to be denied comes before what is new to be allowed, and before what is denied no longer;
//! - what is allowed no longer goes before what denied it;
//! - what is new to be allowed comes before what is allowed no longer. This is for L4, and gives way where IAM's quotas have no room for both.
//!
//! A part that does several of these things at once may be tied both ways. Then it is written several times: first what it says beside what it is to say,
//! or, where there is no room for that, without what it is not to allow any longer.

use super::super::action::Action;
use super::super::identity::Identity;
use super::super::observed::after;
use super::super::quotas::{Limits, Quotas};
use super::parts::{Manner, Part, Place, Shift, Step};
use super::reach::meet;

/// What an identity, and its policies, may have at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// The identity.
    pub(super) limits: Limits,
    /// Characters of a customer-managed policy.
    pub(super) managed_policy_size: usize,
}

impl Most {
    /// What the account lets an identity have.
    pub(super) fn of(quotas: &Quotas, identity: &Identity) -> Self {
        Self { limits: quotas.limits(&identity.name), managed_policy_size: quotas.managed_policy_size }
    }
}

/// How strongly one thing comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// Something that is allowed before and afterwards would be missing for a moment.
    Should,
    /// Something would be allowed for a moment that neither before nor afterwards is.
    Must,
}

/// That one shift of a part comes before one of another.
#[derive(Clone, Copy, Debug)]
struct Tie {
    earlier: Shift,
    later: Shift,
    strength: Strength,
}

/// What may be missing in between although it is allowed before and afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Gaps {
    Nothing,
    /// What has to make room.
    ForRoom,
    /// What cannot be helped.
    Any,
}

/// Which parts are written several times.
#[derive(Clone, Copy, Debug)]
enum Splits {
    /// Those with ties, of this strength or more, that go in a circle.
    Where(Strength),
    /// All.
    Everywhere,
}

/// A step of a part, with its number among those of the part.
#[derive(Clone, Debug)]
struct Numbered {
    part: usize,
    number: usize,
    step: Step,
}

/// The parts of a change, with their ties.
struct Order<'a> {
    parts: &'a [Part<'a>],
    /// Those of each part to each other.
    ties: Vec<Vec<Vec<Tie>>>,
}

/// The actions that write the parts, in order, from what is found; None where IAM's quotas leave no room for a way that is safe. With `without_a_gap`
/// nothing may be missing in between, either.
pub(super) fn in_order(parts: &[Part<'_>], found: &Identity, most: Most, without_a_gap: bool) -> Option<Vec<Action>> {
    let order = Order::of(parts, without_a_gap);
    // What keeps more of what is allowed, and what makes fewer writes, is tried first. Around an exchange what ends goes before it and what is new comes after.
    let is_exchange = parts.iter().any(|part| part.is_exchange);
    let attempts = [
        (Manner::Together, Splits::Where(Strength::Should), Gaps::ForRoom),
        (Manner::Apart, Splits::Where(Strength::Should), Gaps::Any),
        (Manner::Together, Splits::Where(Strength::Must), Gaps::Any),
        (Manner::Apart, Splits::Where(Strength::Must), Gaps::Any),
        (Manner::Apart, Splits::Everywhere, Gaps::Any),
    ];
    let attempt = |(manner, splits, gaps): (Manner, Splits, Gaps)| {
        let steps = order.untangled(manner, splits, most)?;
        order.scheduled(&steps, found, most.limits, if without_a_gap { Gaps::Nothing } else { gaps })
    };
    attempts.into_iter().filter(|(manner, ..)| !is_exchange || *manner == Manner::Apart).find_map(attempt)
}

impl<'a> Order<'a> {
    fn of(parts: &'a [Part<'a>], without_a_gap: bool) -> Self {
        let is_exchange = parts.iter().any(|part| part.is_exchange);
        let leaves_gap = is_exchange && !without_a_gap;
        let of = |one: &Part<'_>| parts.iter().map(|other| ties(one, other, leaves_gap)).collect();
        let ties = parts.iter().map(of).collect();
        Self { parts, ties }
    }

    /// The steps of all parts, each part in as few as there can be without a circle.
    fn untangled(&self, manner: Manner, splits: Splits, most: Most) -> Option<Vec<Numbered>> {
        let ways: Vec<Vec<Vec<Step>>> = self.parts.iter().map(|part| part.ways(manner, most.managed_policy_size)).collect();
        let steps = |chosen: &[usize]| -> Vec<Numbered> {
            let chosen = ways.iter().zip(chosen).map(|(ways, way)| ways.get(*way).into_iter().flatten()).enumerate();
            chosen.flat_map(|(part, steps)| steps.enumerate().map(move |(number, step)| Numbered { part, number, step: step.clone() })).collect()
        };
        let finest: Vec<usize> = ways.iter().map(|ways| ways.len().saturating_sub(1)).collect();
        let chosen = match splits {
            Splits::Everywhere => finest,
            Splits::Where(strength) => {
                let is_free = |chosen: &[usize]| !self.goes_in_a_circle(&steps(chosen), strength);
                let fewest = vec![0; ways.len()];
                if is_free(&fewest) { fewest } else { coarsened(finest, is_free)? }
            }
        };
        let mut steps = steps(&chosen);
        steps.sort_by_key(|numbered| self.place(numbered));
        Some(steps)
    }

    /// Where a step stands. What roles move from is written after all that is added: otherwise a plan that was interrupted might go on with other roles
    /// taking their place.
    fn place(&self, numbered: &Numbered) -> Place {
        let leaves_roles = |tie: &Tie| tie.later == Shift::PermissionsMove && tie.strength == Strength::Must;
        let is_left = self.ties.iter().filter_map(|ties| ties.get(numbered.part)).flatten().any(leaves_roles);
        if is_left { numbered.step.place.max(Place::AFTER_ADDITIONS) } else { numbered.step.place }
    }

    fn goes_in_a_circle(&self, steps: &[Numbered], strength: Strength) -> bool {
        let mut left: Vec<&Numbered> = steps.iter().collect();
        loop {
            let held: Vec<&Numbered> = left.iter().copied().filter(|step| self.is_held(step, &left, strength)).collect();
            if held.is_empty() || held.len() == left.len() {
                return !held.is_empty();
            }
            left = held;
        }
    }

    /// Whether one of those that are left comes before a step, so strongly or more.
    fn is_held(&self, step: &Numbered, left: &[&Numbered], strength: Strength) -> bool {
        left.iter().any(|other| self.tie(other, step).is_some_and(|tie| tie >= strength))
    }

    /// How strongly one step comes before another.
    fn tie(&self, earlier: &Numbered, later: &Numbered) -> Option<Strength> {
        if earlier.part == later.part {
            return (earlier.number < later.number).then_some(Strength::Must);
        }
        let holds = |tie: &&Tie| earlier.step.shifts.contains(&tie.earlier) && later.step.shifts.contains(&tie.later);
        let ties = self.ties.get(earlier.part).and_then(|ties| ties.get(later.part));
        ties.into_iter().flatten().filter(holds).map(|tie| tie.strength).max()
    }

    /// One step after the other: what is added first, as far as there is room, and what goes as soon as that has to make room.
    fn scheduled(&self, steps: &[Numbered], found: &Identity, limits: Limits, gaps: Gaps) -> Option<Vec<Action>> {
        let mut now = found.clone();
        let mut left: Vec<&Numbered> = steps.iter().collect();
        let mut actions = vec![];
        while !left.is_empty() {
            let free = |strength| left.iter().copied().filter(|step| !self.is_held(step, &left, strength)).collect::<Vec<_>>();
            let (open, possible) = (free(Strength::Should), free(Strength::Must));
            let fits = |step: &&&Numbered| over(&now, step, limits) == 0;
            let frees = |step: &Numbered, next: &Numbered| over(&with(&now, step), next, limits) < over(&now, next, limits);
            let relief = |next: &&Numbered| possible.iter().filter(fits).find(|step| frees(step, next));
            let for_room = || possible.iter().filter(|next| !fits(next)).find_map(relief).filter(|_| gaps >= Gaps::ForRoom);
            let any = || possible.iter().find(fits).filter(|_| gaps == Gaps::Any);
            let next = *open.iter().find(fits).or_else(for_room).or_else(any)?;
            now = with(&now, next);
            actions.extend(next.step.actions.iter().cloned());
            left.retain(|step| !std::ptr::eq(*step, next));
        }
        Some(actions)
    }
}

/// For each part in turn the first way that is free, where the others are as they were chosen; None where nothing is free even in the beginning.
fn coarsened(finest: Vec<usize>, is_free: impl Fn(&[usize]) -> bool) -> Option<Vec<usize>> {
    let mut chosen = finest.clone();
    if !is_free(&chosen) {
        return None;
    }
    for (part, finest) in finest.into_iter().enumerate() {
        let with = |way: usize| chosen.iter().enumerate().map(|(index, old)| if index == part { way } else { *old }).collect::<Vec<_>>();
        chosen = (0..=finest).map(with).find(|chosen| is_free(chosen)).unwrap_or_else(|| chosen.clone());
    }
    Some(chosen)
}

/// The identity after a step.
fn with(identity: &Identity, step: &Numbered) -> Identity {
    step.step.actions.iter().fold(identity.clone(), |identity, action| after(&identity, action))
}

/// How much a step takes beyond the limits. What there is too much of already may become less.
fn over(identity: &Identity, step: &Numbered, limits: Limits) -> usize {
    Limits::taken_by(&with(identity, step)).beyond(limits.max(Limits::taken_by(identity)))
}

/// What of a part comes before what of another.
fn ties(one: &Part<'_>, other: &Part<'_>, leaves_gap: bool) -> Vec<Tie> {
    use Shift::*;
    let (ours, theirs) = (&one.shifts, &other.shifts);
    let tie = |earlier, later, strength, holds: bool| holds.then_some(Tie { earlier, later, strength });
    // Of two things of which nothing is known neither can be known to limit the other.
    let is_known = !(one.is_opaque && other.is_opaque);
    let in_doubt = one.is_opaque || other.is_opaque;
    let is_around = in_doubt && (one.is_exchange || other.is_exchange);
    let replaces = meet(&ours.new_denials, &theirs.ended_denials) && is_known && !is_around;
    // What ends goes before an exchange, and what was never allowed comes after it.
    let crosses = leaves_gap && !ours.first_permissions.is_empty();
    let of_roles = if one.holds_roles && other.holds_roles { Strength::Must } else { Strength::Should };
    [
        tie(PermissionsEnd, DenialsEnd, Strength::Must, is_known && meet(&ours.ended_permissions, &theirs.ended_denials)),
        tie(NewDenials, NewPermissions, Strength::Must, is_known && meet(&ours.new_denials, &theirs.first_permissions)),
        tie(NewDenials, DenialsEnd, if in_doubt { Strength::Should } else { Strength::Must }, replaces),
        tie(NewPermissions, PermissionsEnd, Strength::Should, !crosses && meet(&ours.new_permissions, &theirs.ended_permissions)),
        tie(NewPermissions, PermissionsMove, of_roles, meet(&ours.new_permissions, &theirs.moved_permissions)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
