//! The parts of a change: each policy, group or boundary that comes, goes or says something else, with what that does to what the identity may do, and the
//! writes by which it is done, in one step or in several.

use std::cmp::Reverse;

use super::super::action::Action;
use super::super::assume;
use super::super::canonical::same;
use super::super::document::Document;
use super::super::identity::{ASSUME_POLICY, Identity, IdentityName, ManagedPolicy};
use super::super::names::{Arn, PolicyName};
use super::super::observed::ObservedPolicy;
use super::super::quotas::{Limits, Quotas};
use super::reach::Says;
use super::shifts::{Fence, Manner, Shift, Shifts, Surroundings};
use super::wording::Wording;
use super::writes::{POLICY_VERSIONS, policy_tags};

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

/// How likely something is to limit what other policies allow: the likelier the earlier it comes, and the later it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limiting {
    Denies,
    Group,
    Unknown,
    OfAWS,
    Permits,
}

/// Where in a plan a step stands, as far as nothing forbids it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    First,
    Addition(Limiting, Kind),
    Removal(Reverse<Limiting>, Kind),
    Last,
}

impl Place {
    /// After all that is added.
    pub(super) const AFTER_ADDITIONS: Self = Self::Removal(Reverse(Limiting::Permits), Kind::Policy);
}

/// What a step writes to, in the order in which they are added or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Policy,
    Put,
    Attachment,
    Inline,
    Membership,
}

/// Actions of a plan that are done one right after the other.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What they do to what the identity may do.
    pub(super) shifts: Vec<Shift>,
    /// The actions.
    pub(super) actions: Vec<Action>,
    /// Where they stand.
    pub(super) place: Place,
    /// What the part takes of what an identity may have, after them.
    pub(super) takes: Limits,
}

/// What changes.
enum Object<'a> {
    Inline {
        who: &'a IdentityName,
        name: &'a PolicyName,
        before: Option<&'a Document>,
        after: Option<&'a Document>,
    },
    Managed(Managed<'a>),
    /// What one action changes, whatever it says.
    Whole(Action, Place),
}

/// A managed policy that changes, or is attached or detached.
#[derive(Clone, Copy)]
pub(super) struct Managed<'a> {
    /// Whose it is.
    pub(super) who: &'a IdentityName,
    /// Its ARN.
    pub(super) arn: &'a Arn,
    /// What is known of it.
    pub(super) found: Option<&'a ObservedPolicy>,
    /// What is wanted of it, where it belongs to the identity's resource.
    pub(super) wanted: Option<&'a ManagedPolicy>,
    /// Whether it belongs to the resource, be it that it is to go.
    pub(super) is_own: bool,
    /// Whether it is attached.
    pub(super) was_attached: bool,
    /// Whether it is to be.
    pub(super) is_attached: bool,
}

impl Managed<'_> {
    /// Whether anything is to be written.
    pub(super) fn changes(&self) -> bool {
        let differs =
            |wanted: &ManagedPolicy| self.found.is_none_or(|found| !same(&found.policy.document, &wanted.document) || tags_differ(wanted, found));
        self.was_attached != self.is_attached || self.wanted.is_some_and(differs)
    }
}

fn tags_differ(wanted: &ManagedPolicy, found: &ObservedPolicy) -> bool {
    let mut actions = vec![];
    policy_tags(wanted, found, &mut actions);
    !actions.is_empty()
}

/// A part of the change.
pub(super) struct Part<'a> {
    object: Object<'a>,
    /// What it does.
    pub(super) shifts: Shifts,
    /// Whether nothing more is known of it than that it may allow and deny.
    pub(super) is_opaque: bool,
    /// Whether it is an assume policy.
    pub(super) holds_roles: bool,
    /// Whether one boundary or trust policy takes the place of another.
    pub(super) is_exchange: bool,
    wording: Wording,
    limiting: Limiting,
}

impl<'a> Part<'a> {
    /// An inline policy.
    pub(super) fn inline(
        identity: &'a Identity,
        name: &'a PolicyName,
        documents: (Option<&'a Document>, Option<&'a Document>),
        around: &Surroundings,
    ) -> Self {
        let (before, after) = documents;
        let object = Object::Inline { who: &identity.name, name, before, after };
        Self { holds_roles: name.as_str() == ASSUME_POLICY, ..Self::of(object, says(before), says(after), Limiting::Unknown, around) }
    }

    /// A managed policy.
    pub(super) fn managed(identity: &Identity, managed: Managed<'a>, around: &Surroundings) -> Self {
        let unknown = if managed.arn.is_of_aws() { Limiting::OfAWS } else { Limiting::Unknown };
        let in_force =
            |is_attached: bool, document: Option<&'a Document>| if is_attached { document.and_then(Says::of) } else { Some(Says::default()) };
        let there = managed.found.map(|found| &found.policy.document);
        // What is about to be made says nothing before.
        let before = in_force(managed.was_attached && (managed.found.is_some() || managed.wanted.is_none()), there);
        let after = in_force(managed.is_attached, managed.wanted.map(|wanted| &wanted.document).or(there));
        let holds_roles = assume::number(identity, managed.arn).is_some();
        Self { holds_roles, ..Self::of(Object::Managed(managed), before, after, unknown, around) }
    }

