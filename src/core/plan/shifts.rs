//! What a change of one policy, group or boundary does to what the identity may do, and in which order that is safe.

use std::collections::BTreeSet;

use super::reach::{Effort, Reach, Says, beyond, without};

/// What a change of a part does to what the identity may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// Something is denied that this part did not deny.
    NewDenials,
    /// Something is allowed that this part did not allow.
    NewPermissions,
    /// Something is allowed no longer, by this part or any other.
    PermissionsEnd,
    /// Something is allowed by other parts, and by this one no longer.
    PermissionsMove,
    /// Something is denied by this part no longer.
    DenialsEnd,
}

/// What becomes of something that denies all but what it names: a boundary, or who a trust policy lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// It was not there.
    Comes,
    /// It is not to be there.
    Goes,
    /// One takes the place of another.
    Exchanged,
}

/// How a part is changed where that takes several writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// What it is to say is written beside what it says, and that is taken away afterwards.
    Together,
    /// What is not to be allowed any longer is taken away before anything is added.
    Apart,
    /// So is what another part is to allow. It may be missing for a moment, and leaves room.
    Bare,
}

impl Manner {
    /// The shifts, in the order in which they are safe whatever other parts do in between. What says something that is not known can only be taken away as
    /// it is.
    fn order(self, is_opaque: bool) -> &'static [&'static [Shift]] {
        use Shift::*;
        match (self, is_opaque) {
            (Self::Together, false) => &[&[NewDenials], &[NewPermissions], &[PermissionsEnd, PermissionsMove], &[DenialsEnd]],
            (Self::Together, true) => &[&[NewDenials, NewPermissions, PermissionsEnd, PermissionsMove, DenialsEnd]],
            (Self::Apart, false) => &[&[PermissionsEnd], &[NewDenials], &[DenialsEnd], &[NewPermissions, PermissionsMove]],
            (Self::Bare, false) => &[&[PermissionsEnd, PermissionsMove], &[NewDenials], &[DenialsEnd], &[NewPermissions]],
            (Self::Apart | Self::Bare, true) => &[&[PermissionsEnd, PermissionsMove, NewDenials, DenialsEnd], &[NewPermissions]],
        }
    }

    /// All ways to make the shifts in this order with some of them at once, those with fewer writes first.
    pub(super) fn groupings(self, is_opaque: bool) -> Vec<Vec<Vec<Shift>>> {
        let order = self.order(is_opaque);
        let mut cuts: Vec<usize> = (0..1 << (order.len() - 1)).collect();
        cuts.sort_by_key(|cuts: &usize| cuts.count_ones());
        let grouping = |cuts: usize| {
            let mut groups: Vec<Vec<Shift>> = vec![vec![]];
            for (index, shifts) in order.iter().enumerate() {
                if index > 0 && cuts >> (index - 1) & 1 == 1 {
                    groups.push(vec![]);
                }
                groups.last_mut().into_iter().for_each(|group| group.extend(*shifts));
            }
            groups
        };
        cuts.into_iter().map(grouping).collect()
    }
}

/// What all policies of an identity say, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// What they allow before.
    pub(super) allowed_before: BTreeSet<Reach>,
    /// What they are to allow.
    pub(super) allowed_after: BTreeSet<Reach>,
    /// What those deny that do not change.
    pub(super) denied_throughout: BTreeSet<Reach>,
    /// What it may still cost to compare them.
    pub(super) effort: Effort,
}

impl Surroundings {
    /// What of some the others do not reach.
    pub(super) fn beyond<'a>(&self, some: impl IntoIterator<Item = &'a Reach>, others: &BTreeSet<Reach>) -> Vec<Reach> {
        beyond(some, others, &self.effort)
    }

    /// What of something is to be allowed, by whatever policy.
    pub(super) fn staying(&self, permission: &Reach) -> Vec<Reach> {
        self.among(permission, &self.allowed_after)
    }

    /// What of something others reach.
    pub(super) fn among(&self, one: &Reach, others: &BTreeSet<Reach>) -> Vec<Reach> {
        without(one, &self.beyond([one], others), &self.effort)
    }
}

/// What a part does by each [`Shift`].
#[derive(Clone, Debug, Default)]
pub(super) struct Shifts {
    pub(super) new_denials: Vec<Reach>,
    pub(super) new_permissions: Vec<Reach>,
    /// What of the new permissions no part allowed before.
    pub(super) first_permissions: Vec<Reach>,
    pub(super) ended_permissions: Vec<Reach>,
    pub(super) moved_permissions: Vec<Reach>,
    pub(super) ended_denials: Vec<Reach>,
    /// Whether it denies anything else than before, be it that something else denies that, too.
    pub(super) changes_denials: bool,
}

impl Shifts {
    /// From what a part says to what it is to say; None where that is not known.
    pub(super) fn between<'a>(before: Option<&Says<'a>>, after: Option<&Says<'a>>, around: &Surroundings) -> Self {
        let gained = |from: Option<&Says<'a>>, to: Option<&Says<'a>>, of: fn(&Says<'a>) -> BTreeSet<Reach>| {
            let (at_least, at_most) = (from.map(of).unwrap_or_default(), to.map_or_else(|| BTreeSet::from([Reach::everything()]), of));
            around.beyond(&at_most, &at_least)
        };
        let (new_permissions, lost) = (gained(before, after, Says::allowed), gained(after, before, Says::allowed));
        let (new_denials, ended_denials) = (gained(before, after, Says::denied), gained(after, before, Says::denied));
        // What is denied throughout makes no difference.
        let not_denied = |reaches: &[Reach]| around.beyond(reaches, &around.denied_throughout);
        Self {
            changes_denials: !(new_denials.is_empty() && ended_denials.is_empty()),
            new_denials: not_denied(&new_denials),
            first_permissions: not_denied(&around.beyond(&new_permissions, &around.allowed_before)),
            ended_permissions: not_denied(&around.beyond(&lost, &around.allowed_after)),
            moved_permissions: lost.iter().flat_map(|lost| around.staying(lost)).collect(),
            ended_denials: not_denied(&ended_denials),
            new_permissions,
        }
    }

    /// What a fence does.
    pub(super) fn of_fence(fence: Fence) -> Self {
        let everything = |is: bool| if is { vec![Reach::everything()] } else { vec![] };
        Self {
            new_denials: everything(fence != Fence::Goes),
            ended_denials: everything(fence != Fence::Comes),
            changes_denials: true,
            ..Self::default()
        }
    }

    pub(super) fn of(&self, shift: Shift) -> &[Reach] {
        match shift {
            Shift::NewDenials => &self.new_denials,
            Shift::NewPermissions => &self.new_permissions,
            Shift::PermissionsEnd => &self.ended_permissions,
            Shift::PermissionsMove => &self.moved_permissions,
            Shift::DenialsEnd => &self.ended_denials,
        }
    }

    pub(super) fn mixes(&self) -> bool {
        let permits = [&self.new_permissions, &self.ended_permissions, &self.moved_permissions].iter().any(|reaches| !reaches.is_empty());
        permits && !(self.new_denials.is_empty() && self.ended_denials.is_empty())
    }
}
