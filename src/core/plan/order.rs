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

use std::collections::BTreeSet;

use super::super::action::Action;
use super::super::identity::Identity;
use super::super::quotas::Limits;
use super::parts::{Most, Part, Place, Step};
use super::reach::{Effort, meet};
use super::shifts::{Manner, Shift};

/// Parts that limit each other: of so many it is tried whether some can do with fewer steps.
const MOST_TRIED: usize = 16;

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
    most: Most,
}

/// The actions that write the parts, in order, from what is found; None where IAM's quotas leave no room for a way that is safe. With `without_a_gap`
/// nothing may be missing in between, either.
pub(super) fn in_order(parts: &[Part<'_>], effort: &Effort, found: &Identity, most: Most, without_a_gap: bool) -> Option<Vec<Action>> {
    let is_exchange = parts.iter().any(|part| part.is_exchange);
    let leaves_gap = is_exchange && !without_a_gap;
    let ties_of = |one: &Part<'_>| parts.iter().map(|other| ties(one, other, leaves_gap, effort)).collect();
    let order = Order { parts, ties: parts.iter().map(ties_of).collect(), most };
    // What keeps more of what is allowed, and what makes fewer writes, is tried first. Around an exchange what ends goes before it and what is new comes after.
    let attempts = [
        (Manner::Together, Splits::Where(Strength::Should), Gaps::ForRoom),
        (Manner::Apart, Splits::Where(Strength::Should), Gaps::Any),
        (Manner::Together, Splits::Where(Strength::Must), Gaps::Any),
        (Manner::Apart, Splits::Where(Strength::Must), Gaps::Any),
        (Manner::Apart, Splits::Everywhere, Gaps::Any),
        (Manner::Bare, Splits::Everywhere, Gaps::Any),
    ];
    let attempt = |(manner, splits, gaps): (Manner, Splits, Gaps)| {
        let steps = order.untangled(manner, splits)?;
        order.scheduled(&steps, Limits::taken_by(found), if without_a_gap { Gaps::Nothing } else { gaps })
    };
    attempts.into_iter().filter(|(manner, ..)| !is_exchange || *manner != Manner::Together).find_map(attempt)
}

/// The actions that write the parts, each in as few as there can be, where the order makes no difference but for IAM's quotas; None where those leave no room.
pub(super) fn in_any_order(parts: &[Part<'_>], found: &Identity, most: Most) -> Option<Vec<Action>> {
    let order = Order { parts, ties: vec![], most };
    let steps = order.untangled(Manner::Together, Splits::Where(Strength::Must))?;
    order.scheduled(&steps, Limits::taken_by(found), Gaps::Any)
}

impl Order<'_> {
    /// The steps of all parts, each part in as few as there can be without a circle.
    fn untangled(&self, manner: Manner, splits: Splits) -> Option<Vec<Numbered>> {
        let ways = |part| Part::ways(part, manner, self.most);
        let chosen: Vec<Vec<Step>> = match splits {
            Splits::Everywhere => self.parts.iter().map(|part| ways(part).next_back().unwrap_or_default()).collect(),
            Splits::Where(strength) => self.split(self.parts.iter().map(|part| ways(part).next().unwrap_or_default()).collect(), manner, strength)?,
        };
        let mut steps = numbered(&chosen);
        steps.sort_by_cached_key(|numbered| self.place(numbered));
        Some(steps)
    }

    /// Writes the parts that go in a circle in more steps, in as few as do not; None where they always do. Through the others no circle leads whatever becomes
    /// of these.
    fn split(&self, mut chosen: Vec<Vec<Step>>, manner: Manner, strength: Strength) -> Option<Vec<Vec<Step>>> {
        let entangled = self.in_circles(numbered(&chosen).iter().collect(), strength);
        let is_free = |chosen: &[Vec<Step>]| {
            let steps = numbered(chosen);
            self.in_circles(steps.iter().filter(|step| entangled.contains(&step.part)).collect(), strength).is_empty()
        };
        for part in &entangled {
            chosen[*part] = self.parts[*part].ways(manner, self.most).next_back().unwrap_or_default();
        }
        if !is_free(&chosen) {
            return None;
        }
        for part in entangled.iter().filter(|_| entangled.len() <= MOST_TRIED) {
            for way in self.parts[*part].ways(manner, self.most) {
                let finest = std::mem::replace(&mut chosen[*part], way);
                if is_free(&chosen) {
                    break;
                }
                chosen[*part] = finest;
            }
        }
        Some(chosen)
    }

    /// Where a step stands. What roles move from is written after all that is added: otherwise a plan that was interrupted might go on with other roles
    /// taking their place.
    fn place(&self, numbered: &Numbered) -> Place {
        let leaves_roles = |tie: &Tie| tie.later == Shift::PermissionsMove && tie.strength == Strength::Must;
        let is_left = self.ties.iter().filter_map(|ties| ties.get(numbered.part)).flatten().any(leaves_roles);
        if is_left { numbered.step.place.max(Place::AFTER_ADDITIONS) } else { numbered.step.place }
    }

    /// The parts with steps that wait for each other, so strongly or more.
    fn in_circles(&self, steps: Vec<&Numbered>, strength: Strength) -> BTreeSet<usize> {
        let ties = self.ties_between(&steps);
        let waits = |later: usize, earlier: usize| ties[later][earlier] >= Some(strength);
        // What waits for no circle is in none, and neither is what no circle waits for.
        let waiting = left_waiting((0..steps.len()).collect(), waits);
        let in_circles = left_waiting(waiting, |earlier, later| waits(later, earlier));
        in_circles.into_iter().map(|step| steps[step].part).collect()
    }

    /// For each step how strongly each of the steps comes before it.
    fn ties_between(&self, steps: &[&Numbered]) -> Vec<Vec<Option<Strength>>> {
        steps.iter().map(|later| steps.iter().map(|earlier| self.tie(earlier, later)).collect()).collect()
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

    /// One step after the other: what is added first, as far as there is room, and what goes as soon as that has to make room. `now` is what the identity has.
    fn scheduled(&self, steps: &[Numbered], mut now: Limits, gaps: Gaps) -> Option<Vec<Action>> {
        let ties = self.ties_between(&steps.iter().collect::<Vec<_>>());
        let held = |strength| ties.iter().map(|ties| ties.iter().filter(|tie| **tie >= Some(strength)).count()).collect::<Vec<usize>>();
        let (mut held, mut surely_held) = (held(Strength::Should), held(Strength::Must));
        let mut taken: Vec<Limits> = self.parts.iter().map(Part::takes).collect();
        let mut left: Vec<usize> = (0..steps.len()).collect();
        let mut actions = vec![];
        while !left.is_empty() {
            let with = |now: Limits, step: usize| now.with(steps[step].step.takes, taken[steps[step].part]);
            // How much a step takes beyond the limits. What there is too much of already may become less.
            let over = |now: Limits, step: usize| with(now, step).beyond(self.most.limits.max(now));
            let fits = |step: &usize| over(now, *step) == 0;
            let (open, possible) = (|step: &usize| held[*step] == 0, |step: &usize| surely_held[*step] == 0);
            let all = || left.iter().copied();
            let relief = |next: usize| all().filter(possible).filter(fits).find(|step| over(with(now, *step), next) < over(now, next));
            let for_room = || all().filter(possible).filter(|next| !fits(next)).find_map(relief).filter(|_| gaps >= Gaps::ForRoom);
            let any = || all().filter(possible).find(fits).filter(|_| gaps == Gaps::Any);
            let next = all().filter(open).find(fits).or_else(for_room).or_else(any)?;
            now = with(now, next);
            taken[steps[next].part] = steps[next].step.takes;
            actions.extend(steps[next].step.actions.iter().cloned());
            left.retain(|step| *step != next);
            for (later, ties) in ties.iter().enumerate() {
                held[later] -= usize::from(ties[next].is_some());
                surely_held[later] -= usize::from(ties[next] == Some(Strength::Must));
            }
        }
        Some(actions)
    }
}

/// The steps of all parts.
fn numbered(chosen: &[Vec<Step>]) -> Vec<Numbered> {
    let of_part = |(part, steps): (usize, &Vec<Step>)| {
        let steps = steps.iter().cloned().enumerate();
        steps.map(|(number, step)| Numbered { part, number, step }).collect::<Vec<_>>()
    };
    chosen.iter().enumerate().flat_map(of_part).collect()
}

/// What is left when, again and again, all is taken away that waits for none of the others.
fn left_waiting(mut left: Vec<usize>, waits: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    loop {
        let waiting: Vec<usize> = left.iter().copied().filter(|one| left.iter().any(|other| waits(*one, *other))).collect();
        if waiting.len() == left.len() {
            return waiting;
        }
        left = waiting;
    }
}

/// What of a part comes before what of another.
fn ties(one: &Part<'_>, other: &Part<'_>, leaves_gap: bool, effort: &Effort) -> Vec<Tie> {
    use Shift::*;
    let (ours, theirs) = (&one.shifts, &other.shifts);
    let tie = |earlier, later, strength, holds: bool| holds.then_some(Tie { earlier, later, strength });
    // Of two things of which nothing is known neither can be known to limit the other.
    let is_known = !(one.is_opaque && other.is_opaque);
    let in_doubt = one.is_opaque || other.is_opaque;
    let is_around = in_doubt && (one.is_exchange || other.is_exchange);
    let replaces = meet(&ours.new_denials, &theirs.ended_denials, effort) && is_known && !is_around;
    // What ends goes before an exchange, and what was never allowed comes after it.
    let crosses = leaves_gap && !ours.first_permissions.is_empty();
    let of_roles = if one.holds_roles && other.holds_roles { Strength::Must } else { Strength::Should };
    [
        tie(PermissionsEnd, DenialsEnd, Strength::Must, is_known && meet(&ours.ended_permissions, &theirs.ended_denials, effort)),
        tie(NewDenials, NewPermissions, Strength::Must, is_known && meet(&ours.new_denials, &theirs.first_permissions, effort)),
        tie(NewDenials, DenialsEnd, if in_doubt { Strength::Should } else { Strength::Must }, replaces),
        tie(NewPermissions, PermissionsEnd, Strength::Should, !crosses && meet(&ours.new_permissions, &theirs.ended_permissions, effort)),
        tie(NewPermissions, PermissionsMove, of_roles, meet(&ours.new_permissions, &theirs.moved_permissions, effort)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