    /// A group that the user joins, or leaves.
    pub(super) fn group(action: Action, comes: bool, around: &Surroundings) -> Self {
        let nothing = Some(Says::default());
        let (place, before, after) = match comes {
            true => (Place::Addition(Limiting::Group, Kind::Membership), nothing, None),
            false => (Place::Removal(Reverse(Limiting::Group), Kind::Membership), None, nothing),
        };
        Self::of(Object::Whole(action, place), before, after, Limiting::Group, around)
    }

    /// A fence, and the action that changes it.
    pub(super) fn fence(action: Action, fence: Fence) -> Self {
        let place = if fence == Fence::Goes { Place::Last } else { Place::First };
        Self {
            object: Object::Whole(action, place),
            shifts: Shifts::of_fence(fence),
            is_opaque: false,
            holds_roles: false,
            is_exchange: fence == Fence::Exchanged,
            wording: Wording::default(),
            limiting: Limiting::Denies,
        }
    }

    fn of(object: Object<'a>, before: Option<Says<'a>>, after: Option<Says<'a>>, unknown: Limiting, around: &Surroundings) -> Self {
        let shifts = Shifts::between(before.as_ref(), after.as_ref(), around);
        let is_known = before.is_some() && after.is_some();
        let wording = Wording::between(&before.unwrap_or_default(), &after.unwrap_or_default(), around);
        let limiting = match is_known {
            false => unknown,
            true if shifts.changes_denials => Limiting::Denies,
            true => Limiting::Permits,
        };
        let mut part = Self { object, shifts, is_opaque: !is_known, holds_roles: false, is_exchange: false, wording, limiting };
        part.is_opaque |= part.is_fixed() && part.shifts.mixes();
        part
    }

    /// Whether it can be written in one way only.
    fn is_fixed(&self) -> bool {
        match &self.object {
            Object::Inline { .. } => false,
            Object::Managed(managed) => !managed.is_own,
            Object::Whole(..) => true,
        }
    }

    /// What it takes of what an identity may have, before anything changes.
    pub(super) fn takes(&self) -> Limits {
        match &self.object {
            Object::Inline { before, .. } => inline(before.as_ref().copied()),
            Object::Managed(managed) => attached(managed.was_attached),
            Object::Whole(action, _) => groups(matches!(action, Action::RemoveFromGroup(..))),
        }
    }

    /// The ways to change it, those with fewer writes first. No policy gets larger on the way than it may.
    pub(super) fn ways(&self, manner: Manner, most: Most) -> impl DoubleEndedIterator<Item = Vec<Step>> {
        let mut groupings = manner.groupings(self.is_opaque);
        groupings.truncate(if self.is_fixed() { 1 } else { groupings.len() });
        let does_something = |group: &Vec<Shift>| group.iter().any(|shift| !self.shifts.of(*shift).is_empty());
        let mut different: Vec<Vec<Vec<Shift>>> = vec![];
        for grouping in groupings {
            let grouping = grouping.into_iter().filter(does_something).collect();
            if !different.contains(&grouping) {
                different.push(grouping);
            }
        }
        different.into_iter().filter_map(move |grouping| self.way(grouping, most))
    }

    fn way(&self, mut grouping: Vec<Vec<Shift>>, most: Most) -> Option<Vec<Step>> {
        let last = grouping.pop().unwrap_or_default();
        let (mut states, mut done) = (vec![], vec![]);
        for group in grouping {
            done.extend(group.clone());
            states.push((group, self.wording.after(&done)?));
        }
        let fits = |there: Option<&Document>, most: usize| {
            let most = there.map_or(most, |there| most.max(there.size()));
            states.iter().all(|(_, document): &(_, Option<Document>)| document.as_ref().is_none_or(|document| document.size() <= most))
        };
        match &self.object {
            Object::Inline { who, name, before, after } => {
                let fits = fits(*before, most.limits.inline_policies_size);
                fits.then(|| self.inline_steps(who, name, *before, states.into_iter().chain([(last, after.cloned())])))
            }
            Object::Managed(managed) => {
                let fits = fits(managed.found.map(|found| &found.policy.document), most.managed_policy_size);
                fits.then(|| self.managed_steps(managed, states, last))
            }
            Object::Whole(action, place) => {
                let takes = groups(matches!(action, Action::AddToGroup(..)));
                Some(vec![Step { shifts: last, actions: vec![action.clone()], place: *place, takes }])
            }
        }
    }

    fn addition(&self, kind: Kind) -> Place {
        Place::Addition(self.limiting, kind)
    }

    fn removal(&self, kind: Kind) -> Place {
        Place::Removal(Reverse(self.limiting), kind)
    }

    fn inline_steps(
        &self,
        who: &IdentityName,
        name: &PolicyName,
        before: Option<&Document>,
        states: impl Iterator<Item = (Vec<Shift>, Option<Document>)>,
    ) -> Vec<Step> {
        let mut steps = vec![];
        let mut is_there = before.is_some();
        for (shifts, document) in states {
            let takes = inline(document.as_ref());
            let (action, place) = match document {
                Some(document) => (Action::PutInlinePolicy(who.clone(), name.clone(), document), self.addition(Kind::Put)),
                None => (Action::DeleteInlinePolicy(who.clone(), name.clone()), self.removal(Kind::Inline)),
            };
            let deletes = matches!(action, Action::DeleteInlinePolicy(..));
            // What says nothing in between need not be there.
            let actions = if deletes && !is_there { vec![] } else { vec![action] };
            is_there = !deletes;
            steps.push(Step { shifts, actions, place, takes });
        }
        steps
    }

    fn managed_steps(&self, managed: &Managed<'a>, between: Vec<(Vec<Shift>, Option<Document>)>, last: Vec<Shift>) -> Vec<Step> {
        let Managed { who, arn, found, wanted, was_attached, is_attached, .. } = managed;
        let in_the_end = wanted.map(|wanted| wanted.document.clone());
        let states: Vec<(Vec<Shift>, Option<Document>)> = between.into_iter().chain([(last, in_the_end)]).collect();
        let versions = states.iter().filter(|(_, document)| document.is_some()).count();
        let says = found.map(|found| found.policy.document.clone());
        let mut writer = Writer { arn, found: *found, wanted: *wanted, says, versions, is_tagged: false };
        let (mut steps, mut was_attached) = (vec![], *was_attached);
        let all = states.len();
        for (number, (shifts, document)) in (1..).zip(states) {
            let is_attached = if number == all { *is_attached } else { document.is_some() };
            let write = document.as_ref().map(|document| writer.write(document)).unwrap_or_default();
            // What is made stands where it is attached: so what a plan that was interrupted has not shared out yet goes where it was to go.
            if !write.is_empty() {
                steps.push(Step { shifts: shifts.clone(), actions: write, place: self.addition(Kind::Policy), takes: attached(was_attached) });
            }
            let attachment = match (was_attached, is_attached) {
                (false, true) => Some((Action::AttachPolicy((*who).clone(), (*arn).clone()), self.addition(Kind::Attachment))),
                (true, false) => Some((Action::DetachPolicy((*who).clone(), (*arn).clone()), self.removal(Kind::Attachment))),
                _ => None,
            };
            let takes = attached(is_attached);
            steps.extend(attachment.map(|(action, place)| Step { shifts, actions: vec![action], place, takes }));
            was_attached = is_attached;
        }
        steps
    }
}

fn inline(document: Option<&Document>) -> Limits {
    Limits { inline_policies_size: document.map_or(0, Document::size), ..Limits::default() }
}

fn attached(is_attached: bool) -> Limits {
    Limits { attached_policies: usize::from(is_attached), ..Limits::default() }
}

fn groups(is_in: bool) -> Limits {
    Limits { groups: usize::from(is_in), ..Limits::default() }
}

fn says(document: Option<&Document>) -> Option<Says<'_>> {
    document.map_or_else(|| Some(Says::default()), Says::of)
}

/// Writes the documents of a customer-managed policy, one after the other.
struct Writer<'a> {
    arn: &'a Arn,
    found: Option<&'a ObservedPolicy>,
    wanted: Option<&'a ManagedPolicy>,
    /// The document in force.
    says: Option<Document>,
    /// How many more are to be written.
    versions: usize,
    is_tagged: bool,
}

impl Writer<'_> {
    /// Makes this the document in force, where it is not.
    fn write(&mut self, document: &Document) -> Vec<Action> {
        let mut actions = vec![];
        match (&self.says, self.wanted) {
            (Some(says), _) if same(says, document) => {}
            (Some(_), _) => {
                actions.extend(self.prune());
                actions.push(Action::CreatePolicyVersion(self.arn.clone(), document.clone()));
            }
            (None, Some(wanted)) => actions.push(Action::CreatePolicy(Box::new(ManagedPolicy { document: document.clone(), ..wanted.clone() }))),
            (None, None) => {}
        }
        self.says = Some(document.clone());
        if let (false, Some(wanted), Some(found)) = (self.is_tagged, self.wanted, self.found) {
            policy_tags(wanted, found, &mut actions);
        }
        self.is_tagged = true;
        actions
    }

    /// The oldest versions make room for all that are to be written; what is in force is never among them.
    fn prune(&mut self) -> Vec<Action> {
        let others = self.found.map(|found| found.other_versions.as_slice()).unwrap_or_default();
        let surplus = (others.len() + 1 + std::mem::take(&mut self.versions)).saturating_sub(POLICY_VERSIONS);
        others.iter().take(surplus).map(|version| Action::DeletePolicyVersion(self.arn.clone(), version.clone())).collect()
    }
}
